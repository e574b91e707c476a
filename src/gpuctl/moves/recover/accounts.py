"""Placement's accounts of one server: more devices than it has, and migrations that are over and still hold some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.model import AWAITS, BROKEN, OVER, Allocation
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
    yield from _doubled(sight, sight.books.providers)
    yield from _orphans(sight, sight.books.providers)


def devices(allocation: Allocation | None, providers: Mapping[str, Provider]) -> tuple[Provider, ...]:
    """Return the PCI devices that an allocation names."""
    held = () if allocation is None else allocation.holds
    found = [providers[one] for one in held if one in providers and providers[one].address]
    return tuple(sorted(found, key=lambda one: (one.host or "", one.address or "")))


def is_over(sight: Sight, migration: Migration) -> bool:
    """Say whether a migration rightly holds nothing in Placement any more."""
    if sight.server is None:
        return not migration.open
    if migration.status == AWAITS:
        return False  # the statement that ends it comes first
    return migration.status in {*OVER, BROKEN} and not (migration.kind == "evacuation" and migration.status == "done")


def right_allocation(sight: Sight, right: tuple[str, ...]) -> Allocation | None:
    """Return what Placement should hold for the server: these devices of its host, and all else as it is."""
    allocation, providers = (sight.books.allocations or {}).get(sight.id), sight.books.providers or {}
    if allocation is None or not right:
        return None
    wrong = {one.uuid for one in devices(allocation, providers) if not _is_right(sight, one, right)}
    kept = {uuid: dict(held) for uuid, held in allocation.holds.items() if uuid not in wrong}
    return Allocation(allocation.consumer, kept, allocation.generation, allocation.project, allocation.user)


def _doubled(sight: Sight, providers: Mapping[str, Provider]) -> Iterator[Case]:
    """Yield a server that holds more devices in Placement than its flavor asks for (facts/nova.md 4.6)."""
    server = sight.server
    if server is None or sight.status == "VERIFY_RESIZE" or sight.evacuation is not None:
        return
    held = devices((sight.books.allocations or {}).get(sight.id), providers)
    if len(held) <= server.cards:
        return
    there = _really(sight)
    found = [(one.address or "").lower() for one in held if one.host == sight.home]
    right = tuple(one for one in found if one in there)
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


def _really(sight: Sight) -> frozenset[str]:
    """Return the addresses of the cards that the server has on its host: by the claims, else by its domain."""
    if sight.rows is not None:
        return frozenset(one.address.lower() for one in sight.rows if one.host == sight.home)
    mine = domain_at(sight, sight.home)
    return frozenset(one.lower() for one in mine.hostdevs) if mine is not None else frozenset()


def _is_right(sight: Sight, provider: Provider, right: tuple[str, ...]) -> bool:
    return provider.host == sight.home and (provider.address or "").lower() in right


def _orphans(sight: Sight, providers: Mapping[str, Provider]) -> Iterator[Case]:
    """Yield each migration of the server that is over and still holds something."""
    for one in sight.migrations:
        allocation = (sight.books.allocations or {}).get(one.uuid or "")
        if allocation is None or not allocation.holds or not is_over(sight, one):
            continue
        names = ", ".join(providers[uuid].name if uuid in providers else uuid for uuid in allocation.holds)
        yield Case(
            "orphan-migration-allocation",
            "Placement keeps resources for a migration that is over: nobody owns them and nobody can have them",
            (f"consumer {one.uuid} is migration {one.id}, {one.status}", f"Placement: {names}"),
            migration=one,
        )
