"""Bringing a guest back: a reset of its state where it runs; a hard reboot, a start or an unshelve where it is off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.moves.recover.guest import OFF, RUNS, guest_of
from gpuctl.moves.recover.step import Act, Await, Expect, Step

if TYPE_CHECKING:
    from gpuctl.moves.recover.case import Case
    from gpuctl.moves.recover.sight import Sight

UNSHELVE_TO_HOST = (2, 91)
ACTIVE = frozenset({"ACTIVE"})
OFFLOADED = "SHELVED_OFFLOADED"
SHELVED = frozenset({"SHELVED", OFFLOADED})
ALONE = "it is not done unless its own host alone holds cards for it, looked at right before"
CASES = (
    "finish-failed",
    "finish-failed-and-started",
    "copy-failed",
    "rolled-back-and-rebooted",
    "confirm-failed",
    "revert-failed",
    "alias-missing",
    "claim-failed",
    "snapshot-failed",
    "guest-not-running",
    "guest-wrong-cards",
    "start-refused",
    "unshelve-failed",
    "shelved-in-repair",
    "evacuated-and-started",
    "evacuated-and-stopped",
    "error-otherwise",
    "verify-resize-without-migration",
)
"""The cases that step_for() has an answer to."""


def step_for(sight: Sight, case: Case) -> Step | str:
    """Return the step that brings the guest back, or what a person can do instead; empty where nothing is to do."""
    if case.id == "error-otherwise":
        return "read the fault (openstack server show) and the logs; gpuctl repairs what moves leave behind, no more"
    if case.id == "verify-resize-without-migration":
        return (
            "openstack server migration list --server SERVER: was a record purged? An administrator of Nova has to look"
        )
    if case.id == "start-refused" and not case.proof:
        return f"free its card first: {case.title}; then run recover again"
    if sight.evacuation is not None:
        return ""  # the old host comes first
    if sight.status in SHELVED:
        owed = sight.owed
        first, *more = bring_back(sight, case.id, owed.host if owed else None, stopped=owed.stopped if owed else False)
        if owed is not None and sight.status != OFFLOADED:  # on its host still, with the cards that the repair is about
            first, more = offload(case.id), [freed(case.id, sight.home or ""), first, *more]
        return replace(first, then=tuple(more))
    if sight.status == "SHUTOFF":
        return _start(case)
    seen = guest_of(sight)
    guest = seen.state if seen.seen else case.guest
    if case.id == "guest-wrong-cards":
        return _hard_reboot(case, certain=False)
    if guest == RUNS:
        return _reset(case.id) if sight.status == "ERROR" else ""
    return _hard_reboot(case, certain=guest == OFF)


def bring_back(sight: Sight, case: str, host: str | None, *, stopped: bool) -> tuple[Step, ...]:
    """Return the unshelve to a host (2.91; before, Nova chooses), and the stop of a server that was stopped."""
    to = host if sight.books.newest >= UNSHELVE_TO_HOST else None
    cards = sight.server.cards if sight.server else 0
    unshelve = Step(
        "unshelve",
        case,
        f"unshelve it to {to}" if to else "unshelve it (Nova chooses the host)",
        "shelved, it holds no card; a failure leaves it shelved",
        Act({"unshelve": {"host": to} if to else None}),
        Expect(
            status=ACTIVE,
            exactly=(to, cards) if to else None,
            guest=RUNS,
            words=f"ACTIVE, with {cards} cards" + (f" of {to}" if to else ""),
        ),
        seconds=3600.0,
    )
    return (unshelve, stop(case)) if stopped else (unshelve,)


def offload(case: str) -> Step:
    """Return the step that takes a shelved server off its host: clouds may do that later, or never, by themselves."""
    return Step(
        "offload",
        case,
        "offload it, where the shelve did not: only that frees its cards",
        "its snapshot is made, and it is off",
        Act({"shelveOffload": None}),
        Expect(status=frozenset({OFFLOADED}), words=OFFLOADED),
        unless=OFFLOADED,
    )


def freed(case: str, host: str) -> Step:
    """Return the wait for the cards of a host that a shelved server left; see ``gpuctl.moves.ways.shelve``."""
    return Step(
        f"free-{host}",
        case,
        f"wait until {host} has freed its cards",
        "nothing is asked for",
        Await(),
        Expect(free=(host,), words=f"no card of it on {host} any more"),
        seconds=180.0,
    )


def stop(case: str) -> Step:
    """Return the step that stops a server that was stopped before."""
    return Step(
        "stop",
        case,
        "stop it, as it was before",
        "it was SHUTOFF",
        Act({"os-stop": None}),
        Expect(status=frozenset({"SHUTOFF"}), words="SHUTOFF"),
    )


def _hard_reboot(case: Case, *, certain: bool) -> Step:
    return Step(
        "hard-reboot",
        case.id,
        "hard reboot: define the guest anew, with its card, and start it",
        ALONE + ("; the guest is off" if certain else ""),
        Act({"reboot": {"type": "HARD"}}),
        Expect(status=ACTIVE, guest=RUNS, words="ACTIVE, and the guest runs"),
        destroys="" if certain else "a guest that runs is powered off like by its plug",
    )


def _start(case: Case) -> Step:
    return Step(
        "start",
        case.id,
        "start it",
        ALONE,
        Act({"os-start": None}),
        Expect(status=ACTIVE, guest=RUNS, words="ACTIVE, and the guest runs"),
    )


def _reset(case: str) -> Step:
    return Step(
        "reset-state",
        case,
        "reset its state to active: the guest runs, only Nova's status is wrong",
        "no move of it waits for a confirmation; this changes two fields and touches no guest",
        Act({"os-resetState": {"state": "active"}}),
        Expect(status=ACTIVE, guest=RUNS, words="ACTIVE"),
    )
