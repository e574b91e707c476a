"""Nova's records of servers, of their moves, and of the compute services."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
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

    @property
    def words(self) -> str:
        """The exception's own words: the last line of the details that is not empty."""
        return _last_line(self.details)


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

    @property
    def cold(self) -> bool:
        """Whether it is a cold migration or a resize: what its failures leave held is known (facts/nova.md 4.5)."""
        return self.kind in {"migration", "resize"}


@dataclass(frozen=True, slots=True)
class Event:
    """One step of an action; ``result`` is "Success", "Error" or None while it runs."""

    name: str
    result: str | None
    host: str | None = None
    started: str = ""
    finished: str | None = None
    details: str = ""

    @property
    def words(self) -> str:
        """What Nova kept of the failure; of an exception that is not its own, no more than the class's name."""
        return _last_line(self.details)


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
    """One nova-compute service; ``id`` is a uuid from 2.53 on.

    Attributes:
        silent: the database of its cell does not answer Nova: all but its host is unknown (2.69).
    """

    id: str
    host: str
    enabled: bool
    up: bool
    forced_down: bool = False
    reason: str | None = None
    updated: str | None = None
    zone: str | None = None
    silent: bool = False


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def moment(text: str) -> datetime | None:
    """Return a time of Nova's, which it writes with and without a zone (UTC); None where it is none."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
