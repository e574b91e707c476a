"""The cases that a server is in: pure, from one sight. In the order in which they are to be repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.model import AWAITS, BROKEN
from gpuctl.moves.recover.accounts import accounts
from gpuctl.moves.recover.case import LIKELY, POSSIBLE, PROVEN, Case
from gpuctl.moves.recover.draft import SETTLED
from gpuctl.moves.recover.guest import RUNS, guest_of, proof_of, running_elsewhere
from gpuctl.moves.recover.holds import Hold, holds, seconds_ago
from gpuctl.moves.recover.phase import Phase, phase
from gpuctl.moves.recover.remains import remains
from gpuctl.moves.recover.sight import Sight, moment
from gpuctl.moves.recover.statements import DROPPED
from gpuctl.moves.recover.stories import stories

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl.moves.model import Migration

DATABASE = "--nova-db: the database shows which cards are held"
STUCK_S = 30 * 60
"""Seconds without a change after which a move under way is called stuck; copying disks updates nothing meanwhile."""

ABANDONED_S = 2 * 60
"""Seconds after which a server at rest with an open migration is not one whose move began between two readings."""


def diagnose(sight: Sight) -> tuple[Case, ...]:
    """Return the cases that hold, the one to be repaired first in front; `healthy` alone where there is none."""
    found = tuple(_first(sight)) or (
        *_leaks(sight),
        *_verify(sight),
        *_evacuations(sight),
        *stories(sight),
        *accounts(sight),
        *remains(sight),
    )
    if all(one.harmless for one in found):
        return (*found, _healthy(sight))
    return found


def _first(sight: Sight) -> Iterator[Case]:
    """Yield what keeps everything else from being judged: two guests, a move under way."""
    twice = running_elsewhere(sight)
    if twice and (guest_of(sight).state == RUNS or len(twice) > 1) and not _under_way(sight):
        yield Case(
            "two-guests",
            "its guest runs on two hosts: their disks may be the same, and one of them is not known to Nova",
            tuple(
                f"domain {one.name} runs on {one.host} with {', '.join(one.hostdevs) or 'no cards'}" for one in twice
            ),
        )
    elif sight.own is not None:
        own = sight.own
        yield Case(
            "interrupted",
            "a move that gpuctl itself began did not come to its end here",
            (f"the journal: {own.strategy} {own.source} -> {own.dest or 'any host'}, last asked for: {own.asked}",),
        )
    elif (left := abandoned(sight)) is not None:
        yield Case(
            "stuck",
            f"nova-compute was restarted in the midst of a move: the server is at rest on {left.source} again, "
            f"migration {left.id} is {left.status} for ever, and cards of {left.dest} are held for its sake",
            (f"task_state None, status {sight.status}", f"migration {left.id} is {left.status} since {left.updated}"),
            LIKELY,
            "that no nova-compute of the two still works on it: their logs",
            migration=left,
            hold=Hold(left.dest or "", (), left, seen=False),
        )
    elif _under_way(sight):
        yield _in_progress(sight)


def abandoned(sight: Sight) -> Migration | None:
    """Return the move that Nova has dropped; None where there is none, or Nova may still be at work on it.

    A nova-compute that starts rolls back what it was copying and clears the task (ComputeManager._init_instance), and
    leaves the record open. While it copies, the server has a task, and its record is closed before that ends.
    """
    server, moves = sight.server, [one for one in sight.migrations if one.open]
    if server is None or server.task_state or sight.status not in SETTLED or len(moves) != 1:
        return None
    one = moves[0]
    if not one.cold or one.status not in DROPPED or one.dest is None or one.source != sight.home:
        return None
    quiet = min(seconds_ago(sight, one.updated), seconds_ago(sight, server.updated))
    return one if quiet >= ABANDONED_S else None


def _under_way(sight: Sight) -> bool:
    task = sight.server.task_state if sight.server else None
    return bool(task) or any(one.open for one in sight.migrations)


def _in_progress(sight: Sight) -> Case:
    """Return the case of a server that Nova is at work on, or was."""
    from datetime import datetime

    server = sight.server
    moves = [one for one in sight.migrations if one.open]
    last = max([moment(server.updated) if server else "", *(moment(one.updated) for one in moves)])
    evidence = (
        f"task_state {server.task_state if server else None}, last changed {last}",
        *(f"migration {one.id} {one.source} -> {one.dest} is {one.status} since {one.updated}" for one in moves),
        *(
            f"nova-compute of {host} is down"
            for host in sorted({host for one in moves for host in (one.source, one.dest) if host})
            if not sight.is_up(host)
        ),
    )
    try:
        quiet = (datetime.fromisoformat(moment(sight.now)) - datetime.fromisoformat(last)).total_seconds()
    except ValueError:
        quiet = 0.0
    if quiet < STUCK_S:
        return Case("in-progress", "something is under way: wait for its end", evidence)
    return Case(
        "stuck",
        f"something is under way and has not changed for {quiet / 60:.0f} minutes; Nova may still be copying disks",
        evidence,
        POSSIBLE,
        "the logs of both hosts' nova-compute; a compute that is down goes on, or gives up, once it is back",
    )


def _leaks(sight: Sight) -> Iterator[Case]:
    """Yield the cards that are held beyond those of the server's place, those on other hosts first."""
    found = sorted(holds(sight), key=lambda one: (one.host == sight.home, one.host))
    yield from (_leak(sight, one) for one in found)
    told = {one.keeper for one in found if one.host != sight.home}
    for one in sight.finished[:-1] if sight.status == "VERIFY_RESIZE" else sight.finished:
        if one not in told and sight.server is not None:
            yield Case(
                "reset-state-too-early-and-again" if len(sight.finished) > 1 else "reset-state-too-early",
                "its state was reset while a move waited for its confirmation, and that record still waits: Nova would "
                "take it for the next move's",
                (f"migration {one.id} {one.source} -> {one.dest} is finished, and the server {sight.status}",),
                migration=one,
            )


def _leak(sight: Sight, hold: Hold) -> Case:
    name, title = _leak_words(sight, hold)
    keeper = hold.keeper
    step, event = (None, None) if keeper is None else phase(sight, keeper)
    evidence = [f"migration {keeper.id} {keeper.source} -> {keeper.dest} is {keeper.status}"] if keeper else []
    evidence += [f"event {event.name} failed"] if event else []
    if hold.seen:
        evidence.append(f"pci_devices: {', '.join(hold.addresses)} of {hold.host} belong to this server")
    certainty = PROVEN if hold.seen else LIKELY if step or (keeper and keeper.status == AWAITS) else POSSIBLE
    proof = "" if hold.seen else DATABASE
    return Case(name, title, tuple(evidence), certainty, proof, migration=keeper, hold=hold)


def _leak_words(sight: Sight, hold: Hold) -> tuple[str, str]:
    """Return id and title of a leak."""
    keeper, held = hold.keeper, f"a card of {hold.host} is held for it"
    if hold.host == sight.home:
        return (
            "retried-after-leak",
            f"it holds too many cards on its own host {hold.host}: a move was tried again after a leak",
        )
    if keeper is None:
        return "row-awaits-audit", f"{held}, and nothing keeps it: the next audit of that nova-compute frees it"
    if keeper.kind == "evacuation":
        return "evacuation-holds", f"it was evacuated from {hold.host}, which still holds a card for it"
    if keeper.status == AWAITS:
        again = len(sight.finished) > 1
        more = "; it was moved again since, so that Nova would confirm the wrong move" if again else ""
        name = "reset-state-too-early-and-again" if again else "reset-state-too-early"
        return name, f"its state was reset while a move waited for its confirmation: {held}{more}"
    step, _ = phase(sight, keeper)
    if step in {Phase.SOURCE, None} and sight.home == keeper.source and sight.status != "ERROR":
        return "rolled-back", f"a move was rolled back and the guest stayed, but {held}"
    return "leaked-card", f"a move failed, and since then {held}"


def _verify(sight: Sight) -> Iterator[Case]:
    """Yield a move that nobody confirmed."""
    if sight.status != "VERIFY_RESIZE":
        return
    proof = proof_of(sight)
    newest = sight.finished[-1] if sight.finished else None
    if newest is None:
        yield Case(
            "verify-resize-without-migration",
            "it is in VERIFY_RESIZE, and no migration record waits: neither a confirm nor a revert can work",
            (f"status VERIFY_RESIZE on {sight.home}",),
        )
        return
    yield Case(
        "verify-resize-left",
        f"a move {newest.source} -> {newest.dest} waits for its confirmation",
        (f"migration {newest.id} is finished since {newest.updated}", proof.why),
        PROVEN if proof.by == "host" else LIKELY,
        "" if proof.by == "host" else "--ssh: the host shows whether the guest is good",
        migration=newest,
    )


def _evacuations(sight: Sight) -> Iterator[Case]:
    """Yield an evacuation whose old host has not cleaned up, or one that has and left the server stopped."""
    left = sight.evacuation
    if left is not None:
        up = sight.is_up(left.source)
        yield Case(
            "evacuated-old-host-back" if up else "evacuated-old-host-away",
            f"it was evacuated from {left.source}, "
            + (
                "which is up again and has not cleaned up: its nova-compute has to be restarted"
                if up
                else "which is away: until its nova-compute is back, a start here would destroy the guest"
            ),
            (
                f"migration {left.id} is done, not completed",
                f"nova-compute of {left.source} is {'up' if up else 'down or forced down'}",
            ),
            migration=left,
            host=left.source,
        )
        return
    newest = sight.migrations[-1] if sight.migrations else None
    if newest is None or newest.kind != "evacuation" or sight.status != "SHUTOFF":
        return
    if newest.status not in {"completed", "done"}:
        return
    if any(one.action in {"start", "stop"} and one.message is None for one in sight.actions[-1:]):
        return
    if sight.failed_action is not None and sight.failed_action.action == "start":
        return  # told by its story
    yield Case(
        "evacuated-and-stopped",
        f"it was evacuated from {newest.source}, "
        + ("which has cleaned up since" if newest.status == "completed" else "which is away and holds no card of it")
        + "; it stays stopped until it is started",
        (f"migration {newest.id} is {newest.status}", "status SHUTOFF"),
        migration=newest,
    )


def _healthy(sight: Sight) -> Case:
    """Return what was found of a server that needs nothing."""
    unseen = [one.view for one in sight.books.unseen]
    evidence = [f"status {sight.status} on {sight.home}"] if sight.server else ["there is no such server any more"]
    evidence += [f"cards in the database: {len(sight.rows)}"] if sight.rows is not None else []
    broken = [one.id for one in sight.migrations if one.status == BROKEN and one.cold]
    if broken:
        evidence.append(f"error migrations that hold nothing: {', '.join(map(str, broken))}")
    if unseen:
        evidence.append(f"not looked at: {', '.join(unseen)}")
    return Case(
        "healthy",
        "nothing has to be repaired"
        if not unseen
        else "nothing was found that has to be repaired, as far as can be seen",
        tuple(evidence),
        PROVEN if not unseen else LIKELY,
        "" if not unseen else "the views that were not looked at",
        harmless=True,
    )
