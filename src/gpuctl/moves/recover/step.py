"""One step of a repair, as data: what is asked for, why that is safe now, and what must be seen afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpuctl.moves.model import Allocation, Statement

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Act:
    """POST /servers/{id}/action with this body."""

    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What Nova calls it: os-start, confirmResize, ..."""
        return next(iter(self.body))


@dataclass(frozen=True, slots=True)
class Put:
    """PUT /allocations/{consumer}: exactly this, guarded by the generation that was read.

    Attributes:
        allocation: what the consumer is to hold.
        emptied: a second consumer that holds nothing afterwards; both change at once, or neither.
    """

    allocation: Allocation
    emptied: Allocation | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A statement for the person; gpuctl goes on once it took effect."""

    statement: Statement


@dataclass(frozen=True, slots=True)
class Clear:
    """Leftovers on a host are put into quarantine by the host's half."""

    host: str


@dataclass(frozen=True, slots=True)
class Resume:
    """gpuctl's own move is taken up by the engine."""


@dataclass(frozen=True, slots=True)
class Await:
    """Nothing is asked for: something that comes by itself is waited for."""


Request = Act | Put | Ask | Clear | Resume | Await


@dataclass(frozen=True, slots=True)
class Expect:
    """What must be seen after a step; everything that is given must hold.

    Attributes:
        status: one of these.
        migration: (id, the statuses of which it must have one).
        free: hosts on which the server must hold no card (database).
        exactly: (host, the number of cards there at most) (database).
        devices: how many devices Placement must hold for the server.
        empty: consumers that must hold nothing in Placement.
        gone: hosts that must show neither a `_resize` folder nor a domain of it.
        guest: "runs".
        tracked: the server has been where it is for so long that its nova-compute tracks it.
    """

    status: frozenset[str] = frozenset()
    migration: tuple[int, frozenset[str]] | None = None
    free: tuple[str, ...] = ()
    exactly: tuple[str, int] | None = None
    devices: int | None = None
    empty: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    guest: str = ""
    tracked: bool = False
    words: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        id: stable, kebab-case: what --accept names.
        case: the case that it repairs.
        title: what is done, in words.
        safe: why it is safe now; what was read for that.
        request: what is asked for.
        expect: what must be seen afterwards.
        destroys: what is lost by it, in words; then --yes does not agree to it, but only its name does.
        seconds: how long it may take until it is "unknown, still going".
        then: steps that belong to it: what it left in between must not stay.
        unless: it is left out where the server has this status already.
    """

    id: str
    case: str
    title: str
    safe: str
    request: Request
    expect: Expect = field(default=Expect())
    destroys: str = ""
    seconds: float = 600.0
    then: tuple[Step, ...] = ()
    unless: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in order, and what is not.

    Attributes:
        steps: the first is done; then everything is read and planned again.
        refused: what gpuctl will not do, and why: (what, why).
        advice: what a person can do where gpuctl can do nothing.
        statements: for the database; one that only looks has no ``sql``.
    """

    steps: tuple[Step, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    advice: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()
