"""Cold migration and confirm: nova.md 4.1, 4.5; openstack-lab.md 4, 5, 9."""

from __future__ import annotations

from gpuctl.moves.model import AWAITS, Action, Migration, Server
from gpuctl.moves.move import Sent, Sight, Track
from gpuctl.moves.result import DONE, FAILED, UNFINISHED, UNKNOWN
from gpuctl.moves.ways.steps import Ask, Check, End, Look, Prove, Right, Step, Wait
from gpuctl.moves.ways.traces import action_of, again, not_begun, ours, recover, taken, unended, words

TRIES = 2
"""A confirm or revert that left no trace is asked for once more: Nova's own state refuses a second one."""

CHECKS = 3
"""So often are the books read before something wrong in them is the last word: services write one after another."""


def step(track: Track, sight: Sight) -> Step:
    """Return what comes next."""
    sent = track.last("migrate")
    if sent is None:
        to = track.move.to
        body = {"migrate": {"host": to}} if to else {"migrate": None}
        return Ask("migrate", body, f"migrate server {track.move.server.id}")
    if sight.server is None:
        return gone(sight)
    mine = ours(track, sight, "migration")
    if len(mine) > 1:
        return several(track, sight, mine)
    other = not_begun(track, sent, sight, mine)
    if other is not None:
        return other
    if mine:
        return _with(track, sight, sight.server, mine[0])
    return _without(track, sight, sight.server)


def gone(sight: Sight) -> Step:
    """Return the step for a server that cannot be seen any more."""
    if not sight.close:
        return Look("begin", "the server is gone?")
    return End(FAILED, "the server was deleted meanwhile", "gpuctl instance audit shows what it may have left behind")


def several(track: Track, sight: Sight, mine: tuple[Migration, ...]) -> Step:
    """Somebody else migrated it too: nothing more is ours to do."""
    if not sight.close:
        return Look("move", "there is more than one new migration")
    listed = ", ".join(f"{one.id} ({one.status})" for one in mine)
    at_work = any(one.open or one.status == AWAITS for one in mine)
    what = f"somebody else migrated the server as well: new migrations {listed}"
    return End(UNKNOWN if at_work else FAILED, what, recover(track))


def _without(track: Track, sight: Sight, server: Server) -> Step:
    """Taken, but there is no migration record (yet)."""
    sent = track.last("migrate")
    action = action_of(track, sent, sight) if sent else None
    if action is not None and action.message == "Error" and server.task_state is None:
        why = words(action, server, "the action migrate failed")
        return End(
            FAILED,
            f"the move did not begin: {why}; the server is {server.status} on {server.host}",
            _after(track, server),
        )
    return Look("begin", "waiting for Nova's migration record")


def _after(track: Track, server: Server) -> str:
    return recover(track) if server.vm_state == "error" else "gpuctl instance list shows where cards are"


def _with(track: Track, sight: Sight, server: Server, migration: Migration) -> Step:
    """Follow the migration record; the server's status alone says nothing."""
    if migration.status == "finished":
        return _finished(track, sight, server, migration)
    if migration.status == "confirmed":
        return _confirmed(track, sight, server, migration)
    if migration.status == "confirming":
        return Wait("confirm", f"confirming on {migration.source}")
    if migration.status == "reverting":
        return Wait("revert", f"going back to {migration.source}")
    if migration.status == "reverted":
        return _reverted(track, sight, server, migration)
    if migration.open:
        if server.vm_state == "error" and not sight.close:
            return Look("move", "the server is in ERROR, its migration still open")
        return Wait("move", f"{migration.status}{f' to {migration.dest}' if migration.dest else ''}")
    return _broken(track, sight, server, migration)


def _finished(track: Track, sight: Sight, server: Server, migration: Migration) -> Step:
    """It waits for a confirm: prove the guest first."""
    if server.vm_state != "resized":
        if not sight.close:
            return Look("move", "the migration is finished: is the server in VERIFY_RESIZE?")
        if server.task_state is not None:
            return Wait("move", f"finishing on {migration.dest}")
        return End(
            FAILED,
            f"the migration waits for a confirm, but the server is {server.status}: somebody reset its state in "
            "VERIFY_RESIZE; both hosts' cards are held",
            recover(track),
        )
    if server.task_state is not None:
        return Wait("confirm", f"in {server.task_state}")
    for name in ("confirm", "revert"):
        sent = track.last(name)
        if sent is None:
            continue
        was_taken = taken(track, sent, sight)
        if was_taken is None:
            return Look(
                "confirm" if name == "confirm" else "revert", f"the answer to {name} was lost: is it under way?"
            )
        if was_taken and not (sent.at < track.since and _failed(track, sent, sight)):
            # Taken, and the record not yet changed: between Nova's two writes, or a refusal that came later.
            return _stuck(track, sight, name)
        if sent.at >= track.since and (sent.detail or track.count(name) >= TRIES):
            if not sight.close:  # it may have been refused because an earlier one, or somebody else's, is under way
                return Look("confirm" if name == "confirm" else "revert", f"Nova refused the {name}: is it under way?")
            why = sent.detail or "it left no trace, twice"
            return End(UNFINISHED, f"Nova did not take the {name}: {why}", again(track))
    late = unended(track, sight, "migrate") if track.proof is None and sight.close else ""
    if late:
        # A slow host: the server's record is written before the step that wrote it has ended.
        return Wait("move", f"in VERIFY_RESIZE; {late} has not ended yet")
    return _judge(track, server, migration)


def _failed(track: Track, sent: Sent, sight: Sight) -> bool:
    action = action_of(track, sent, sight)
    return sight.close and action is not None and action.message == "Error"


def _stuck(track: Track, sight: Sight, name: str) -> Step:
    sent = track.last(name)
    action = action_of(track, sent, sight) if sent else None
    if sight.close and action is not None and action.message == "Error":
        return End(UNFINISHED, f"the {name} failed: {words(action, sight.server)}", recover(track))
    kind = "confirm" if name == "confirm" else "revert"
    return Look(kind, f"the {name} was taken")


def _judge(track: Track, server: Server, migration: Migration) -> Step:
    """Confirm what is proven good; what is not is left, or taken back if that was asked for."""
    proof, move = track.proof, track.move
    if proof is None:
        return Prove()
    if proof.good:
        if not move.options.confirm:
            return End(
                UNFINISHED,
                f"good in VERIFY_RESIZE on {server.host}, not confirmed, as asked: cards are held on both hosts",
                again(track),
                proof.findings,
                as_asked=True,
            )
        return Ask("confirm", {"confirmResize": None}, f"confirm the move of server {server.id}")
    if move.options.on_bad == "revert":
        return Ask("revert", {"revertResize": None}, f"take server {server.id} back to {migration.source}")
    return End(
        UNFINISHED,
        f"the guest on {server.host} is not proven good: {proof.detail}; it stays in VERIFY_RESIZE, with cards held on "
        "both hosts",
        f"look at it; then {again(track)} (proves and confirms), or with --on-bad revert to take it back",
        proof.findings,
    )


def _confirmed(track: Track, sight: Sight, server: Server, migration: Migration) -> Step:
    """Confirmed: done once every book agrees."""
    if server.task_state is not None or server.vm_state == "resized":
        return (
            Wait("confirm", "confirmed; the server's record follows")
            if not sight.close
            else Look("confirm", "confirmed")
        )
    return settled(track, sight, server, migration.dest)


def settled(track: Track, sight: Sight, server: Server, dest: str | None) -> Step:
    """Return the last steps of every way: check all books, put Placement right if that can be, and end.

    Args:
        track: the move.
        sight: of this moment.
        server: at rest.
        dest: where it should be.
    """
    if track.checked is None:
        return Check()
    if track.right is not None and not track.count("allocation"):
        return Right()
    bad = tuple(one for one in track.checked if one.status == "fail")
    if not bad:
        return End(DONE, f"on {server.host}, {server.status}", findings=track.checked)
    if not sight.close:
        return Look("confirm", "something is not as it should be: is that the last word?")
    if track.checks < CHECKS:
        return Check()
    return End(
        FAILED,
        f"moved to {server.host or dest}, but: {'; '.join(one.title for one in bad)}",
        bad[0].fix or recover(track),
        track.checked,
    )


def _reverted(track: Track, sight: Sight, server: Server, migration: Migration) -> Step:
    """`reverted` is written before the guest is started on the source."""
    if server.task_state is not None:
        return Wait("revert", f"starting on {migration.source} again")
    if not sight.close:
        return Look("revert", "reverted: is the guest as it was?")
    if server.vm_state == "error":
        return End(FAILED, f"taken back to {migration.source}, but it does not start there", recover(track))
    return End(
        FAILED,
        f"taken back: {server.status} on {server.host}, as before",
        "gpuctl instance show says why it was not good",
    )


def _broken(track: Track, sight: Sight, server: Server, migration: Migration) -> Step:
    """The record says error (or failed, cancelled): why, and what may be held."""
    if not sight.close or (server.task_state is not None and server.vm_state != "error"):
        return Look("move", f"migration {migration.id} is {migration.status}")
    name = "confirm" if track.last("confirm") else "migrate"
    if server.vm_state == "resized" and unended(track, sight, name):
        # Nova writes the record first, then the server's state, and ends the step last.
        return Look("confirm", f"migration {migration.id} is {migration.status}; the server's state follows")
    sent = track.last(name)
    action = action_of(track, sent, sight) if sent else None
    why = words(action, server)
    if migration.dest is None:
        if server.vm_state == "error":
            return End(
                FAILED,
                f"no host took it ({why}); the server is in ERROR although its guest still runs on {server.host}; "
                "no card is held elsewhere",
                recover(track),
            )
        return End(
            FAILED,
            f"no host took it ({why}); nothing was changed: {server.status} on {server.host}",
            "gpuctl instance list shows where cards are",
        )
    if _before_the_claim(action):
        return End(
            FAILED,
            f"{migration.dest} could not take it ({why}); the server is {server.status} on {server.host}, "
            "no card is held elsewhere",
            recover(track),
        )
    other = migration.dest if server.host == migration.source else migration.source
    leak = f"its card on {other} most likely stays held by migration {migration.id} ({migration.status})"
    where = f"{server.status} on {server.host}"
    return End(
        FAILED,
        f"the move failed ({why}); the server is {where}; {leak}; do not ask for a move again before that is put right",
        recover(track),
    )


_BEFORE = frozenset({"cold_migrate", "conductor_migrate_server", "compute_prep_resize"})


def _before_the_claim(action: Action | None) -> bool:
    """Say whether it failed before the destination claimed a card (no host; an alias missing): nothing leaks then."""
    events = (action.events if action else None) or ()
    broken = {one.name for one in events if one.result == "Error"}
    return bool(broken) and broken <= _BEFORE
