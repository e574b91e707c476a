"""Placement's accounts of one server: more devices than it has, and migrations that are over and still hold some."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gpuctl.moves.books.holdings import as_provided
from gpuctl.moves.model import AWAITS, BROKEN, OVER, Allocation
from gpuctl.moves.proof.allocation import allotted
from gpuctl.moves.recover.case import PROVEN, Case
from gpuctl.moves.recover.guest import domain_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpuctl.moves.model import Migration, Provider
    from gpuctl.moves.recover.sight import Sight

RIGHT = "--nova-db or --ssh: they show which of the cards it really has"


def accounts(sight: Sight) -> Iterator[Case]:
    """Yield what Placement holds for the server and should not."""
    if sight.books.allocations is None or sight.books.providers is None:
        return
    yield from _stranded(sight, sight.books.providers)
    yield from _doubled(sight, sight.books.providers)
    yield from _orphans(sight, sight.books.providers)


def devices(allocation: Allocation | None, providers: Mapping[str, Provider]) -> tuple[Provider, ...]:
    """Return the PCI devices that an allocation names: a card of which it has several virtual ones so often."""
    held = {} if allocation is None else allocation.holds
    found = [
        providers[one]
        for one, amounts in held.items()
        if one in providers and providers[one].address
        for _ in range(sum(amounts.values()))
    ]
    return tuple(sorted(found, key=lambda one: (one.host or "", one.address or "")))


def is_over(sight: Sight, migration: Migration) -> bool:
    """Say whether a migration rightly holds nothing in Placement any more."""
    if sight.server is None:
        return not migration.open
    if migration.status == AWAITS:
        return False  # the statement that ends it comes first
    return migration.status in {*OVER, BROKEN} and not (migration.kind == "evacuation" and migration.status == "done")


def swapped(sight: Sight, migration: Migration) -> bool:
    """Say whether a migration that is over holds what the server itself uses, and the server what it does not.

    A move claims the destination for the server, and leaves the source to its migration. Where it came back to the
    source and Nova did not exchange the two (Placement was away, nova-compute was restarted in the middle), emptying
    the migration would give the server's own card to somebody else.
    """
    allocations, providers = sight.books.allocations or {}, sight.books.providers or {}
    if sight.home is None:
        return False

    def at_home(consumer: str | None) -> bool:
        held = allocations.get(consumer or "")
        return any(one in providers and providers[one].host == sight.home for one in (held.holds if held else {}))

    return at_home(migration.uuid) and not at_home(sight.id)


def right_allocation(sight: Sight, right: tuple[str, ...]) -> Allocation | None:
    """Return what Placement should hold for the server: these devices of its host, and all else as it is."""
    allocation, providers = (sight.books.allocations or {}).get(sight.id), sight.books.providers or {}
    if allocation is None or not right:
        return None
    cards = {
        one.uuid: right.count((one.address or "").lower()) if one.host == sight.home else 0
        for one in devices(allocation, providers)
    }
    wrong = {uuid for uuid, count in cards.items() if not count}
    elsewhere = sight.books.computes.keys() - {sight.home}
    wrong |= {one for one in allocation.holds if one in providers and providers[one].host in elsewhere}
    return allotted(allocation, wrong, cards)


def holds_while_away(sight: Sight) -> Allocation | None:
    """Return what Placement holds for a server that is offloaded, on no host, and at rest; None where that is nothing.

    An unshelve that fails before its claim (a volume that cannot be had) leaves what the scheduler claimed, and the
    scheduler adds its next claim to that (SchedulerReportClient.claim_resources takes it for a move).
    """
    server, allocation = sight.server, (sight.books.allocations or {}).get(sight.id)
    if server is None or (server.vm_state, server.host, server.task_state) != ("shelved_offloaded", None, None):
        return None
    return allocation if allocation is not None and allocation.holds else None


def _stranded(sight: Sight, providers: Mapping[str, Provider]) -> Iterator[Case]:
    """Yield a shelved server that holds something of a host in Placement."""
    allocation = holds_while_away(sight)
    if allocation is not None:
        names = ", ".join(providers[uuid].name if uuid in providers else uuid for uuid in allocation.holds)
        yield Case(
            "double-allocation",
            "Placement holds resources for it, though it is shelved and on no host: nobody can have them, and an "
            "unshelve adds to them",
            (f"Placement: {names}",),
            PROVEN,
        )


def _doubled(sight: Sight, providers: Mapping[str, Provider]) -> Iterator[Case]:
    """Yield a server that holds more devices in Placement than its flavor asks for (facts/nova.md 4.6)."""
    server = sight.server
    if server is None or sight.status == "VERIFY_RESIZE" or sight.evacuation is not None or holds_while_away(sight):
        return
    held = devices((sight.books.allocations or {}).get(sight.id), providers)
    if len(held) <= server.cards:
        return
    found = Counter((one.address or "").lower() for one in held if one.host == sight.home)
    right = tuple(sorted((found & _really(sight)).elements()))
    known = len(right) == server.cards
    yield Case(
        "double-allocation",
        f"Placement holds {len(held)} cards for it, its flavor asks for {server.cards}: nobody can have the rest",
        (
            "Placement: " + ", ".join(one.name for one in held),
            f"really its: {', '.join(right)}" if known else "which of them it really has is not known",
        ),
        PROVEN,
        "" if known else RIGHT,
        right=right if known else (),
    )


def _really(sight: Sight) -> Counter[str]:
    """Return the cards that the server has on its host, as Placement calls them: by the claims, else by its domain."""
    if sight.rows is not None:
        return Counter(one.provided_by.lower() for one in sight.rows if one.host == sight.home)
    mine = domain_at(sight, sight.home)
    named = None if mine is None else as_provided(sight.books, sight.home, [one.lower() for one in mine.hostdevs])
    return named or Counter()


def _orphans(sight: Sight, providers: Mapping[str, Provider]) -> Iterator[Case]:
    """Yield each migration of the server that is over and still holds something."""
    for one in sight.migrations:
        allocation = (sight.books.allocations or {}).get(one.uuid or "")
        if allocation is None or not allocation.holds or not is_over(sight, one):
            continue
        names = ", ".join(providers[uuid].name if uuid in providers else uuid for uuid in allocation.holds)
        title = "Placement keeps resources for a migration that is over: nobody owns them and nobody can have them"
        if swapped(sight, one):
            title = (
                f"Placement has what the server uses on {sight.home} under a migration that is over, and nothing there "
                "under the server itself"
            )
        yield Case(
            "orphan-migration-allocation",
            title,
            (f"consumer {one.uuid} is migration {one.id}, {one.status}", f"Placement: {names}"),
            migration=one,
        )
