"""The next step, from what is seen: above all what must never follow. Pure."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from gpuctl.moves.model import Action, Event
from gpuctl.moves.move import ASKED, LOST, REFUSED, STRATEGIES, TAKEN, UNSENT, Move, Options, Sent, Sight, Track
from gpuctl.moves.proof import Proof
from gpuctl.moves.ways import next_step
from gpuctl.moves.ways.begin import stale
from gpuctl.moves.ways.steps import Ask, Check, End, Look, Prove, Wait
from tests.unit.moves.ways.kit import migration, server

NOW = 1000.0
FIRST = {"cold": "migrate", "shelve": "shelve", "live": "live", "legacy": "migrate"}
NAMES = {"migrate": "migrate", "shelve": "shelve", "live": "live-migration", "confirm": "confirmResize"}
GOOD, BAD = Proof(True, "host", "good", NOW), Proof(False, "host", "bad", NOW)


def track(strategy="cold", *sent, options=None, **more):
    move = Move("m", server(), "gpu-a", "gpu-b", strategy, "", options or Options())
    return Track(move, sent=sent, **more)


def sent(name, outcome=TAKEN, at=NOW - 100, **more):
    return Sent(name, at, outcome, "req-1" if outcome == TAKEN else "", **more)


def sight(*migrations, at=None, close=True, actions=(), **fields):
    return Sight(NOW, at or server(**fields), migrations, close=close, actions=actions if close else None)


RESIZED = dict(status="VERIFY_RESIZE", vm_state="resized", host="gpu-b")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_first_request(strategy):
    step = next_step(track(strategy), sight())
    assert isinstance(step, Ask)
    assert step.name == FIRST[strategy]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_begins_a_move_is_asked_for_once(strategy):
    failed = (Action("req-9", NAMES[FIRST[strategy]], "Error", "", None, ()),)
    for outcome, close, vm_state, task_state, resumed, at, actions in product(
        (ASKED, LOST, TAKEN, REFUSED, UNSENT),
        (True, False),
        ("active", "stopped", "error"),
        (None, "resize_prep"),
        (True, False),
        (NOW, NOW - 5, NOW - 1e6),
        ((), failed),
    ):
        since = NOW - 50 if resumed else 0.0
        one = track(strategy, sent(FIRST[strategy], outcome, at=at), resumed=resumed, since=since)
        step = next_step(one, sight(close=close, actions=actions, vm_state=vm_state, task_state=task_state))
        assert not isinstance(step, Ask), (outcome, close, vm_state, task_state, resumed, at, actions)


STATUSES = (
    *("accepted", "pre-migrating", "migrating", "post-migrating", "finished", "confirming", "confirmed"),
    *("reverting", "reverted", "error", "failed"),
)


@pytest.mark.parametrize("strategy", ["cold", "legacy"])
@pytest.mark.parametrize("on_bad", ["leave", "revert"])
def test_only_what_is_proven_is_confirmed(strategy, on_bad):
    asked = set()
    for status, vm_state, task_state, proof in product(
        STATUSES, ("active", "stopped", "resized", "error"), (None, "resize_finish"), (None, BAD, GOOD)
    ):
        one = track(strategy, sent("migrate"), proof=proof, options=Options(on_bad=on_bad))
        step = next_step(one, sight(migration(status=status), vm_state=vm_state, task_state=task_state, host="gpu-b"))
        if isinstance(step, Ask):
            asked.add((step.name, status, vm_state, task_state, proof))
        assert not isinstance(step, End) or step.state != "done"
    wanted = {("confirm", "finished", "resized", None, GOOD)}
    if on_bad == "revert":
        wanted.add(("revert", "finished", "resized", None, BAD))
    if strategy == "legacy":  # never in VERIFY_RESIZE
        wanted |= {
            ("reset", "error", "error", task, proof) for task in (None, "resize_finish") for proof in (None, BAD, GOOD)
        }
    assert asked == wanted


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_ends_badly_without_a_close_look(strategy):
    for status in ("finished", "confirmed", "reverted", "error", "failed", "completed", "cancelled"):
        for vm_state in ("active", "stopped", "error", "shelved", "shelved_offloaded"):
            one = track(strategy, sent(FIRST[strategy]), checked=())
            kind = "live-migration" if strategy == "live" else "migration"
            step = next_step(one, sight(migration(status=status, kind=kind), vm_state=vm_state, close=False))
            assert not isinstance(step, End) or step.state == "done"


def test_active_without_a_finished_migration_is_a_failure():
    events = (Event("compute_resize_instance", "Error", "gpu-a", details="ssh: no"),)
    action = Action("req-1", "migrate", "Error", "", None, events)
    step = next_step(track("cold", sent("migrate")), sight(migration(status="error"), actions=(action,)))
    assert isinstance(step, End)
    assert step.state == "failed"
    assert "ssh: no" in step.detail
    assert "recover" in step.resolution


def test_done_only_after_all_books_were_read():
    one = track("cold", sent("migrate"), sent("confirm"))
    seen = sight(migration(status="confirmed"), host="gpu-b")
    assert isinstance(next_step(one, seen), Check)
    assert next_step(replace(one, checked=()), seen).state == "done"


def test_a_proof_does_not_outlive_a_request():
    one = track("cold", sent("migrate"), proof=GOOD, checked=()).with_sent(sent("stop"))
    assert (one.proof, one.checked) == (None, None)
    assert isinstance(next_step(one, sight(migration(), **RESIZED)), Prove)


def test_a_guest_is_not_judged_before_every_step_has_ended():
    """Seen on two slow machines with a real libvirt: VERIFY_RESIZE is written before compute_finish_resize ends."""
    one = track("cold", sent("migrate"))
    assert isinstance(next_step(one, sight(migration(), close=False, **RESIZED)), Prove)
    for result, step in ((None, Wait), ("Success", Prove), ("Error", Prove)):
        events = (Event("cold_migrate", "Success"), Event("compute_finish_resize", result))
        action = Action("req-1", "migrate", None, "", None, events)
        assert isinstance(next_step(one, sight(migration(), actions=(action,), **RESIZED)), step)


def test_a_confirm_that_breaks_is_told_once_the_servers_state_has_followed():
    """Seen on a real Nova: the record says error while the server still says VERIFY_RESIZE."""
    one = track("cold", sent("migrate"), replace(sent("confirm"), request="req-2"), proof=GOOD)
    action = Action("req-2", "confirmResize", None, "", None, (Event("compute_confirm_resize", None),))
    seen = sight(migration(status="error"), actions=(action,), **RESIZED)
    assert isinstance(next_step(one, seen), Look)
    over = replace(action, events=(Event("compute_confirm_resize", "Error"),))
    failed = sight(migration(status="error"), actions=(over,), status="ERROR", vm_state="error", host="gpu-b")
    step = next_step(one, failed)
    assert (step.state, "the server is ERROR on gpu-b" in step.detail) == ("failed", True)


def test_a_lost_confirm_is_proven_again_before_it_is_asked_again():
    one = track("cold", sent("migrate"), sent("confirm", LOST), proof=None)
    step = next_step(one, sight(migration(), **RESIZED))
    assert isinstance(step, Prove)
    step = next_step(replace(one, proof=GOOD), sight(migration(), **RESIZED))
    assert isinstance(step, Ask)
    twice = replace(one, sent=(*one.sent, sent("confirm", LOST)), proof=GOOD)
    assert isinstance(next_step(twice, sight(migration(), **RESIZED)), End)


def test_somebody_elses_migration_is_not_ours():
    known = track("cold", sent("migrate"), known=frozenset({1}))
    assert isinstance(next_step(known, sight(migration(1, "finished"), task_state="resize_prep")), Look)
    both = next_step(
        track("cold", sent("migrate")), sight(migration(1, "confirmed"), migration(2, "finished"), **RESIZED)
    )
    assert isinstance(both, End)
    assert both.state == "unknown"
    over = next_step(track("cold", sent("migrate")), sight(migration(1, "confirmed"), migration(2, "confirmed")))
    assert over.state == "failed"  # and so its journal ends: nothing of it is open


def test_shelved_by_us_and_unshelved_by_another():
    action = Action("req-1", "shelve", None, "", None, (Event("x", "Success"),))
    step = next_step(track("shelve", sent("shelve")), sight(host="gpu-c", actions=(action,)))
    assert isinstance(step, End)
    assert step.state == "failed"
    assert "somebody else" in step.detail


@pytest.mark.parametrize("outcome", [REFUSED, UNSENT, LOST, ASKED])
def test_what_another_shelved_is_not_unshelved(outcome):
    step = next_step(track("shelve", sent("shelve", outcome)), sight(vm_state="shelved_offloaded", host=None))
    assert isinstance(step, End)


def test_it_waits_while_nova_is_at_work():
    step = next_step(
        track("cold", sent("migrate")), sight(migration(status="migrating"), task_state="resize_migrating", close=False)
    )
    assert isinstance(step, Wait)


@pytest.mark.parametrize("name", ["confirm", "revert"])
def test_a_refusal_is_believed_only_after_a_close_look(name):
    """409 may say that an earlier one, whose answer was lost, is under way."""
    refused = replace(sent(name, REFUSED, at=NOW), detail="while it is in task_state resize_confirming")
    one = track("cold", sent("migrate"), refused)
    waits = migration(status="finished")
    assert isinstance(next_step(one, sight(waits, close=False, **RESIZED)), Look)
    assert next_step(one, sight(waits, **RESIZED)).state == "unfinished"


def test_a_migration_since_the_plan_is_somebody_elses():
    one = track("cold")
    one = replace(one, move=replace(one.move, records=(1,)))
    assert stale(one, sight(migration(1, "confirmed"))) is None
    assert "migration 2, which is error" in stale(one, sight(migration(1, "confirmed"), migration(2, "error"))).detail


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_refused_beginning_that_began_all_the_same_is_not_silently_ours(strategy):
    name = FIRST[strategy]
    began = (Action("req-9", NAMES[name], None, "", None, (Event("x", None),)),)
    refused = replace(sent(name, REFUSED, at=NOW - 1), detail="while it is in task_state shelving")
    for task_state in (None, "shelving", "resize_prep"):
        now = track(strategy, refused)
        assert isinstance(next_step(now, sight(close=False, task_state=task_state)), Look)
        said = next_step(now, sight(actions=began, task_state=task_state))
        assert (type(said), said.state) == (End, "unknown")
        assert "somebody else" in said.detail
        assert next_step(now, sight(task_state=task_state)).state == "refused"
        again = track(strategy, refused, resumed=True, since=NOW)
        assert not isinstance(next_step(again, sight(actions=began, task_state=task_state)), (Ask, End))


def test_a_refused_migrate_beside_a_new_migration_is_not_confirmed():
    refused = replace(sent("migrate", REFUSED, at=NOW - 1), detail="409")
    step = next_step(track("cold", refused, proof=GOOD), sight(migration(status="finished"), **RESIZED))
    assert (type(step), step.state) == (End, "unknown")
