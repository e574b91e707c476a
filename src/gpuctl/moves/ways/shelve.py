"""Shelve, offload, unshelve on a named host (2.91): nova.md 4.8; openstack-lab.md 9.

Never cards on two hosts, nothing to confirm; but nobody keeps a card for it while it is shelved.
"""

from __future__ import annotations

from gpuctl.moves.model import Row, Server, moment
from gpuctl.moves.move import REFUSED, Sent, Sight, Track
from gpuctl.moves.result import FAILED, UNFINISHED
from gpuctl.moves.ways.cold import TRIES, gone, settled
from gpuctl.moves.ways.steps import Ask, End, Look, Step, Wait
from gpuctl.moves.ways.traces import action_of, again, not_begun, recover, taken, unended, words

LONG = 0.5
"""Seconds in which a host lets go of a server that it offloaded, if it has not to wait for an audit first."""


def step(track: Track, sight: Sight) -> Step:
    """Return what comes next."""
    sent = track.last("shelve")
    server = sight.server
    if sent is None:
        return _taken_in(track, sight) or Ask("shelve", {"shelve": None}, f"shelve server {track.move.server.id}")
    if server is None:
        return gone(sight)
    if server.task_state is not None and sent.outcome != REFUSED:
        return _wait(track, server)
    other = not_begun(track, sent, sight)
    if other is not None:  # whoever shelved it then, if anybody did, it was not this move
        return other
    if server.task_state is not None:
        return _wait(track, server)
    if server.vm_state == "shelved":
        return _offload(track, sight, server)
    if server.vm_state == "shelved_offloaded":
        return _leaving(track, sight, server) or _unshelve(track, sight)
    if server.vm_state == "error":
        return _error(track, sight, server)
    if track.last("unshelve") is None:
        return _still_there(track, sight, server)
    return _arrived(track, sight, server)


def _taken_in(track: Track, sight: Sight) -> Wait | None:
    """Wait until the nova-compute that the server came to has taken it in, which only its periodic audit does.

    Shelved before, the server keeps its card's row there (ResourceTracker.update_usage passes over what it does not
    track), and an unshelve meanwhile gives the guest both cards, the old one by its address: on hosts of one make
    that is a card of somebody else. Boots and unshelves are tracked at once, moves are not (seen on Nova 34).
    """
    moved = [when.timestamp() for one in sight.migrations if one.dest and (when := moment(one.updated or one.created))]
    left = max(moved, default=0.0) + track.move.options.audit - (sight.now + sight.ahead)
    if left <= 0:
        return None
    what = f"it came to {track.move.source} a moment ago: shelved before the audit there it would keep its card's row"
    return Wait("audit", f"{what}; {min(left, track.move.options.audit):.0f} s to wait", sight.now)


def _wait(track: Track, server: Server) -> Step:
    done = track.last("unshelve") is not None
    if server.task_state in {"powering-off", "powering-on"}:
        return Wait("power", f"{server.task_state} on {server.host}")
    where = server.host or track.move.to
    return Wait("unshelve" if done else "shelve", f"{server.task_state}{f' on {where}' if where else ''}")


def _offload(track: Track, sight: Sight, server: Server) -> Step:
    """Shelved, and still on its host: this cloud offloads later, or never ([compute] shelved_offload_time)."""
    again_or_wait = _repeat(track, sight, "offload", "shelve")
    if again_or_wait is not None:
        return again_or_wait
    return Ask("offload", {"shelveOffload": None}, f"offload server {server.id} from {server.host}")


def _leaving(track: Track, sight: Sight, server: Server) -> Step | None:
    """Wait until the host has let go of it: it is SHELVED_OFFLOADED before its cards are free, and off its host last.

    ComputeManager._shelve_offload_instance saves the state, waits for the resource tracker (an audit may have it for
    long), frees the cards, and only then writes "no host", whatever was begun meanwhile. Unshelved in between, the
    guest has the cards of both hosts, and the server is ACTIVE on no host. What failed at that point has its host for
    ever: then its cards are freed by the audit.
    """
    if server.host is None:
        return None
    changed = moment(server.updated)
    since = changed.timestamp() - sight.ahead if changed else 0.0
    at_it = not sight.close or unended(track, sight, "shelve") or unended(track, sight, "offload")
    if at_it or sight.now - since < track.move.options.audit:
        return Look("audit", f"offloaded, and {server.host} has not let go of it yet", since)
    return None


def _unshelve(track: Track, sight: Sight) -> Step:
    """On no host: it may go to its new one; a try that failed left nothing behind, and a person may ask again."""
    sent = track.last("unshelve")
    if sent is not None and track.resumed and track.since > sent.at:
        # Somebody asked for this move again: a try that failed left nothing behind (openstack-lab.md 9).
        if not sight.close or taken(track, sent, sight) is None:
            return Look("unshelve", "shelved and on no host: is the unshelve of before over?")
    elif sent is not None:
        return _unshelve_again(track, sight, sent)
    return _ask_unshelve(track, sight)


def _unshelve_again(track: Track, sight: Sight, sent: Sent) -> Step:
    """Asked for in this run, and shelved on no host still: lost, not begun yet, or failed."""
    if not sight.close:
        return Look("unshelve", "the unshelve was asked for, and the server is on no host yet")
    action = action_of(track, sent, sight)
    if action is None or action.message != "Error":
        more = _repeat(track, sight, "unshelve", "unshelve")
        return more or _ask_unshelve(track, sight)
    return End(
        UNFINISHED,
        f"{track.move.to} did not take it ({words(action, sight.server)}); it is shelved, off, on no host and "
        "holds no card",
        f"{again(track)} tries again, --host HOST elsewhere",
    )


def _ask_unshelve(track: Track, sight: Sight) -> Step:
    first, last = track.lingered or (0.0, 0.0)
    if sight.blind and last - first >= LONG and sight.now - last < track.move.options.audit:
        # What its host waited for was an audit, most likely; one that saw it offloaded does not track it any more, so
        # that its cards were passed over, and the next audit frees them.
        what = f"{track.move.source} was long in letting go of it: its next audit frees its cards for sure"
        return Wait("audit", f"{what}; --nova-db shows them, and does not wait", last)
    if sight.rows is None:
        return Look("unshelve", "are its cards free?", rows=True)
    if sight.rows:
        return _still_held(track, sight, sight.rows)
    server, to = track.move.server.id, track.move.to
    return Ask("unshelve", {"unshelve": {"host": to}}, f"unshelve server {server} on {to}")


def _still_held(track: Track, sight: Sight, rows: tuple[Row, ...]) -> Step:
    """Nova's books give it cards while it is on no host: the guest would get those besides its new ones."""
    cards, hosts = ", ".join(f"{one.host} {one.address}" for one in rows), ", ".join(sorted({one.host for one in rows}))
    if track.held and sight.now - track.held > track.move.options.audit:
        return End(
            UNFINISHED,
            f"{cards}: still its own in Nova's books, {sight.now - track.held:.0f} s after it was shelved; unshelved "
            "now, its guest would get that card's address as well",
            f"nova-compute on {hosts} frees it at its next audit, or at its start: look at it, then {again(track)}",
        )
    return Look("audit", f"waiting for the audit of {hosts} to free {cards}", since=track.held, rows=True)


def _repeat(track: Track, sight: Sight, name: str, kind: str) -> Step | None:
    """Return the step for a request that was asked for already; None where it may be asked for (again)."""
    sent = track.last(name)
    if sent is None:
        return None
    was_taken = taken(track, sent, sight)
    if was_taken is None:
        return Look(kind, f"the answer to {name} was lost: is it under way?")
    if was_taken:
        action = action_of(track, sent, sight)
        if sight.close and action is not None and action.message == "Error":
            if sent.at < track.since:
                return None
            return End(UNFINISHED, f"the {name} failed: {words(action, sight.server)}", again(track))
        return Look(kind, f"the {name} was taken")
    if sent.detail and sent.at >= track.since:
        return End(UNFINISHED, f"Nova did not take the {name}: {sent.detail}; the server is shelved", again(track))
    if track.count(name) >= TRIES:
        return End(UNFINISHED, f"the request to {name} left no trace, twice; the server is shelved", again(track))
    return None


def _still_there(track: Track, sight: Sight, server: Server) -> Step:
    """Not shelved after all: the snapshot failed, and the guest is off although Nova says ACTIVE."""
    if not sight.close:
        return Look("shelve", f"the shelve was asked for, and the server is {server.status} yet")
    sent = track.last("shelve")
    action = action_of(track, sent, sight) if sent else None
    if action is None or action.message != "Error":
        if server.host not in {track.move.source, None}:
            return End(FAILED, f"somebody else unshelved it: {server.status} on {server.host}", recover(track))
        if action is not None and action.events and all(one.result == "Success" for one in action.events):
            return End(
                FAILED,
                f"it was shelved, and somebody else brought it back: {server.status} on {server.host}",
                recover(track),
            )
        return Look("shelve", "the shelve was taken")
    why = words(action, server)
    return End(
        FAILED,
        f"the shelve failed ({why}); Nova says {server.status} on {server.host}, but the guest was powered off for "
        "the snapshot",
        recover(track),
    )


def _arrived(track: Track, sight: Sight, server: Server) -> Step:
    """Unshelved: it runs; put it back as it was, then check."""
    move = track.move
    if server.vm_state == "active" and not move.ran:
        sent = track.last("stop")
        if sent is None:
            return Ask("stop", {"os-stop": None}, f"stop server {server.id}, as it was before")
        was_taken = taken(track, sent, sight)
        if was_taken is None:
            return Look("power", "the answer to stop was lost: is it under way?")
        if was_taken is False and not sent.detail and track.count("stop") < TRIES:
            return Ask("stop", {"os-stop": None}, f"stop server {server.id}, as it was before")
        if not sight.close:
            return Look("power", "asked to stop, and still ACTIVE")
        # It moved well; that it runs although it did not before is told by the check.
    return settled(track, sight, server, move.to)


def _error(track: Track, sight: Sight, server: Server) -> Step:
    if not sight.close:
        return Look("shelve", "the server is in ERROR?")
    sent = track.last("unshelve") or track.last("offload") or track.last("shelve")
    why = words(action_of(track, sent, sight) if sent else None, server)
    return End(FAILED, f"the server is in ERROR on {server.host or 'no host'} ({why})", recover(track))
