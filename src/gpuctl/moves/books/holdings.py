"""Which cards a server has, as each view says it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.moves.model import AWAITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuctl.moves.model import Books, Domain, Migration, Server

OWNED = frozenset({"allocated", "claimed"})


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One card, by where it is."""

    host: str
    address: str

    def __str__(self) -> str:
        return f"{self.host}/{self.address}"


@dataclass(frozen=True, slots=True)
class Holdings:
    """A server's cards in the three views; None where the view was not had.

    Attributes:
        placement: once for each that is allocated; also None where its host does not report its cards.
        rows: of Nova's database.
        domains: host devices of its running domains, on the hosts that were looked at.
    """

    placement: tuple[Place, ...] | None
    rows: tuple[Place, ...] | None
    domains: tuple[Place, ...] | None


def holdings(books: Books, server: str) -> Holdings:
    """Return the cards that a consumer (a server, or a migration's uuid) has."""
    return Holdings(_placement(books, server), _rows(books, server), _domains(books, server))


def _placement(books: Books, consumer: str) -> tuple[Place, ...] | None:
    if books.allocations is None or books.providers is None or consumer not in books.allocations:
        return None
    if not books.tracked:
        return None
    found = []
    for uuid, amounts in books.allocations[consumer].holds.items():
        card = books.providers.get(uuid)
        if card is not None and card.address:
            found += [Place(card.host or "?", card.address)] * sum(amounts.values())
    return tuple(sorted(found))


def _rows(books: Books, server: str) -> tuple[Place, ...] | None:
    rows = books.rows_of(server)
    return None if rows is None else tuple(sorted(Place(one.host, one.address) for one in rows if one.status in OWNED))


def _domains(books: Books, server: str) -> tuple[Place, ...] | None:
    if not any(view.domains is not None for view in books.hosts.values()):
        return None
    running = [one for one in books.domains_of(server) if one.runs]
    return tuple(sorted(Place(one.host, address) for one in running for address in one.hostdevs))


def as_provided(books: Books, host: str | None, addresses: Iterable[str]) -> Counter[str] | None:
    """Return how often Placement would call each address for these cards of a host; None where nobody can say.

    Of virtual functions only the rows know the physical one.
    """
    if books.rows is not None:
        named = {one.address: one.provided_by for one in books.rows if one.host == host}
        return Counter(named.get(one, one) for one in addresses)
    there = [one for one in (books.providers or {}).values() if one.host == host and one.address]
    found = Counter(addresses)
    if found.keys() <= {one.address for one in there} or not any(one.virtual for one in there):
        return found
    return None


def ports(books: Books, server: str) -> frozenset[Place]:
    """Return which of a server's rows are network cards: of its ports, or asked for by its flavor, nobody can tell."""
    return frozenset(Place(one.host, one.address) for one in books.rows_of(server) or () if one.network)


def at_rest(books: Books, server: Server) -> bool:
    """Say whether nobody is at work on a server: then its books ought to agree."""
    return server.task_state is None and not any(one.open for one in books.migrations_of(server.id))


def explains(migration: Migration, server: Server, host: str) -> bool:
    """Say whether a migration is why a server rightly has something on a host that is not its own."""
    if migration.open:
        return host in {migration.source, migration.dest}
    if migration.status == AWAITS:
        return server.vm_state == "resized" and host in {migration.source, migration.dest}
    return migration.kind == "evacuation" and migration.status == "done" and host == migration.source


def explained(books: Books, server: Server, host: str) -> bool:
    """Say whether any migration is why."""
    return any(explains(one, server, host) for one in books.migrations_of(server.id))


def waits(books: Books, migration: Migration) -> bool:
    """Say whether an evacuation waits for its old host's nova-compute still.

    Of a host that never comes back its record says `done` for ever. Once the server has rows on its own host alone, and
    the database shows that, nothing is left to wait for: a start finds the cards of one host.
    """
    if migration.kind != "evacuation" or migration.status != "done":
        return False
    old, server = books.computes.get(migration.source or ""), books.servers.get(migration.server)
    rows = books.rows_of(migration.server)
    if (old is not None and old.up) or rows is None or server is None:
        return True
    return any(one.host != server.host for one in rows)


def own_domain(books: Books, server: Server) -> Domain | None:
    """Return the running domain of a server on its own host, where it was seen."""
    return next((one for one in books.domains_of(server.id) if one.host == server.host and one.runs), None)
