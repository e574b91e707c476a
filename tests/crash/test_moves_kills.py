"""SIGKILL of `instance migrate` at every request and at every write of its journal, then the same command again.

At the end the server was moved once, all views agree, and nothing that must never be done was done. By default a
sample of the positions, the same in every run; all of them, for some twenty minutes, with GPUCTL_ALL_KILLS=1.
"""

from __future__ import annotations

import itertools

import pytest

from gpuctl.moves.journal import folder, peek
from tests.crash.moves_child import MODES, Gpuctl, KillSim
from tests.crash.positions import ALL, positions

pytestmark = pytest.mark.timeout(1800 if ALL else 600)

WAYS = {
    "cold": ({}, True),
    "cold, stopped": ({}, False),
    "shelve": ({"tracking": True}, True),
    "shelve, offloaded later, stopped": ({"tracking": True, "shelved_offload_time": 600}, False),
}
COUNT = {"kills": 0}
SEEDS = itertools.count(1)


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
        # Another seed makes other ids: what a killed gpuctl had sent and nobody had read yet meets no server of its own.
        self.sim.reset(seed=next(SEEDS), **settings)
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

    def again(self, **kill):
        """The same command, once more: it ends the move, or finds it done. Say whether it was killed too."""
        code, said = self.migrate(**kill)
        if code == -9:
            return True
        over = code == 3 and "it is on gpu-b already" in said and peek("sim", self.server.id) is None
        assert code == 0 or over, said
        return False

    def whole(self):
        """How many requests a move takes that nobody kills, and how many writes of its journal."""
        self.fresh()
        code, said = self.migrate()
        assert code == 0, said
        return self.sim.seen, (folder("sim") / f"{self.server.id}.jsonl").read_text().count("\n")

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
    last, _ = bed.whole()
    assert last > 20
    for at in positions(last, 8, seed=f"request {done}"):
        bed.fresh()
        code, said = bed.migrate(at=at, done=done)
        assert code in {-9, 0}, said  # 0: this one took fewer polls
        COUNT["kills"] += code == -9
        if code == -9:
            bed.again()
        bed.check(f"killed at request {at}")


def test_at_every_request_and_again_while_it_is_taken_up(bed):
    last, _ = bed.whole()
    for at in positions(last, 6, seed="again"):
        bed.fresh()
        code, said = bed.migrate(at=at)
        assert code in {-9, 0}, said
        COUNT["kills"] += code == -9
        for later in positions(17, 3, seed=f"again {at}"):
            if code == -9 and bed.again(at=later):
                COUNT["kills"] += 1
        if code == -9:
            bed.again()
        bed.check(f"killed at request {at}, and then again and again")


@pytest.mark.parametrize("mode", MODES)
def test_at_every_write_of_the_journal(bed, mode):
    _, last = bed.whole()
    assert last > 5
    for at in positions(last, 4, seed=mode):
        bed.fresh()
        code, said = bed.migrate(strike=(at, mode))
        assert code in {-9, 0}, said
        COUNT["kills"] += code == -9
        if code == -9:
            bed.again()
        bed.check(f"killed at write {at}, {mode}")


def test_the_kills_were_made():
    """Of the whole file, that is: a part of it alone has fewer."""
    assert COUNT["kills"] > (600 if ALL else 120)
