"""What Placement holds for a server beside the cards that it really has (facts/nova.md 4.6)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.moves.books.holdings import as_provided
from gpuctl.moves.model import Allocation, Books
from gpuctl.moves.proof.guest import gpus_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gpuctl.moves.move import Track


def right_addresses(track: Track, books: Books, dest: str) -> Counter[str] | None:
    """Return the cards that the server really has on its host, by the addresses that Placement has for them.

    None where nobody shows them.
    """
    server = track.move.server
    rows = books.rows_of(server.id)
    if rows is not None:
        found = Counter(one.provided_by for one in rows if one.host == dest)
        return found if found.total() == server.cards else None
    view = books.hosts.get(dest)
    domain = next((one for one in (view.domains or ()) if one.uuid == server.id), None) if view else None
    if view is None or domain is None:
        return None
    cards = as_provided(books, dest, {one.lower() for one in gpus_of(domain, view)})
    return cards if cards is not None and cards.total() == server.cards else None


def right_allocation(track: Track, books: Books) -> Allocation | None:
    """Return what Placement should say instead of a doubled allocation; None where it is right, or nobody can know."""
    server = books.servers.get(track.move.server.id)
    allocation = (books.allocations or {}).get(track.move.server.id)
    if (
        not books.tracked
        or server is None
        or server.host is None
        or allocation is None
        or allocation.generation is None
    ):
        return None
    held = cards_held(books, server.id)
    right = right_addresses(track, books, server.host)
    if right is None or not books.providers:
        return None
    here = {uuid for uuid in held if host_of(books, uuid) == server.host}
    keep = {uuid: count for uuid in here if (count := min(right[books.providers[uuid].address or ""], held[uuid]))}
    other = elsewhere(books, server.id, server.host)
    if (keep == held and not other) or sum(keep.values()) != server.cards:
        return None
    gone = other | (held.keys() - keep.keys())
    return allotted(allocation, gone, keep)


def allotted(allocation: Allocation, gone: Collection[str], cards: Mapping[str, int]) -> Allocation:
    """Return an allocation without these providers, and with so many of these cards; all else is as it was."""
    holds = {
        uuid: dict.fromkeys(held, cards[uuid]) if uuid in cards and len(held) == 1 else dict(held)
        for uuid, held in allocation.holds.items()
        if uuid not in gone
    }
    return replace(allocation, holds=holds)


def elsewhere(books: Books, consumer: str, host: str) -> set[str]:
    """Return the providers of other compute hosts that a consumer holds anything of; shared ones are of none."""
    allocation = (books.allocations or {}).get(consumer)
    others = books.computes.keys() - {host}
    return {uuid for uuid in (allocation.holds if allocation else {}) if host_of(books, uuid) in others}


def cards_held(books: Books, consumer: str) -> dict[str, int]:
    """Return provider -> how many cards of it a consumer holds in Placement."""
    allocation = (books.allocations or {}).get(consumer)
    providers = books.providers or {}
    if allocation is None:
        return {}
    return {
        uuid: sum(amounts.values())
        for uuid, amounts in allocation.holds.items()
        if uuid in providers and providers[uuid].address is not None
    }


def provider_name(books: Books, uuid: str) -> str:
    """Return a provider's name; its uuid where it is not known."""
    one = (books.providers or {}).get(uuid)
    return one.name if one else uuid


def host_of(books: Books, uuid: str) -> str | None:
    """Return the compute host that a provider belongs to; None where that is not known."""
    one = (books.providers or {}).get(uuid)
    return one.host if one else None
