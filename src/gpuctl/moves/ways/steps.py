"""What a way may answer: the next thing to do for one move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpuctl.moves.model import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Wait:
    """Nova is at work.

    Attributes:
        kind: whose deadline counts (gpuctl.moves.move.DEADLINES).
        detail: what is waited for, for a person.
        since: from when the deadline counts; 0: from the last request, or from when the move was taken up.
    """

    kind: str
    detail: str
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """Look closely (server, migrations, actions) before anything is concluded.

    Attributes:
        kind, detail, since: as of Wait.
        rows: look at the cards as well that Nova's books give to the server.
    """

    kind: str
    detail: str
    since: float = 0.0
    rows: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask Nova for something that changes the server: journalled first, sent once."""

    name: str
    body: Mapping[str, Any]
    what: str


@dataclass(frozen=True, slots=True)
class Prove:
    """Find out whether the guest on the destination is good, before anything is confirmed."""

    detail: str = "the guest on the destination is being looked at"


@dataclass(frozen=True, slots=True)
class Check:
    """Read all books anew and compare them: only then is a move done."""

    detail: str = "the books are being read again"


@dataclass(frozen=True, slots=True)
class Right:
    """Put what Placement holds for the server right (``track.right``), guarded by its generation."""

    detail: str = "the allocation in Placement is being put right"


@dataclass(frozen=True, slots=True)
class End:
    """The move is over for this process.

    Attributes:
        state: of gpuctl.moves.result.
        not_taken: the first request left no trace; nothing was changed.
        as_asked: it is unfinished because that was asked for.
    """

    state: str
    detail: str
    resolution: str = ""
    findings: tuple[Finding, ...] = field(default=())
    not_taken: bool = False
    as_asked: bool = False


Step = Wait | Look | Ask | Prove | Check | Right | End
