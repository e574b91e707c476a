"""What the page is made of: hosts as one reading saw them."""

from __future__ import annotations

from dataclasses import dataclass, field

READY, WARNED, NOT_READY, FAILED, UNKNOWN = "ready", "warned", "not-ready", "failed", "unknown"
STATES = (READY, WARNED, NOT_READY, FAILED, UNKNOWN)
NO_GROUP = "no group"


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU.

    Attributes:
        model: its name, as pci.ids has it.
        numa, group, driver: None where it was not read, or there is none.
        alone: whether no endpoint of another card shares its group; None: not read.
        ready: None: nobody judged it.
    """

    address: str
    model: str
    numa: int | None = None
    group: int | None = None
    driver: str | None = None
    alone: bool | None = None
    ready: bool | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding that asks for something: status is fail, warn, skip (not known), or error (host not asked)."""

    id: str
    status: str
    subject: str
    title: str
    evidence: str
    fix: str


@dataclass(frozen=True, slots=True)
class HostState:
    """One host.

    Attributes:
        groups: its inventory groups.
        state: one of STATES.
        kernel: the running release; None: not read.
    """

    name: str
    state: str
    groups: tuple[str, ...] = ()
    kernel: str | None = None
    cards: tuple[Card, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading of the fleet; ``run`` and ``at`` (RFC 3339) are empty where it has none."""

    hosts: dict[str, HostState] = field(default_factory=dict)
    run: str = ""
    at: str = ""
