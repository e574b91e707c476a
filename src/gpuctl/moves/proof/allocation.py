"""What Placement holds for a server beside the cards that it really has (facts/nova.md 4.6)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.moves.model import Allocation, Books
from gpuctl.moves.proof.guest import gpus_of

if TYPE_CHECKING:
    from gpuctl.moves.move import Track


def right_addresses(track: Track, books: Books, dest: str) -> set[str] | None:
    """Return the addresses of the cards that the server really has on its host; None where nobody shows them."""
    server = track.move.server
    rows = books.rows_of(server.id)
    if rows is not None:
        found = {one.address for one in rows if one.host == dest}
        return found if len(found) == server.cards else None
    view = books.hosts.get(dest)
    domain = next((one for one in (view.domains or ()) if one.uuid == server.id), None) if view else None
    if view is None or domain is None:
        return None
    cards = {one.lower() for one in gpus_of(domain, view)}
    return cards if len(cards) == server.cards else None


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
    keep = {uuid for uuid in held if host_of(books, uuid) == server.host and books.providers[uuid].address in right}
    if (keep == held.keys() and not elsewhere(books, server.id, server.host)) or len(keep) != server.cards:
        return None
    gone = elsewhere(books, server.id, server.host) | (held.keys() - keep)
    return replace(allocation, holds={uuid: each for uuid, each in allocation.holds.items() if uuid not in gone})


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
