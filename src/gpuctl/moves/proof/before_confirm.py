"""Whether a guest that waits in VERIFY_RESIZE is good: what is not proven is never confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.moves.model import AWAITS, Books, Finding, Server
from gpuctl.moves.proof.findings import Say
from gpuctl.moves.proof.guest import guest
from gpuctl.moves.ways.traces import action_of, ours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl.moves.move import Sight, Track

RUNNING, SHUTDOWN = 1, 4
"""Nova's power states (nova/compute/power_state.py)."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of the guest on the destination.

    Attributes:
        good: nothing speaks against it, and everything that could be looked at was.
        by: "host" where its domain was looked at; "api" where Nova's word is all there is.
        detail: in one sentence.
        at: when, seconds since 1970 on this machine.
    """

    good: bool
    by: str
    detail: str
    at: float
    findings: tuple[Finding, ...] = ()


def prove(track: Track, sight: Sight, books: Books) -> Proof:
    """Return the proof of a guest that waits for its confirm.

    Args:
        track: the move.
        sight: a close look.
        books: read after it.
    """
    findings = (*_api_says(track, sight), *guest(track, books, _dest(track, sight)))
    bad = [one for one in findings if one.status == "fail"]
    by = "host" if any(one.id == "moved-guest" and one.status != "skip" for one in findings) else "api"
    if bad:
        return Proof(good=False, by=by, detail="; ".join(one.title for one in bad), at=sight.now, findings=findings)
    said = (
        "its domain and its cards were looked at"
        if by == "host"
        else "by Nova's word alone: its host was not looked at"
    )
    return Proof(good=True, by=by, detail=f"good: {said}", at=sight.now, findings=findings)


def _dest(track: Track, sight: Sight) -> str:
    mine = ours(track, sight, "migration")
    return (mine[-1].dest if mine else None) or track.move.to or ""


def _api_says(track: Track, sight: Sight) -> Iterator[Finding]:
    """Yield what Nova's records say of a server in VERIFY_RESIZE."""
    move, server = track.move, sight.server
    say = Say(move.server.id)
    mine = ours(track, sight, "migration")
    if server is None or not mine or mine[-1].status != AWAITS or server.vm_state != "resized" or server.task_state:
        yield say.fail("moved-state", "it is not in VERIFY_RESIZE any more", "GET /servers, /os-migrations")
        return
    where = f"server {server.status} on {server.host}, migration {mine[-1].id} {mine[-1].status} to {mine[-1].dest}"
    if server.host != mine[-1].dest or server.host == move.source:
        yield say.fail("moved-state", "the server is not where its migration says", where)
    elif server.fault is not None:
        yield say.fail("moved-state", "the server has a fault", server.fault.message)
    else:
        yield say.good("moved-state", "in VERIFY_RESIZE on the destination", where)
    sent = track.last("migrate")
    action = action_of(track, sent, sight) if sent else None
    events = action.events if action is not None else None
    if not events:
        yield say.fail("moved-action", "Nova shows no events of the move", "GET os-instance-actions")
    elif any(one.result != "Success" for one in events):
        odd = ", ".join(f"{one.name}: {one.result or 'not ended'}" for one in events if one.result != "Success")
        yield say.fail("moved-action", "not every step of the move succeeded", odd)
    else:
        yield say.good("moved-action", "every step of the move succeeded", ", ".join(one.name for one in events))
    yield _power(say, server, ran=move.ran)


def _power(say: Say, server: Server, *, ran: bool) -> Finding:
    wanted = RUNNING if ran else SHUTDOWN
    evidence = f"power_state {server.power_state}, {'running' if ran else 'off'} before"
    if server.power_state == wanted or (not ran and server.power_state != RUNNING):
        return say.good("moved-power", "powered as before", evidence)
    return say.fail("moved-power", "not powered as before", evidence)
