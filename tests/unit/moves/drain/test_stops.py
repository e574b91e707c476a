"""Drains on the simulated cloud: what stops one, and what it leaves then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuctl.moves.drain.brakes import Brakes
from gpuctl.moves.drain.caps import Caps
from gpuctl.moves.drain.record import Record
from gpuctl.moves.drain.settings import MaxFail
from gpuctl.moves.journal import JournalFailed
from gpuctl.moves.move import DEADLINES
from tests.sim.cloud import Client
from tests.unit.moves.engine.kit import OPTIONS


def test_the_first_failure_stops_what_waits_and_the_same_command_goes_on(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(3)
    rig.servers(5, volumes=1)
    rig.sim.inject(None, "spawn")
    result = rig.drain(caps=Caps(2, None, 2))
    assert result.exit_code == 5 if "done" in rig.states(result) else 1
    assert result.stopped
    assert rig.states(result)["unfinished"] == 1
    left = [one for one in result.results if one.detail.startswith("not begun")]
    assert left
    assert rig.on("gpu-0") == {one.name for one in left}
    shelved = next(one for one in result.results if one.state == "unfinished")
    assert rig.sim.servers[shelved.server].host is None
    again = rig.drain(caps=Caps(2, None, 2))
    assert (again.exit_code, again.run, again.left) == (0, result.run, ())
    assert len(again.results) == 5
    assert rig.sim.servers[shelved.server].host
    assert rig.sim.broken() == []
    assert rig.sim.happened.overlaps == []


def test_one_that_waits_for_its_confirm_elsewhere_still_holds_the_host(rig_of):
    rig = rig_of(tracking=False)
    rig.hosts(3)
    half, _ = rig.servers(2)
    client = Client(rig.sim.url)
    client.act(half, "migrate", {"host": "gpu-1"})
    rig.sim.settle()
    result = rig.drain()
    assert rig.states(result) == {"done": 1}
    assert result.exit_code == 5
    assert "until migration 1 to gpu-1 is confirmed" in result.left[0]
    client.act(half, "confirmResize", None)
    rig.sim.settle()
    assert rig.drain().exit_code == 0


def test_one_that_is_on_its_way_to_the_host_when_it_is_drained(rig_of):
    rig = rig_of(tracking=False)
    rig.hosts(2)
    (coming,) = rig.servers(1, "gpu-1")
    plain = rig.sim.boot("plain", "gpu-1", "").id
    client = Client(rig.sim.url)
    rig.sim.freeze()
    for one in (coming, plain):
        client.act(one, "migrate", {"host": "gpu-0"})
    rig.sim.advance(0.025)
    assert {(one.status, one.dest) for one in rig.sim.migrations} == {("migrating", "gpu-0")}
    result = rig.drain()
    assert (result.exit_code, len(result.left)) == (1, 1), "one without cards is not a drain's"
    assert "on its way here: migration 1 from gpu-1 is `migrating`" in result.left[0]
    rig.sim.settle()
    assert rig.sim.servers[coming].host == "gpu-0"


def test_as_many_failures_as_were_allowed(rig_of):
    rig = rig_of(tracking=False)
    rig.hosts(3)
    rig.servers(5)
    rig.sim.inject(None, "prep_resize", times=2)
    result = rig.drain(max_fail=MaxFail.of("60%"))
    assert (result.exit_code, rig.states(result)) == (5, {"done": 3, "failed": 2})
    assert not result.stopped


@pytest.mark.slow
def test_a_destination_that_dies_is_gone_to_no_more(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(3)
    rig.servers(6, volumes=1)
    died = []

    def heard(progress, tally):
        if tally.done and not died:
            died.append(rig.sim.stop_compute("gpu-1"))
            rig.sim.clear_counts()

    result = rig.drain(caps=Caps(1, None, 1), max_fail=MaxFail(6), heard=heard)
    late = [one for one in result.results if one.dest == "gpu-1"]
    assert len(late) <= 2  # the one before, and one that was under way
    done = [one for one in result.results if one.state == "done"]
    assert len(done) >= 4
    assert {rig.sim.servers[one.server].host for one in done} <= {"gpu-1", "gpu-2"}


@pytest.mark.slow
def test_the_source_that_dies_ends_it(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    rig.servers(4)
    died = []

    def heard(progress, tally):
        if tally.done and not died:
            died.append(rig.sim.stop_compute("gpu-0"))

    short = replace(OPTIONS, deadlines=dict.fromkeys(DEADLINES, 2.0))
    result = rig.drain(caps=Caps(1, None, 1), heard=heard, options=short)
    assert result.exit_code == 5
    assert result.stopped
    assert len(result.left) >= 2


def test_a_server_that_is_deleted_meanwhile_is_no_failure(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    rig.servers(4)
    gone, client = [], Client(rig.sim.url)

    def heard(progress, tally):
        if tally.done and not gone:
            gone.append(rig.sim.server(max(rig.on("gpu-0"))).id)
            client.call("compute", "DELETE", f"/servers/{gone[0]}")

    result = rig.drain(caps=Caps(1, None, 1), heard=heard)
    assert gone
    assert (result.exit_code, rig.states(result)) == (0, {"done": 4})


def test_ctrl_c_once_lets_what_runs_end(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(3)
    rig.servers(5)
    brakes = Brakes()

    def heard(progress, tally):
        brakes.pressed = max(brakes.pressed, int(tally.running == 2))

    result = rig.drain(caps=Caps(2, None, 2), brakes=brakes, heard=heard)
    assert (result.exit_code, rig.states(result)) == (130, {"done": 2, "interrupted": 3})
    assert rig.sim.broken() == []
    assert rig.drain().exit_code == 0


@pytest.mark.slow
def test_ctrl_c_twice_leaves_what_runs_to_nova(rig_of):
    rig = rig_of(tracking=True, pace=0.3)
    rig.hosts(2)
    rig.servers(3)
    brakes = Brakes()

    def heard(progress, tally):
        if progress.step == "wait":
            brakes.pressed = 2

    result = rig.drain(caps=Caps(2, None, 2), brakes=brakes, heard=heard)
    assert result.exit_code == 130
    assert "interrupted" in rig.states(result)
    rig.sim.configure(pace=0.01)
    rig.sim.settle()
    again = rig.drain()
    assert (again.exit_code, again.run) == (0, result.run)
    assert rig.sim.broken() == []
    assert rig.sim.happened.overlaps == []


def test_a_record_that_cannot_be_kept_stops_the_starting(rig_of, monkeypatch):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    rig.servers(3, volumes=1)
    write = Record.write

    def full(self, kind, run, **more):
        if kind == "result":
            raise JournalFailed("no room", details="No space left on device")
        write(self, kind, run, **more)

    monkeypatch.setattr(Record, "write", full)
    result = rig.drain(caps=Caps(1, None, 1))
    assert (result.exit_code, rig.states(result)) == (5, {"done": 1, "refused": 2})
    assert "no room" in result.stopped
