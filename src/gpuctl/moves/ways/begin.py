"""The moment before the first request: is everything still as it was when the move was planned?"""

from __future__ import annotations

from gpuctl.moves.model import AWAITS
from gpuctl.moves.move import Sight, Track
from gpuctl.moves.result import REFUSED
from gpuctl.moves.ways.steps import End


def stale(track: Track, sight: Sight) -> End | None:
    """Return why a plan no longer holds; None where it does."""
    move, server = track.move, sight.server
    if server is None:
        return _no("the server is gone")
    before = (move.server.host, move.server.vm_state, None)
    if (server.host, server.vm_state, server.task_state) != before:
        return _no(f"it is {server.status} on {server.host or 'no host'} now (task {server.task_state or 'none'})")
    if server.locked and not move.options.force_locked:
        return _no("it was locked meanwhile")
    since = [one for one in sight.migrations if move.records is not None and one.id not in move.records]
    if since:
        return _no(f"somebody else began migration {since[-1].id}, which is {since[-1].status}")
    waiting = [one for one in sight.migrations if one.open or one.status == AWAITS]
    if waiting:
        return _no(f"migration {waiting[-1].id} is {waiting[-1].status}")
    return None


def _no(why: str) -> End:
    return End(REFUSED, f"since the plan was made something changed: {why}; nothing was touched", "plan it again")
