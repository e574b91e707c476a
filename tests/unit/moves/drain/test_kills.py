"""A drain that is killed anywhere, and asked for again: every server moved once, all views agreeing, the host empty."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from gpuctl.moves.drain.record import path_of, read
from tests.sim.cloud import MovesSim
from tests.sim.cloud.server import wait
from tests.unit.moves.drain import rig as rigs

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]

CHILD = """
import sys
from gpuctl.cloud import connect
from gpuctl.moves.drain.caps import Caps
from gpuctl.moves.drain.run import drain_host
from gpuctl.moves.drain.settings import Settings
from gpuctl.moves.engine import Pace
from gpuctl.moves.move import Options
pace = Pace(shortest=0.01, longest=0.05, look=0.02, quiet=2.0)
settings = Settings(caps=Caps(3, None, 3), options=Options(settle=1.0))
result = drain_host(connect("sim"), "gpu-0", settings, pace=pace)
print([(one.name, one.state, one.detail) for one in result.results], result.left)
sys.exit(result.exit_code)
"""


MAIN = "import sys; from gpuctl.cli.main import main; sys.exit(main())"


class Deadly(MovesSim):
    """Kills the one who asks, when it asks for the nth time: what it asked for is still done, and nobody hears of it."""

    victim, left = 0, -1
    guard = threading.Lock()

    def count(self, method, path):
        super().count(method, path)
        with self.guard:
            self.left -= 1
            if self.left == 0:
                os.kill(self.victim, signal.SIGKILL)


def drained(sim, kill=-1):
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    sim.victim, sim.left = child.pid, kill
    out, err = child.communicate(timeout=300)
    sim.left = -1
    return child.returncode, out + err[-2000:]


def cloud_of(sim, tmp_path, monkeypatch, tracking):
    sim.reset(tracking=tracking, pace=0.02)
    rig = rigs.Rig(sim, None)
    rig.hosts(3)
    rig.servers(5)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return rig


@pytest.mark.parametrize("tracking", [True, False])
def test_killed_at_requests_all_over_the_run(tmp_path, monkeypatch, tracking):
    kills = 0
    with Deadly() as sim:
        rigs.named(sim, tmp_path, monkeypatch)
        cloud_of(sim, tmp_path / "clean", monkeypatch, tracking)
        code, said = drained(sim)
        assert code == 0, said
        total = sum(sim.counts().values())
        for kill in range(4, total, max(total // 14, 1)):
            rig = cloud_of(sim, tmp_path / str(kill), monkeypatch, tracking)
            code, said = drained(sim, kill)
            kills += code == -signal.SIGKILL
            for _ in range(3):
                if code == 0:
                    break
                code, said = drained(sim)
            assert code == 0, (kill, said)
            assert rig.on("gpu-0") == set(), kill
            assert sim.broken() == [], kill
            happened = sim.happened
            assert not (happened.overlaps or happened.leaky or happened.confirmed_unproven or happened.destroyed), kill
            assert all(len(sim.migrations_of(one)) <= 1 for one in sim.servers), kill
            assert sim.hosts["gpu-0"].disabled
            assert any(one.over for one in read(path_of("sim", "gpu-0"))), kill
    assert kills >= 10


def test_a_real_ctrl_c_lets_what_runs_end(tmp_path, monkeypatch):
    with Deadly() as sim:
        rigs.named(sim, tmp_path, monkeypatch)
        rig = cloud_of(sim, tmp_path, monkeypatch, tracking=True)
        words = [sys.executable, "-c", MAIN, "instance", "drain", "gpu-0", "--yes", "--parallel", "2", "-f", "json"]
        child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait(lambda: sum(n for one, n in sim.counts().items() if "#shelve" in one) >= 2, "two moves under way")
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=120)
        assert child.returncode == 130, err
        states = [one["state"] for one in json.loads(out)["results"]]
        assert sorted(states) == ["done"] * 2 + ["interrupted"] * 3
        assert len(rig.on("gpu-0")) == 3
        assert sim.broken() == []
