"""The 2016 sequence: migrate, and where the start fails there: reset-state, stop, start. Only up to 21 (nova.md 4.5).

There an `error` migration owns nothing, so that the source's audit frees its card; the start waits for that audit.
"""

from __future__ import annotations

from gpuctl.moves.model import Migration, Server
from gpuctl.moves.move import Sight, Track
from gpuctl.moves.result import FAILED
from gpuctl.moves.ways import cold
from gpuctl.moves.ways.cold import settled
from gpuctl.moves.ways.steps import Ask, End, Look, Step, Wait
from gpuctl.moves.ways.traces import action_of, ours, recover, taken, words


def step(track: Track, sight: Sight) -> Step:
    """Return what comes next: as the cold way, until its start on the destination fails."""
    mine = ours(track, sight, "migration")
    server = sight.server
    if server is None or len(mine) != 1 or mine[0].status != "error" or mine[0].dest is None:
        return cold.step(track, sight)
    return _after_error(track, sight, server, mine[0])


def _after_error(track: Track, sight: Sight, server: Server, migration: Migration) -> Step:
    if not sight.close:
        return Look("move", f"migration {migration.id} is {migration.status}")
    if server.host != migration.dest:
        return cold.step(track, sight)
    reset, stop, start = track.last("reset"), track.last("stop"), track.last("start")
    if reset is None:
        if server.vm_state != "error" or track.last("confirm") is not None:
            return cold.step(track, sight)
        return Ask("reset", {"os-resetState": {"state": "active"}}, f"reset the state of server {server.id}")
    if server.task_state is not None:
        return Wait("power", server.task_state)
    if stop is None:
        if server.vm_state == "error":
            return End(FAILED, "reset-state did not take effect", recover(track))
        return Ask("stop", {"os-stop": None}, f"stop server {server.id}")
    if start is None:
        if taken(track, stop, sight) is None or server.vm_state != "stopped":
            return Look("power", "stopping")
        if sight.now - max(stop.at, track.since) < track.move.options.audit:
            return Wait("audit", f"waiting for the audit of {migration.source} to free its card")
        if not track.move.ran:
            return settled(track, sight, server, migration.dest)
        return Ask("start", {"os-start": None}, f"start server {server.id} on {migration.dest}")
    action = action_of(track, start, sight)
    if server.vm_state == "active":
        return settled(track, sight, server, migration.dest)
    if action is not None and action.message == "Error":
        return End(FAILED, f"it does not start on {migration.dest}: {words(action, server)}", recover(track))
    return Look("power", "starting")
