"""Live migration: only where every device is live-migratable (31 and newer; nova.md 4.9)."""

from __future__ import annotations

from gpuctl.moves.model import Migration, Server
from gpuctl.moves.move import Sight, Track
from gpuctl.moves.result import FAILED
from gpuctl.moves.ways.cold import gone, settled, several
from gpuctl.moves.ways.steps import Ask, End, Look, Step, Wait
from gpuctl.moves.ways.traces import action_of, not_begun, ours, recover, words


def step(track: Track, sight: Sight) -> Step:
    """Return what comes next."""
    sent = track.last("live")
    if sent is None:
        body = {"os-migrateLive": {"host": track.move.to, "block_migration": "auto"}}
        return Ask("live", body, f"live-migrate server {track.move.server.id}")
    if sight.server is None:
        return gone(sight)
    mine = ours(track, sight, "live-migration")
    if len(mine) > 1:
        return several(track, sight, mine)
    other = not_begun(track, sent, sight, mine)
    if other is not None:
        return other
    if mine:
        return _with(track, sight, sight.server, mine[0])
    action = action_of(track, sent, sight)
    if action is not None and action.message == "Error" and sight.server.task_state is None:
        return End(FAILED, f"the live migration did not begin: {words(action, sight.server)}", recover(track))
    return Look("begin", "waiting for Nova's migration record")


def _with(track: Track, sight: Sight, server: Server, migration: Migration) -> Step:
    if migration.status == "completed":
        if server.task_state is not None or server.host != migration.dest:
            return Look("live", "completed; the server's record follows")
        return settled(track, sight, server, migration.dest)
    if migration.open:
        return Wait("live", f"{migration.status}{f' to {migration.dest}' if migration.dest else ''}")
    if not sight.close or (server.task_state is not None and server.vm_state != "error"):
        return Look("live", f"migration {migration.id} is {migration.status}")
    sent = track.last("live")
    why = words(action_of(track, sent, sight) if sent else None, server)
    leak = "" if migration.dest is None else f"; a card on {migration.dest} may stay held by migration {migration.id}"
    return End(
        FAILED,
        f"the live migration is {migration.status} ({why}); {server.status} on {server.host}{leak}",
        recover(track) if migration.dest else "gpuctl instance list shows where cards are",
    )
