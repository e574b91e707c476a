"""The records that every room of the moves reads: Nova's, Placement's, the hosts', as they were at one moment.

Field names are Nova's own. A record says what its source said; what it means is decided elsewhere (books/compare.py,
guards/, recover/diagnosis.py). Unknown is None, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ALIAS = "pci_passthrough:alias"

OPEN = frozenset(
    {
        "accepted", "queued", "preparing", "running", "post-migrating", "pre-migrating", "migrating", "confirming",
        "reverting",
    }
)  # fmt: skip
"""Statuses of a migration that Nova is still working on (nova/objects/migration.py, manager.py)."""

AWAITS = "finished"
"""A cold migration that waits for a confirm or a revert: the server is, or should be, in VERIFY_RESIZE."""

BROKEN = "error"
"""A migration that failed and that the PCI tracker keeps as an owner since 22.0.0 (facts/nova.md 4.5)."""

OVER = frozenset({"confirmed", "reverted", "completed", "failed", "cancelled", "done"})
"""Statuses that own nothing on the source any more, but `done`: an evacuation whose old host has not come back."""


@dataclass(frozen=True, slots=True)
class Wish:
    """So many devices of one alias, as a server's embedded flavor asks for them."""

    alias: str
    count: int


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of a server in ERROR; ``details`` is an administrator's, and where libvirt's words are."""

    message: str
    details: str = ""
    created: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """One server, from GET /servers/detail at the newest microversion that both sides know.

    Attributes:
        host: the compute host in Nova's books; None where it is offloaded or was never placed.
        specs: the extra specs of the flavor that the server was made with, not of today's flavor.
        image: the image's id; None where the root disk is a volume.
        volumes: the attached volumes' ids.
        groups: the server groups' ids; None below 2.71.
        pinned_zone: the zone that was asked for; None for none, or below 2.96.
        created, updated: RFC 3339, Nova's clock.
    """

    id: str
    name: str
    status: str
    vm_state: str
    task_state: str | None
    power_state: int
    host: str | None
    node: str | None
    instance_name: str | None
    locked: bool
    project: str
    flavor: str
    specs: Mapping[str, str]
    vcpus: int
    ram_mib: int
    root_gib: int
    ephemeral_gib: int
    swap_mib: int
    image: str | None
    volumes: tuple[str, ...]
    zone: str | None
    created: str
    updated: str
    locked_reason: str | None = None
    pinned_zone: str | None = None
    groups: tuple[str, ...] | None = None
    config_drive: bool = False
    fault: Fault | None = None

    @property
    def wishes(self) -> tuple[Wish, ...]:
        """The devices that its flavor asks for, in the flavor's order; empty for a server without GPUs."""
        found = []
        for part in self.specs.get(ALIAS, "").split(","):
            name, colon, count = part.strip().rpartition(":")
            if colon and count.isdigit() and int(count):
                found.append(Wish(name, int(count)))
        return tuple(found)

    @property
    def cards(self) -> int:
        """How many devices it asks for."""
        return sum(wish.count for wish in self.wishes)

    @property
    def boots_from_volume(self) -> bool:
        """Whether the root disk is a volume."""
        return self.image is None


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration record (GET /os-migrations, 2.59 for the uuid).

    Attributes:
        kind: "migration", "resize", "live-migration" or "evacuation".
        dest: None where no destination was found.
    """

    id: int
    uuid: str | None
    server: str
    kind: str
    status: str
    source: str | None
    dest: str | None
    created: str
    updated: str

    @property
    def open(self) -> bool:
        """Whether Nova is at work on it."""
        return self.status in OPEN


@dataclass(frozen=True, slots=True)
class Event:
    """One step of an action; ``result`` is "Success", "Error" or None while it runs."""

    name: str
    result: str | None
    host: str | None = None
    started: str = ""
    finished: str | None = None
    details: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """One instance action; ``message`` is "Error" where any of its events failed."""

    request: str
    action: str
    message: str | None
    started: str
    updated: str | None = None
    events: tuple[Event, ...] | None = None


@dataclass(frozen=True, slots=True)
class Compute:
    """One nova-compute service; ``id`` is a uuid from 2.53 on."""

    id: str
    host: str
    enabled: bool
    up: bool
    forced_down: bool = False
    reason: str | None = None
    updated: str | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Nova's `pci_devices`: what the claims believe. Only --nova-db shows it.

    Attributes:
        network: it is a network card, which a server may own because of a port, not of its flavor.
    """

    host: str
    address: str
    vendor_id: str
    product_id: str
    kind: str  # dev_type: type-PCI, type-PF, type-VF
    status: str  # available, claimed, allocated, removed, unavailable, deleted
    owner: str | None
    request: str | None = None
    id: int | None = None
    network: bool = False


@dataclass(frozen=True, slots=True)
class Provider:
    """One resource provider of Placement: a compute node (``parent`` None) or one of its PCI devices.

    Attributes:
        host: the compute host in Nova's books; its tree's root's name, until somebody knows better.
        address: of a PCI device, in lower case; None for what is none.
        inventories: class -> what may be allocated; empty where it was not read.
        usages: class -> what is allocated; None where it was not read.
    """

    uuid: str
    name: str
    host: str | None
    parent: str | None
    generation: int
    address: str | None = None
    inventories: Mapping[str, int] = field(default_factory=dict)
    usages: Mapping[str, int] | None = None
    traits: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one consumer holds: provider uuid -> class -> amount. ``generation`` guards a PUT (1.28)."""

    consumer: str
    holds: Mapping[str, Mapping[str, int]]
    generation: int | None = None
    project: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """One libvirt domain of a host; ``state`` is libvirt's word: running, shut off, paused, ..."""

    host: str
    uuid: str
    name: str
    state: str
    hostdevs: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether it holds its devices."""
        return self.state not in {"shut off", "crashed"}


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder of a host's instances_path; ``kind`` is instance or resize, ``uuid`` the server's."""

    host: str
    name: str
    uuid: str
    kind: str


@dataclass(frozen=True, slots=True)
class HostView:
    """What a host itself shows (the host's half, `instances`); a part is None where it could not be seen."""

    host: str
    domains: tuple[Domain, ...] | None
    folders: tuple[Folder, ...] | None
    shared: bool | None  # the instances_path lies on storage that other hosts share
    vfio: tuple[str, ...] | None = None  # addresses of cards bound to vfio-pci
    lspci: Mapping[str, str] = field(default_factory=dict)  # address -> vendor:product of GPUs


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


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement for the operator to run; gpuctl never writes to a database.

    Attributes:
        sql: with every value in it, and a WHERE that does nothing once it is no longer right.
        guard: a SELECT that shows, beforehand, that the statement is (still) right, and what it must show.
        check: how to see afterwards that it took effect.
        why: in one sentence.
    """

    sql: str
    guard: str
    check: str
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """The grammar of `host check`, for moves: what was found, shown by what, mended how.

    Attributes:
        id: stable, kebab-case.
        status: pass, warn, fail or skip.
        subject: a server's uuid, or host/address, or a host.
    """

    id: str
    status: str
    subject: str
    title: str
    evidence: str
    fix: str = ""
    doc: str = ""
