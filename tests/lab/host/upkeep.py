"""What a machine has on this computer, and leaves none of: the one lock, a folder, a port, processes, logs."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .cache import cache_dir, key_of
from .connection import LabError
from .packages import say

TEMPORARY = Path("/tmp")  # short, whatever TMPDIR says: a socket's path ends at 107 bytes


def one_at_a_time(started: int) -> int:
    """A descriptor that holds the lock which every running QEMU holds; waits as long as another one runs.

    Args:
        started: how many machines this process has running.
    """
    handle = os.open(cache_dir() / ".running.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    said = False
    if started:
        raise LabError("this process has a machine running already; a second one would wait for ever: stop the first")
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            if not said:
                say("another lab machine runs; waiting for its end")
                said = True
            time.sleep(2)


def fresh_folder() -> Path:
    """An empty folder; those of killed runs are gone: whoever holds the lock is the only machine of this cache."""
    for stale in TEMPORARY.glob(f"{_prefix()}*"):
        shutil.rmtree(stale, ignore_errors=True)
    return own_folder()


def own_folder() -> Path:
    """An empty folder beside that of another machine of this cache, which holds the lock."""
    return Path(tempfile.mkdtemp(prefix=_prefix(), dir=TEMPORARY))


def _prefix() -> str:
    """What this cache's machines' folders are called."""
    return f"gpuctl-lab-{key_of({'cache': str(cache_dir())})[:6]}-"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def alive(pid: int) -> bool:
    """The process is there, and no zombie."""
    try:
        return pid > 0 and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def end(pid: int, child: subprocess.Popen[bytes] | None) -> None:
    """The process is gone: asked first, killed after ten seconds."""
    for sign, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        if child.poll() is not None if child else not alive(pid):
            return
        os.kill(pid, sign)
        until = time.monotonic() + patience
        while time.monotonic() < until and (child.poll() is None if child else alive(pid)):
            time.sleep(0.05)


def keep_log(log: Path, name: str, *, most: int = 20) -> None:
    """The log is in the cache's logs/, which holds so many."""
    logs = cache_dir() / "logs"
    logs.mkdir(exist_ok=True)
    if log.exists():
        shutil.copy(log, logs / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}.log")
    for old in sorted(logs.glob("*.log"))[:-most]:
        old.unlink(missing_ok=True)
