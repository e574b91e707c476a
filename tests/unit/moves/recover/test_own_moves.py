"""gpuctl's own moves that did not end: the engine takes them up, and what they left is repaired after that."""

from __future__ import annotations

import time

import pytest

from gpuctl.moves.engine import Pace
from gpuctl.moves.journal import Journal, peek
from gpuctl.moves.move import TAKEN, Move, Options, Sent, Track
from gpuctl.moves.recover.diagnosis import diagnose
from gpuctl.moves.recover.resume import resume
from tests.unit.moves.recover.rig import HERE, THERE

QUICK = Pace(shortest=0.01, longest=0.05, look=0.01)


def begun(rig, options=None):
    """A cold move that gpuctl asked for, and was killed after that."""
    nova = rig.reader().nova
    track = Track(Move("m-1", nova.find("guest"), HERE, THERE, "cold", options=options or Options()))
    at = time.time()
    with Journal.open("sim", rig.server) as journal:
        journal.begin(track)
        journal.intent(track, Sent("migrate", at))
        _, request = rig.client.act(rig.server, "migrate", {"host": THERE})
        journal.answer(track, Sent("migrate", at, TAKEN, request))
    rig.cloud.settle()


@pytest.fixture
def own(rig):
    def make(**settings):
        one = rig(**settings)
        one.resume = lambda server: resume(one.reader(), server, QUICK)
        return one

    return make


def test_it_is_taken_up_and_confirmed(own):
    one = own()
    begun(one)
    assert [case.id for case in diagnose(one.sight())] == ["interrupted"]
    found = one.repair()
    assert [(step.step, step.state) for step in found.result.steps] == [("resume", "done")], found.result.steps
    assert found.result.state == "done", found
    assert peek("sim", one.server) is None
    assert one.cloud.broken() == []
    assert one.cloud.happened.confirmed_unproven == []


def test_one_that_failed_is_taken_up_and_then_repaired(own):
    one = own()
    one.cloud.inject(THERE, "finish_migration")
    begun(one)
    found = one.repair()
    assert [step.step for step in found.result.steps][:2] == ["resume", "end-migration-1"]
    assert found.result.state == "done", found
    assert one.cloud.broken() == []
    assert len(one.cloud.migrations_of(one.server)) == 1


def test_one_that_was_to_stay_in_verify_resize_is_confirmed_by_recover(own):
    one = own()
    begun(one, Options(confirm=False))
    assert [case.id for case in diagnose(one.sight())] == ["verify-resize-left"]
    found = one.repair()
    assert found.result.state == "done", found
    assert one.cloud.broken() == []


def test_none_is_taken_up_without_consent(own):
    one = own()
    begun(one)
    one.operator._agrees = False
    assert one.repair().result.state == "unfinished"
    assert one.cloud.server_state(one.server)["status"] == "VERIFY_RESIZE"


def test_after_ctrl_c_nothing_else_is_begun(own, monkeypatch):
    from gpuctl.cli.instance_recover import _each, exit_code
    from gpuctl.moves import watch

    one = own()
    begun(one)
    poll = watch.Watch.poll

    def interrupted(self):
        poll(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.Watch, "poll", interrupted)
    found = _each(one.repairer(), [one.server, "not-begun"])
    assert [each.result.state for each in found] == ["interrupted"]
    assert [(each.step, each.state) for each in found[0].result.steps] == [("resume", "unknown")]
    assert exit_code(found) == 130
    monkeypatch.setattr(watch.Watch, "poll", poll)
    assert one.repair().result.state == "done"
    assert one.cloud.broken() == []
