"""What a request left behind in Nova: whether it was taken, and what became of it."""

from __future__ import annotations

from gpuctl.moves.model import Action, Event, Migration, Server
from gpuctl.moves.move import ASKED, LOST, REFUSED, TAKEN, UNSENT, Sent, Sight, Track
from gpuctl.moves.result import FAILED, UNKNOWN
from gpuctl.moves.ways.steps import End, Look, Step

ACTIONS = {
    "migrate": "migrate",
    "confirm": "confirmResize",
    "revert": "revertResize",
    "shelve": "shelve",
    "offload": "shelveOffload",
    "unshelve": "unshelve",
    "evacuate": "evacuate",
    "live": "live-migration",
    "stop": "stop",
    "start": "start",
}
"""Our requests and the names of their instance actions (nova/compute/instance_actions.py)."""


def recover(track: Track) -> str:
    """Return the command that finds out more."""
    return f"gpuctl instance recover {track.move.server.id}"


def again(track: Track) -> str:
    """Return the command that goes on with this move."""
    return f"gpuctl instance migrate {track.move.server.id}"


def ours(track: Track, sight: Sight, kind: str) -> tuple[Migration, ...]:
    """Return the migrations of a kind that are new since the move began, oldest first."""
    return tuple(one for one in sight.migrations if one.id not in track.known and one.kind == kind)


def action_of(track: Track, sent: Sent, sight: Sight) -> Action | None:
    """Return the action that a request became: by its id, or, its answer lost, the oldest new one that is nobody's."""
    if sight.actions is None:
        return None
    if sent.request:
        return next((one for one in sight.actions if one.request == sent.request), None)
    claimed = track.requests | {one.request for one in track.sent if one.request}
    wanted = [one for one in sight.actions if one.action == ACTIONS.get(sent.name) and one.request not in claimed]
    nth = [one for one in track.sent if one.name == sent.name and not one.request].index(sent)
    wanted.reverse()  # oldest first
    return wanted[nth] if nth < len(wanted) else None


def taken(track: Track, sent: Sent, sight: Sight) -> bool | None:
    """Say whether Nova took a request; None while that is open (look closely, or wait a little)."""
    if sent.outcome == TAKEN:
        return True
    if sent.outcome in {REFUSED, UNSENT}:
        return False
    if action_of(track, sent, sight) is not None:
        return True
    late = sight.now - max(sent.at, track.since) >= track.move.options.settle
    settled = sight.server is None or sight.server.task_state is None
    return False if sight.close and late and settled else None


def failed_event(action: Action | None) -> Event | None:
    """Return the event of an action that went wrong: a compute's before the conductor's, which only sums it up."""
    broken = [one for one in ((action.events if action else None) or ()) if one.result == "Error"]
    return min(broken, key=lambda one: not one.name.startswith("compute_"), default=None)


def unended(track: Track, sight: Sight, name: str) -> str:
    """Return the name of a step of our request that Nova is still at; empty where there is none."""
    sent = track.last(name)
    action = action_of(track, sent, sight) if sent else None
    return next((one.name for one in (action.events if action else None) or () if one.result is None), "")


def words(action: Action | None, server: Server | None, otherwise: str = "") -> str:
    """Return what is known of why an action failed, in the words of who failed.

    Args:
        action: the failed action. Of an exception that is not Nova's own it keeps the name of the class only.
        server: the server; its fault, while it is in ERROR, has the words of such an exception.
        otherwise: what is said where nothing is known.
    """
    fault = server.fault if server else None
    told = (fault.words or fault.message) if fault else ""
    event = failed_event(action)
    if event is None or action is None:
        return otherwise or told or "Nova says no more"
    said = event.words or otherwise or told or "Nova says no more"
    if said.isidentifier() and fault and said in {fault.message, told.partition(": ")[0]}:
        said = told
    elif said.isidentifier() and event.host:
        said += f"; nova-compute's log there has its words, at {action.request}"
    return f"{event.name}{f' on {event.host}' if event.host else ''}: {said}"


def first_not_taken(track: Track, sent: Sent) -> Step:
    """Return the end of a move whose first request Nova did not take."""
    if sent.outcome in {LOST, ASKED}:
        return End(
            FAILED,
            f"the request to {sent.name} left no trace in Nova within {track.move.options.settle:g} s: it was not "
            "taken, nothing was changed",
            f"{again(track)}: it is asked for anew",
            not_taken=True,
        )
    return End(
        "refused",
        f"Nova did not take the request to {sent.name}: {sent.detail}",
        "put right what it says, and ask again",
    )


def not_begun(track: Track, sent: Sent, sight: Sight, mine: tuple[Migration, ...] = ()) -> Step | None:
    """Return the step of a move whose first request was not taken, or may not have been; None where it was.

    Args:
        track: the move.
        sent: its first request.
        sight: of this moment.
        mine: new migrations of its kind.
    """
    if sent.outcome == REFUSED:
        return _refused_first(track, sent, sight, mine)
    if mine:
        return None
    was_taken = taken(track, sent, sight)
    if was_taken is None:
        return Look("begin", f"the answer to {sent.name} was lost: is it under way?")
    return None if was_taken else first_not_taken(track, sent)


def _refused_first(track: Track, sent: Sent, sight: Sight, mine: tuple[Migration, ...]) -> Step | None:
    """Return the step for a refusal: mostly for another's doing, or the second of two that a proxy made of one."""
    if not sight.close:
        return Look("begin", f"Nova refused the {sent.name}: is it at work on one all the same?")
    if action_of(track, sent, sight) is None and not mine:
        return first_not_taken(track, sent)
    if sent.at < track.since:
        return None  # told of it, somebody asked for this move again: it is taken for ours
    return End(
        UNKNOWN,
        f"Nova refused the {sent.name} ({sent.detail}), and yet one began just then: somebody else's, or this very "
        "request, repeated on its way",
        f"if nobody else asked for it: {again(track)} goes on with it; else leave it, and look at the server",
    )
