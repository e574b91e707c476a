"""What is never done, with the reason: asked right before every request, of what was read right before it.

facts/nova.md 4.11, 4.5-4.7; openstack-lab.md 5, 9. Unknown is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.recover.accounts import devices, holds_while_away, is_over, swapped
from gpuctl.moves.recover.guest import BAD, GOOD, proof_of, running_elsewhere
from gpuctl.moves.recover.holds import holds, one_place, seconds_ago, untracked
from gpuctl.moves.recover.sight import FORCE_LOCKED
from gpuctl.moves.recover.step import Act, Put, Request

if TYPE_CHECKING:
    from gpuctl.moves.model import Allocation
    from gpuctl.moves.recover.sight import Sight

_REPAIRS = frozenset(
    {
        *("confirmResize", "revertResize", "os-resetState"),
        *("os-start", "os-stop", "reboot", "shelve", "shelveOffload", "unshelve"),
    }
)
_STARTS = frozenset({"os-start", "reboot", "unshelve"})
OFFLOADED = "SHELVED_OFFLOADED"


def never(request: Request, sight: Sight, *, accepted: bool = False) -> str:
    """Return why a request must not be sent; empty where nothing speaks against it.

    Args:
        request: what is about to be sent.
        sight: read right before.
        accepted: the person agreed to this very step by its name.
    """
    if isinstance(request, Put):
        return _put(request, sight)
    if not isinstance(request, Act):
        return ""
    if request.name == "confirmResize":
        return _any(request, sight) or _confirm(sight, accepted=accepted)
    more = _BY_NAME.get(request.name)
    return _any(request, sight) or (more(sight) if more else "")


def _any(request: Act, sight: Sight) -> str:
    """Say what speaks against any action."""
    if request.name not in _REPAIRS:
        return f"{request.name} repairs nothing: after a failure nothing is tried again, and no move begun, by recover"
    if sight.server is None:
        return "the server is gone"
    if sight.server.task_state:
        return f"Nova is at work on it (task_state {sight.server.task_state})"
    if sight.server.locked and FORCE_LOCKED not in sight.believed:
        why = f" ({sight.server.locked_reason})" if sight.server.locked_reason else ""
        return f"it is locked{why}; Nova would let an administrator through, gpuctl only with --force-locked"
    moving = [one.id for one in sight.migrations if one.open]
    if moving:
        return f"migration {moving[0]} is under way; two at once are never begun"
    if running_elsewhere(sight) and sight.status != "VERIFY_RESIZE":
        where = running_elsewhere(sight)[0].host
        return f"its guest runs on {where}, where Nova does not have it: disks could be written twice"
    if request.name in _STARTS:
        return _start(sight)
    return ""


def _start(sight: Sight) -> str:
    """Say what speaks against starting the guest."""
    left = sight.evacuation
    if left is not None:
        return f"it was evacuated and {left.source} has not cleaned up: a start {sight.era.start_would}"
    there = one_place(sight)
    if there is False:
        where = ", ".join(sorted({one.host for one in holds(sight)})) or "other hosts"
        return f"cards of {where} are held for it as well: a start {sight.era.start_would}"
    if there is None:
        return (
            f"whether it holds cards elsewhere is unknown: if so, a start {sight.era.start_would}; --nova-db shows it"
        )
    return ""


def _reset(sight: Sight) -> str:
    if sight.status == "VERIFY_RESIZE":
        return "a reset in VERIFY_RESIZE makes confirm and revert impossible for good: confirm or revert"
    if sight.finished:
        return f"migration {sight.finished[-1].id} is finished and neither confirmed nor reverted: a reset buries it"
    return ""


def _confirm(sight: Sight, *, accepted: bool) -> str:
    proof = proof_of(sight)
    if proof.answer == BAD:
        return f"the guest is not good on {sight.home}: {proof.why}; the source's copy is the only good one"
    if proof.answer != GOOD and not accepted:
        return f"the guest was not proven good: {proof.why}"
    return _one_finished(sight) or _source_up(sight)


def _revert(sight: Sight) -> str:
    for one in sight.finished[-1:]:
        down = [host for host in (one.source, one.dest) if not sight.is_up(host)]
        if down:
            return f"nova-compute of {down[0]} is down: the revert would stop half way"
    return _one_finished(sight)


def _one_finished(sight: Sight) -> str:
    if len(sight.finished) > 1:
        old, new = sight.finished[0].id, sight.finished[-1].id
        return (
            f"migrations {old} and {new} are both finished: Nova would take the old one, and {new} would stay for ever"
        )
    return "" if sight.finished else "no migration waits"


def _source_up(sight: Sight) -> str:
    source = sight.finished[-1].source
    return "" if sight.is_up(source) else f"nova-compute of {source} is down: it has to clean up there"


def _shelve(sight: Sight) -> str:
    away = sorted({one.host for one in holds(sight) if one.host != sight.home})
    if away:
        return (
            f"cards of {', '.join(away)} are held for it: a shelve does not free them, and the unshelve fails on them"
        )
    if sight.status not in {"ACTIVE", "SHUTOFF"}:
        return f"Nova does not shelve a server in {sight.status}"
    came = untracked(sight)
    if came is not None:
        return f"migration {came.id} ended a moment ago: {sight.home} has to take the server in first, at its audit"
    return ""


def _unshelve(sight: Sight) -> str:
    """Say what speaks against bringing a shelved server back: its old host's cards would be its guest's as well."""
    if sight.server is None or sight.status != OFFLOADED:
        return ""  # shelved and on its host still: it starts there, with the cards that it has
    held = sorted({one.host for one in sight.rows or ()})
    if held:
        return f"cards of {', '.join(held)} are its own still: its guest would get them besides its new ones"
    if sight.home is not None and (_at_it(sight) or seconds_ago(sight, sight.server.updated) < sight.audit):
        return f"{sight.home} has not let go of it yet: unshelved now, its guest would get its old cards as well"
    return ""


def _at_it(sight: Sight) -> bool:
    """Say whether a step of its newest shelve has not ended."""
    newest = next((one for one in reversed(sight.actions) if one.action in {"shelve", "shelveOffload"}), None)
    return newest is not None and any(one.result is None for one in newest.events or ())


_BY_NAME = {
    "os-resetState": _reset,
    "revertResize": _revert,
    "shelve": _shelve,
    "unshelve": _unshelve,
}


def _put(request: Put, sight: Sight) -> str:
    """Say what speaks against writing an allocation."""
    said = request.allocation
    if said.generation is None:
        return "its generation is not known, so that a change of somebody else's could be lost"
    if said.consumer == sight.id:
        bad = _put_server(request, sight)
        return bad if bad or request.emptied is None else _put_migration(request.emptied, sight, exchanged=True)
    return _put_migration(said, sight)


def _put_migration(said: Allocation, sight: Sight, *, exchanged: bool = False) -> str:
    """Say what speaks against giving a migration this; nothing, that is."""
    mine = next((one for one in sight.migrations if one.uuid == said.consumer), None)
    if mine is None:
        return f"{said.consumer} is neither this server nor a migration of it"
    if said.holds:
        return "a migration that is over is given nothing"
    if not is_over(sight, mine):
        return f"migration {mine.id} is {mine.status}: it still needs what it holds"
    if swapped(sight, mine) and not exchanged:
        return f"migration {mine.id} holds what the server itself uses on {sight.home}"
    return ""


def _put_server(request: Put, sight: Sight) -> str:
    """Say what speaks against putting the server's own allocation right."""
    if sight.server is None or sight.status == "VERIFY_RESIZE" or any(one.open for one in sight.migrations):
        return "a move of it is not over: its allocations are Nova's business"
    if sight.server.task_state:
        return f"Nova is at work on it (task_state {sight.server.task_state})"
    if not request.allocation.holds and holds_while_away(sight) is not None:
        return ""
    kept = devices(request.allocation, sight.books.providers or {})
    if len(kept) != sight.server.cards and not (request.emptied is not None and sight.books.tracked is False):
        return f"{len(kept)} cards would be left of {sight.server.cards}"
    if any(one.host != sight.home for one in kept):
        return f"a card that is not on {sight.home} would be left"
    return ""
