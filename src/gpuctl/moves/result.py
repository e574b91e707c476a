"""What became of one server: the grammar that migrate, recover and drain answer in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gpuctl.moves.model import Finding, Statement

DONE, PLANNED, REFUSED, FAILED = "done", "planned", "refused", "failed"
UNFINISHED, INTERRUPTED, UNKNOWN = "unfinished", "interrupted", "unknown"
OPEN_ENDED = frozenset({UNFINISHED, INTERRUPTED, UNKNOWN})
"""States after which `instance migrate SERVER` again goes on with the very same move."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a move.

    Attributes:
        step: its name: "migrate", "proof", "confirm", ...
        state: done, failed, refused, lost or unknown.
        at: when it began, RFC 3339.
        seconds: how long it took; None where that is not known (a kill in between).
        detail: what was seen, in one sentence.
    """

    step: str
    state: str
    at: str
    seconds: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one server.

    Attributes:
        source: the host that it was on.
        dest: the host that it is on now, or was to go to where it never got there; None where that is not known.
        state: done, planned (a dry run), refused, failed, unfinished, interrupted or unknown.
        detail: what happened, in one sentence.
        resolution: one thing to do now; empty where nothing is.
        not_taken: the request that begins a move left no trace: nothing was changed, and it may be asked for anew.
        as_asked: it is unfinished because that was asked for (--no-confirm).
    """

    server: str
    name: str
    source: str | None
    dest: str | None
    strategy: str
    state: str
    detail: str = ""
    resolution: str = ""
    steps: tuple[Step, ...] = ()
    findings: tuple[Finding, ...] = ()
    statements: tuple[Statement, ...] = ()
    why: str = ""
    not_taken: bool = False
    as_asked: bool = False

    def document(self) -> dict[str, Any]:
        """Return it as the CONTRACT's JSON says."""
        return {
            "server": self.server,
            "name": self.name,
            "from": self.source,
            "to": self.dest,
            "strategy": self.strategy,
            "why": self.why,
            "state": self.state,
            "detail": self.detail,
            "resolution": self.resolution,
            "steps": [asdict(one) for one in self.steps],
            "findings": [asdict(one) for one in self.findings],
            "statements": [asdict(one) for one in self.statements],
        }
