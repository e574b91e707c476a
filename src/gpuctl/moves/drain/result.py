"""What became of a drain: every server, the service, what is left on the host; as a document and an exit code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpuctl.moves.drain.service import enable_command
from gpuctl.moves.result import DONE, INTERRUPTED, REFUSED, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuctl.moves.drain.record import Before

SCHEMA = "gpuctl.instance.drain/1"


@dataclass(frozen=True)
class DrainResult:
    """What became of a drain.

    Attributes:
        run: its id; by it the service can be given back.
        results: one a server.
        staying: servers without cards, which a drain does not move.
        left: GPU servers that are still on the host, read back at the end; None where that could not be read.
        before: what the compute service was; None where it was not touched.
        reason: the service's, now.
        touched: anything was changed.
        stopped: why no more moves were started; empty where all were.
        interrupted: by Ctrl-C.
        advice: what to do next, for a person.
        seconds: the moves took.
        took: server -> the seconds that its move took in this run.
        estimate: how long they were thought to take; None where nobody knew.
    """

    cloud: str
    host: str
    run: str
    results: tuple[Result, ...]
    staying: tuple[str, ...] = ()
    left: tuple[str, ...] | None = None
    before: Before | None = None
    reason: str | None = None
    touched: bool = False
    stopped: str = ""
    interrupted: bool = False
    evacuated: bool = False
    advice: tuple[str, ...] = ()
    seconds: float = 0.0
    took: Mapping[str, float] = field(default_factory=dict)
    estimate: float | None = None
    planned: bool = False

    @property
    def empty(self) -> bool:
        """Whether no GPU server is on the host any more, as was read back."""
        return self.left == ()

    @property
    def exit_code(self) -> int:
        """What the process says: 0 only where the host was seen empty and every server good elsewhere."""
        states = {one.state for one in self.results}
        if self.planned:
            return 3 if REFUSED in states else 0
        if states <= {DONE} and self.empty:
            return 0
        if self.interrupted or INTERRUPTED in states:
            return 130
        if not self.touched:
            return 3
        return 5 if DONE in states else 1

    @property
    def state(self) -> str:
        """The whole in a word."""
        if self.planned:
            return "refused" if self.exit_code else "planned"
        return {0: "done", 3: "refused", 5: "part", 130: "interrupted"}.get(self.exit_code, "failed")

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        before = self.before
        return {
            "schema": SCHEMA,
            "cloud": self.cloud,
            "host": self.host,
            "run": self.run,
            "state": self.state,
            "evacuated": self.evacuated,
            "empty": None if self.left is None else self.empty,
            "left": None if self.left is None else list(self.left),
            "service": {
                "before": None
                if before is None
                else {"enabled": before.enabled, "reason": before.reason, "forced_down": before.forced_down},
                "reason": self.reason,
                "enable": enable_command(self.host),
            },
            "stopped": self.stopped,
            "seconds": round(self.seconds, 3),
            "estimate": None if self.estimate is None else round(self.estimate, 1),
            "staying": list(self.staying),
            "advice": list(self.advice),
            "results": [{**one.document(), "seconds": self._seconds(one)} for one in self.results],
        }

    def _seconds(self, one: Result) -> float | None:
        found = self.took.get(one.server)
        return None if found is None else round(found, 3)
