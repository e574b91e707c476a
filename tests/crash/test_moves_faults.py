"""An API fault at every single call of `instance migrate`; then, if need be, the same command again.

However it ends: never two migrations, never a confirm of what is not proven, and after at most two more commands the
server is moved and all three views agree. By default a sample of the calls, the same in every run; all of them with
GPUCTL_ALL_KILLS=1.
"""

from __future__ import annotations

import json
import re
import threading

import pytest

from gpuctl.cloud import connect
from gpuctl.errors import OperatorError
from tests.crash.positions import ALL, positions
from tests.sim.cloud import MovesSim
from tests.unit.moves.engine.kit import made

pytestmark = pytest.mark.timeout(1800 if ALL else 600)

KINDS = (409, 500, 503, "reset-before", "reset-after", "504-after", "401-after", "silence", "silence-after")
SILENCE = 4.0  # seconds; gpuctl waits for a quarter of that
FIRED = {"faults": 0}
CALLS = "/compute/|/placement/"
CHANGES = {"cold": ("migrate", "confirmResize"), "shelve": ("shelve", "unshelve")}


class Bed:
    def __init__(self, sim, folder, monkeypatch, strategy):
        self.sim, self.folder, self.monkeypatch, self.strategy, self.number = sim, folder, monkeypatch, strategy, 0

    def fresh(self):
        self.sim.reset(tracking=self.strategy == "shelve")
        for host in ("gpu-a", "gpu-b"):
            self.sim.add_host(host)
        self.server = self.sim.boot("guest", "gpu-a")
        self.number += 1
        place = self.folder / str(self.number)
        place.mkdir()
        self.rig = made(self.sim, place, self.monkeypatch)

    def impatient(self):
        """Gpuctl waits for a quarter of the silence only."""
        file = self.rig.folder / "clouds.yaml"
        said = json.loads(file.read_text())
        said["clouds"]["sim"]["api_timeout"] = SILENCE / 4
        file.write_text(json.dumps(said))
        self.rig.cloud = connect("sim")

    def migrate(self):
        try:
            return self.rig.one("guest", to="gpu-b", strategy="auto").state
        except OperatorError as error:
            return type(error).__name__

    def whole(self):
        """How many calls a move takes to which nothing happens."""
        self.fresh()
        self.sim.clear_counts()
        assert self.migrate() == "done"
        return sum(count for name, count in self.sim.counts().items() if re.search(CALLS, name))

    def ends_well(self, what):
        states = []
        for _ in range(3):
            states.append(self.migrate())
            if self.server.host == "gpu-b" and states[-1] in {"done", "refused"}:
                break
        what = f"{what}: {states}"
        assert self.server.host == "gpu-b", what
        self.sim.settle()
        assert self.sim.broken() == [], what
        assert len(self.sim.migrations_of("guest")) <= 1, what
        happened = self.sim.happened
        assert not (happened.overlaps or happened.leaky or happened.confirmed_unproven or happened.destroyed), what


@pytest.fixture(params=["cold", "shelve"])
def bed(request, tmp_path, monkeypatch):
    with MovesSim() as sim:
        yield Bed(sim, tmp_path, monkeypatch, request.param)


@pytest.mark.parametrize("kind", KINDS)
def test_at_every_call(bed, kind):
    last = bed.whole()
    assert last > 20
    for at in positions(last, 4 if "silence" in str(kind) else 8, seed=str(kind)):
        bed.fresh()
        if "silence" in str(kind):
            bed.impatient()
        bed.sim.fail("*", CALLS, kind, skip=at - 1, seconds=SILENCE)
        bed.ends_well(f"{kind} at call {at}")
        FIRED["faults"] += len(bed.sim.fired)


def test_a_token_that_runs_out_before_every_call(bed, monkeypatch):
    bed.fresh()
    from gpuctl.cloud import Service

    send, one_at_a_time = Service._send, threading.Lock()

    def expired(self, *args):
        with one_at_a_time:  # else another's expiry comes between its renewal and its second try
            bed.sim.expire_tokens()
            return send(self, *args)

    monkeypatch.setattr(Service, "_send", expired)
    bed.ends_well("every token runs out")


def test_two_faults_in_a_row_at_each_change(bed):
    for action in CHANGES[bed.strategy]:
        for first in KINDS:
            bed.fresh()
            if "silence" in str(first):
                bed.impatient()
            bed.sim.fail("POST", f"#{action}", first, seconds=SILENCE)
            bed.sim.fail("GET", "/servers/|os-migrations|os-instance-actions", 503, times=3)
            bed.ends_well(f"{first} at {action}, then three answers of 503")
            FIRED["faults"] += len(bed.sim.fired)


def test_the_faults_were_made():
    """Of the whole file, that is."""
    assert FIRED["faults"] > (600 if ALL else 150)
