"""SIGKILL of `instance migrate` at every request and at every write of its journal, then the same command again.

At the end the server was moved once, all views agree, and nothing that must never be done was done.
"""

from __future__ import annotations

import pytest

from gpuctl.moves.journal import peek
from tests.crash.moves_child import MODES, Gpuctl, KillSim

pytestmark = pytest.mark.timeout(900)

WAYS = {
    "cold": ({}, True),
    "cold, stopped": ({}, False),
    "shelve": ({"tracking": True}, True),
    "shelve, offloaded later, stopped": ({"tracking": True, "shelved_offload_time": 600}, False),
}
COUNT = {"kills": 0}


@pytest.fixture(scope="module")
def cloud():
    with KillSim() as sim:
        yield sim


class Bed:
    """One server to be moved from gpu-a to gpu-b."""

    def __init__(self, sim, folder, monkeypatch, name):
        settings, running = WAYS[name]
        self.strategy = name.partition(",")[0]
        self.sim, self.settings, self.running, self.folder, self.number = sim, settings, running, folder, 0
        self.monkeypatch = monkeypatch

    def fresh(self):
        settings = {"tracking": False, "shelved_offload_time": 0, **self.settings}
        self.sim.reset(**settings)
        for host in ("gpu-a", "gpu-b", "gpu-c"):
            self.sim.add_host(host)
        self.server = self.sim.boot("guest", "gpu-a", running=self.running)
        self.number += 1
        place = self.folder / str(self.number)
        place.mkdir()
        self.monkeypatch.setenv("XDG_STATE_HOME", str(place / "state"))
        self.gpuctl = Gpuctl(self.sim, place)

    def migrate(self, **kill):
        argv = ("instance", "migrate", "guest", "--host", "gpu-b", "--yes", "--settle", "0.2")
        return self.gpuctl.run(*argv, **kill)

    def again_until_done(self):
        """The same command, once: it ends the move, or finds it done."""
        code, said = self.migrate()
        over = code == 3 and "it is on gpu-b already" in said and peek("sim", self.server.id) is None
        assert code == 0 or over, said

    def check(self, what):
        actions = [
            (one.action, [vars(each) for each in one.events]) for one in self.sim.actions.get(self.server.id, [])
        ]
        what = f"{what}\n{actions}\n{self.gpuctl.out.read_text()}"
        assert self.server.host == "gpu-b", what
        assert self.server.vm_state == ("active" if self.running else "stopped"), what
        assert self.sim.broken() == [], what
        assert len(self.sim.migrations_of("guest")) == (1 if self.strategy == "cold" else 0), what
        happened = self.sim.happened
        assert not happened.overlaps, what
        assert not happened.leaky, what
        assert not happened.confirmed_unproven, what
        assert not happened.destroyed, what
        assert not happened.bugs, what


@pytest.fixture(params=WAYS)
def bed(request, cloud, tmp_path, monkeypatch):
    return Bed(cloud, tmp_path, monkeypatch, request.param)


@pytest.mark.parametrize("done", [True, False], ids=["done", "unheard"])
def test_at_every_request(bed, done):
    for at in range(1, 200):
        bed.fresh()
        code, said = bed.migrate(at=at, done=done)
        if code != -9:
            assert code == 0, said
            break
        COUNT["kills"] += 1
        bed.again_until_done()
        bed.check(f"killed at request {at}")
    assert at > 20


def test_at_every_request_and_again_while_it_is_taken_up(bed):
    for at in range(2, 200, 3):
        bed.fresh()
        code, _ = bed.migrate(at=at)
        if code != -9:
            break
        code, _ = bed.migrate(at=1 + at % 17)
        COUNT["kills"] += 1 + (code == -9)
        if code == -9:
            bed.again_until_done()
        bed.check(f"killed at request {at}, and at {1 + at % 17} of the next")
    assert at > 20


@pytest.mark.parametrize("mode", MODES)
def test_at_every_write_of_the_journal(bed, mode):
    for at in range(1, 60):
        bed.fresh()
        code, said = bed.migrate(strike=(at, mode))
        if code != -9:
            assert code == 0, said
            break
        COUNT["kills"] += 1
        bed.again_until_done()
        bed.check(f"killed at write {at}, {mode}")
    assert at > 5


def test_the_kills_were_made():
    assert COUNT["kills"] > 200
