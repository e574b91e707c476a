"""All of them together, as they were at one moment, and what could not be seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuctl.moves.model.cards import Allocation, Domain, HostView, Provider, Row
from gpuctl.moves.model.nova import Compute, Migration, Server

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Unseen:
    """A view that was not had, and why: it is part of every answer that would rest on it.

    Attributes:
        view: "placement", "database", "hosts", "host gpu-a", ...
        asked: whether it was wanted, and could not be had.
    """

    view: str
    why: str
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that is known of a cloud's GPU servers at one moment.

    Attributes:
        servers: GPU servers by id (and others that were asked for by name).
        migrations: of these servers, oldest first.
        computes: by host.
        providers: by uuid; None where Placement was not read.
        allocations: by consumer; None where Placement was not read. A consumer that is missing was not asked for: a
            reading of the whole cloud asks only for those that the totals of their host do not explain.
        tracked: whether Placement tracks PCI devices (some host reports them); None where unknown.
        rows: Nova's PCI rows; None without --nova-db.
        hosts: what each host shows itself; a host that was not looked at is missing.
        unseen: the views that could not be had.
        newest: the compute API's newest microversion.
        whole: whether the whole cloud was read; then every server is in ``servers`` or ``others``.
        others: the servers without cards, id -> host.
        tenants: compute host -> the consumers that hold something of its compute node.
        cells: compute host -> its cell, by a number of our own; empty without the database.
        gone: ids that hold something and were looked up: no server, or a deleted one.
    """

    servers: Mapping[str, Server]
    migrations: tuple[Migration, ...]
    computes: Mapping[str, Compute]
    newest: tuple[int, int]
    providers: Mapping[str, Provider] | None = None
    allocations: Mapping[str, Allocation] | None = None
    tracked: bool | None = None
    rows: tuple[Row, ...] | None = None
    hosts: Mapping[str, HostView] = field(default_factory=dict)
    unseen: tuple[Unseen, ...] = ()
    whole: bool = False
    others: Mapping[str, str | None] = field(default_factory=dict)
    tenants: Mapping[str, frozenset[str]] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    cells: Mapping[str, int] = field(default_factory=dict)
    _index: _Index = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", _Index.of(self))

    def migrations_of(self, server: str) -> tuple[Migration, ...]:
        """Return a server's migration records, oldest first."""
        return tuple(self._index.migrations.get(server, ()))

    def rows_of(self, server: str) -> tuple[Row, ...] | None:
        """Return the PCI rows that a server owns; None where the database was not read."""
        return None if self.rows is None else tuple(self._index.rows.get(server, ()))

    def domains_of(self, server: str) -> tuple[Domain, ...]:
        """Return the domains of this server's uuid on the hosts that were looked at."""
        return tuple(self._index.domains.get(server, ()))

    def apart(self, host: str | None, other: str) -> bool:
        """Say whether two compute hosts are known to be in different cells.

        Nova unshelves a server in its own alone, and moves one cold between two where a policy lets it
        (cross_cell_resize): that way is not followed here.
        """
        mine, its = self.cells.get(host or ""), self.cells.get(other)
        return mine is not None and its is not None and mine != its

    def reports(self, host: str | None) -> bool:
        """Say whether a compute host reports its cards to Placement."""
        return host in self._index.reporting


@dataclass(frozen=True, slots=True)
class _Index:
    """By server, so that an audit of many servers does not go through all the records for each."""

    migrations: Mapping[str, list[Migration]]
    rows: Mapping[str, list[Row]]
    domains: Mapping[str, list[Domain]]
    reporting: frozenset[str | None]  # hosts

    @classmethod
    def of(cls, books: Books) -> _Index:
        migrations: dict[str, list[Migration]] = {}
        for record in books.migrations:
            migrations.setdefault(record.server, []).append(record)
        rows: dict[str, list[Row]] = {}
        for row in books.rows or ():
            if row.owner is not None:
                rows.setdefault(row.owner, []).append(row)
        domains: dict[str, list[Domain]] = {}
        for view in books.hosts.values():
            for domain in view.domains or ():
                domains.setdefault(domain.uuid, []).append(domain)
        reporting = frozenset(one.host for one in (books.providers or {}).values() if one.address)
        return cls(migrations, rows, domains, reporting)
