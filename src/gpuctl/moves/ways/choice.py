"""Which way is right for one server in one cloud, and why; and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.moves.guards.place import allows, short
from gpuctl.moves.guards.services import others
from gpuctl.moves.guards.situation import Situation
from gpuctl.moves.guards.state import UNSHELVE_HOST
from gpuctl.moves.guards.supply import enough
from gpuctl.moves.move import COLD, LEGACY, LIVE, SHELVE, STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Mapping

LAST_THAT_HEALS = 21
FIRST_TRACKING = 26  # [pci] report_in_placement
FIRST_LIVE = 31


@dataclass(frozen=True, slots=True)
class Choice:
    """The way, or why there is none.

    Attributes:
        strategy: None where every way, or the one asked for, is refused.
        to: the host: as asked, or the one that this way needs to name; None: Nova chooses.
        why: in one sentence.
        refused: strategy -> why not.
    """

    strategy: str | None
    to: str | None
    why: str
    refused: Mapping[str, str]


def choose(at: Situation) -> Choice:
    """Return the way for a server.

    Live where every card is live-migratable; shelve where Placement tracks cards (a cold move doubles its allocation)
    or where its disks are volumes and a host with a free card can be named; cold otherwise. The 2016 sequence is never
    chosen, only taken where it was asked for. Where Placement could not be read none is chosen: a cold move may leave
    two allocations, and a shelved server does not come back while Placement is away.
    """
    to = at.to or _free_host(at)
    refused = {name: why for name in STRATEGIES if (why := _refusal(name, at, to)) is not None}
    asked = at.options.strategy
    if asked != "auto":
        if asked in refused:
            return Choice(None, at.to, f"--strategy {asked}: {refused[asked]}", refused)
        return Choice(asked, to if asked == SHELVE else at.to, f"asked for; {_meaning(asked, at)}", refused)
    if LIVE not in refused:
        return Choice(LIVE, at.to, "every alias of it is live-migratable: no downtime", refused)
    tracked = _tracked(at)
    if tracked is None:
        why = (
            "Placement could not be read, and what is right depends on whether it tracks cards: see that it answers; "
            "--strategy shelve is right either way once it does, --strategy cold where it tracks none"
        )
        return Choice(None, at.to, why, refused)
    if tracked and SHELVE not in refused:
        return Choice(SHELVE, to, f"Placement tracks cards: {_allocations(at)}", refused)
    if at.server.boots_from_volume and SHELVE not in refused and enough(at.books, at.server, to or "")[0]:
        return Choice(SHELVE, to, "its disks are volumes: no snapshot, and never cards on two hosts", refused)
    if not tracked:
        return Choice(
            COLD, at.to, "Placement does not track cards: a cold move and its confirm keep all books right", refused
        )
    if _sees_cards(at):
        why = f"shelve is out ({refused[SHELVE]}); a cold move doubles the allocation, which is put right afterwards"
        return Choice(COLD, at.to, why, refused)
    why = (
        f"shelve is out ({refused[SHELVE]}), and a cold move would leave two allocations that nobody could tell apart "
        "here: give --nova-db or --ssh, or --strategy cold all the same"
    )
    return Choice(None, at.to, why, refused)


def _tracked(at: Situation) -> bool | None:
    """Say whether Placement tracks cards; None: it could not be read, and this Nova may."""
    return False if at.books.tracked is None and at.releases.high < FIRST_TRACKING else at.books.tracked


def _allocations(at: Situation) -> str:
    """Return what a shelve does to the allocation.

    The scheduler asks for what the server was booted with, nova-compute claims what its newest claim asked for; a move
    made that anew, so that the two do not find each other any more (RequestSpec and Instance.pci_requests, seen on 34).
    """
    if not any(one.status in _CLAIMED_ANEW for one in at.books.migrations_of(at.server.id)):
        return "a cold move would leave two allocations"
    said = "which is put right afterwards" if _sees_cards(at) else "and which is wrong nobody can tell here"
    return f"after the move that it has had, any way may leave two allocations, {said}"


_CLAIMED_ANEW = frozenset({"confirmed", "completed", "done"})


def _refusal(strategy: str, at: Situation, to: str | None) -> str | None:
    """Return why a way is not safe; None where it is."""
    if strategy == SHELVE:
        return _no_shelve(at, to)
    if strategy == LIVE:
        return _no_live(at)
    if strategy == LEGACY and at.releases.high > LAST_THAT_HEALS:
        newest = at.books.newest
        return (
            f"right up to release {LAST_THAT_HEALS} only; this one is {at.releases} ({newest[0]}.{newest[1]}): "
            "it ends in a KeyError, or in a guest with another's card"
        )
    return None


def _no_shelve(at: Situation, to: str | None) -> str | None:
    if at.books.newest < UNSHELVE_HOST:
        return "unshelve on a named host needs 2.91 (Zed)"
    if to is None:
        return "a host with a free card cannot be seen here: name one by --host"
    if at.server.ephemeral_gib and not at.options.accept_ephemeral_loss:
        return "its ephemeral disk is in no snapshot (--accept-ephemeral-loss gives it up)"
    return None


def _no_live(at: Situation) -> str | None:
    if at.server.vm_state != "active":
        return "only a running server is live-migrated"
    if not at.server.wishes:
        return "it has no cards"
    if at.releases.low < FIRST_LIVE:
        return f"cards are live-migrated from release {FIRST_LIVE} on; this one is {at.releases}"
    missing = sorted({one.alias for one in at.server.wishes} - set(at.options.live_aliases))
    if missing:
        return f"no API shows that alias {', '.join(missing)} is live_migratable (--live-alias says so)"
    return None


def _free_host(at: Situation) -> str | None:
    """Return a host with a free card in every view that can be had, the least used in this run; None: unseen."""
    able = []
    for host in others(at):
        found, _ = enough(at.books, at.server, host, less=at.busy.get(host, 0))
        compute = at.books.computes[host]
        home = at.server.pinned_zone or at.server.zone
        fits = compute.zone in {home, None} and all(allows(one, host) for one in at.groups or ())
        if found and fits and not short(at.books, at, host):
            able.append((at.busy.get(host, 0), host))
    return min(able)[1] if able else None


def _sees_cards(at: Situation) -> bool:
    """Say whether, after a cold move, somebody could tell which card the server has."""
    return at.books.rows is not None or bool(at.books.hosts)


def _meaning(strategy: str, at: Situation) -> str:
    if strategy == COLD and at.books.tracked:
        said = "which is put right afterwards" if _sees_cards(at) else "and which is wrong nobody can tell here"
        return f"Placement tracks cards: it will hold two allocations, {said}"
    return {
        COLD: "a cold move and its confirm",
        SHELVE: "shelve, and unshelve there",
        LIVE: "no downtime",
        LEGACY: "migrate; where it does not start there, reset-state, stop, start",
    }[strategy]
