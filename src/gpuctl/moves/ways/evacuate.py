"""Evacuation off a dead host: nova.md 4.7; openstack-lab.md 6 and 9. The guest is rebuilt elsewhere and not started.

Until the old host's nova-compute is back the server has cards on both hosts, and since 26 a start, or a hard reboot,
then ends in a KeyError that removes the guest. So nothing is ever started here.
"""

from __future__ import annotations

from gpuctl.moves.model import Migration, Server
from gpuctl.moves.move import Sight, Track
from gpuctl.moves.result import DONE, FAILED
from gpuctl.moves.ways.cold import gone
from gpuctl.moves.ways.steps import Ask, End, Look, Step, Wait
from gpuctl.moves.ways.traces import action_of, not_begun, ours, recover, words

EVACUATE = "evacuate"


def step(track: Track, sight: Sight) -> Step:
    """Return what comes next."""
    sent, to = track.last(EVACUATE), track.move.to
    if sent is None:
        return Ask(EVACUATE, {"evacuate": {"host": to} if to else {}}, f"evacuate server {track.move.server.id}")
    if sight.server is None:
        return gone(sight)
    mine = ours(track, sight, "evacuation")
    other = not_begun(track, sent, sight, mine)
    if other is not None:
        return other
    if mine:
        return _with(track, sight, sight.server, mine[-1])
    action = action_of(track, sent, sight)
    if action is not None and action.message == "Error" and sight.server.task_state is None:
        return _failed(track, sight, sight.server, None)
    return Look("begin", "waiting for Nova's migration record")


def _with(track: Track, sight: Sight, server: Server, migration: Migration) -> Step:
    """Follow the migration record."""
    if migration.open or server.task_state is not None:
        return Wait(
            "move", f"{server.task_state or migration.status}{f' on {migration.dest}' if migration.dest else ''}"
        )
    if not sight.close:
        return Look("move", f"the evacuation is {migration.status}: where is the server?")
    if migration.status not in {"done", "completed"} or server.vm_state == "error":
        return _failed(track, sight, server, migration)
    if server.host == track.move.source:
        return End(
            FAILED, f"the evacuation is {migration.status}, and the server still on {server.host}", recover(track)
        )
    said = f"rebuilt on {server.host}, {server.status}"
    if server.vm_state == "stopped":
        return End(DONE, f"{said}; not to be started before nova-compute on {track.move.source} is back")
    return End(DONE, f"{said}: not to be stopped or hard rebooted before nova-compute on {track.move.source} is back")


def _failed(track: Track, sight: Sight, server: Server, migration: Migration | None) -> Step:
    """Return the end of one that failed, with what may be held."""
    sent = track.last(EVACUATE)
    action = action_of(track, sent, sight) if sent else None
    why = words(action, server)
    held = ""
    if migration is not None and migration.dest is not None:
        held = f"; a card on {migration.dest} may be held by migration {migration.id} ({migration.status})"
    return End(
        FAILED, f"the evacuation failed ({why}); the server is {server.status} on {server.host}{held}", recover(track)
    )
