"""gpuctl in a process that can be killed: by the test at a request, or by itself at a write of the journal."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from pathlib import Path

from tests.sim.cloud import MovesSim
from tests.sim.front import Fault

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.crash.moves_warm"])

MODES = ("before the write", "half a line", "before the fsync", "after the fsync")


def work(argv, env, out, strike):
    """Run gpuctl in this process, its output in a file; ``strike`` is (n, mode): die at the nth write of the journal."""
    handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for one in (1, 2):
        os.dup2(handle, one)
    os.environ.update(env)
    from gpuctl import cloud
    from gpuctl.cli.main import main
    from gpuctl.moves import engine, migrate

    cloud.pause = lambda seconds: None
    migrate.Pace = lambda: engine.Pace(shortest=0.02, longest=0.05, look=0.02, quiet=2.0)
    if strike is not None:
        _strike(*strike)
    sys.stdout.flush()
    code = main(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _strike(number, mode):
    from gpuctl import own_state

    write, fsync, count = own_state._write, os.fsync, [0]

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def writing(file, data):
        count[0] += 1
        if count[0] == number and mode == "before the write":
            die()
        if count[0] == number and mode == "half a line":
            os.write(file, data[: len(data) // 2])
            die()
        write(file, data)
        if count[0] == number and mode == "before the fsync":
            die()

    def syncing(file):
        fsync(file)
        if count[0] == number and mode == "after the fsync":
            die()

    own_state._write = writing
    own_state.os.fsync = syncing


class KillSim(MovesSim):
    """Kills a process at its nth request; that request is done (``done``) or is never heard."""

    victim = None
    at = 0
    done = True
    seen = 0

    def watch(self, process, at, *, done):
        self.victim, self.at, self.done, self.seen = process, at, done, 0
        self.told = threading.Event()

    def fault_for(self, method, path):
        if self.victim is not None:
            self.told.wait(10)
            with self._lock:
                self.seen += 1
                now = self.seen == self.at
            if now:
                self.victim.kill()
                multiprocessing.connection.wait([self.victim.sentinel], 10)
                return Fault(method, None, "reset-after" if self.done else "reset-before", 0, 0, None)
        return super().fault_for(method, path)


class Gpuctl:
    """Runs gpuctl against a simulated cloud."""

    def __init__(self, sim, folder):
        self.sim, self.folder = sim, folder
        self.env = {
            "OS_CLIENT_CONFIG_FILE": str(sim.clouds_yaml(folder)),
            "OS_CLOUD": "sim",
            "XDG_STATE_HOME": str(folder / "state"),
            "HOME": str(folder),
        }
        self.out = folder / "out"

    def run(self, *argv, at=0, done=True, strike=None):
        """Return (exit code or -9, what it printed)."""
        process = CONTEXT.Process(target=work, args=(list(argv), self.env, str(self.out), strike))
        self.sim.watch(process, at, done=done)
        process.start()
        self.sim.told.set()
        process.join(60)
        assert process.exitcode is not None, "gpuctl hangs"
        self.sim.victim = None
        while self.sim._busy:  # what it had sent is done, or dropped, before anybody looks
            time.sleep(0.005)
        return process.exitcode, Path(self.out).read_text() if self.out.exists() else ""
