"""One move while it is under way in this process: its journal, its steps so far, what was last seen."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from gpuctl.errors import OperatorError
from gpuctl.moves.errors import Unsafe
from gpuctl.moves.journal import Journal, JournalFailed, stamp
from gpuctl.moves.result import REFUSED, UNKNOWN, Result, Step
from gpuctl.moves.ways.steps import End

if TYPE_CHECKING:
    from gpuctl.moves.engine import Progress
    from gpuctl.moves.model import Server
    from gpuctl.moves.move import Sight, Track

STUMBLES = 40
"""So often in a row may a look or a proof go wrong before the move is "unknown"."""


@dataclass
class Running:
    """One move.

    Attributes:
        track: what is known of it.
        journal: locked; None for one that never started.
        begun: on the monotonic clock.
        busy: something is under way for it beside the loop.
        fresh: the sight of a close look, for the next decision alone.
        unseen: nothing was looked at yet: it is taken up.
        trouble: why it cannot go on.
    """

    track: Track
    journal: Journal | None
    begun: float
    busy: bool = False
    fresh: Sight | None = None
    unseen: bool = False
    trouble: End | None = None
    steps: list[Step] = field(default_factory=list)
    looked: float = float("-inf")
    stumbles: int = 0

    @classmethod
    def start(cls, cloud: str, track: Track) -> Self:
        """Return it, its journal locked and, for a new move, begun by the first request.

        Raises:
            Busy: another gpuctl has it.
            JournalFailed: the journal cannot be opened.
            Unsafe: another gpuctl began, or ended, a move of it since this one was planned.
        """
        journal = Journal.open(cloud, track.move.server.id)
        try:
            resumed = bool(track.sent)
            track = replace(_as_journalled(journal, track), since=time.time(), resumed=resumed)
            if resumed:
                journal.options(track)
        except OperatorError:
            journal.close()
            raise
        return cls(track, journal, time.monotonic(), unseen=True)

    @classmethod
    def refused(cls, track: Track) -> Self:
        """Return one that never started."""
        return cls(track, None, time.monotonic())

    @property
    def server(self) -> str:
        """The server's id."""
        return self.track.move.server.id

    @property
    def looked_ago(self) -> float:
        """Seconds since the last close look."""
        return time.monotonic() - self.looked

    def close(self) -> None:
        """The journal is another's to have."""
        if self.journal is not None:
            self.journal.close()
            self.journal = None

    def saw(self, sight: Sight) -> None:
        """A close look was had."""
        self.fresh, self.unseen, self.looked, self.stumbles = sight, False, time.monotonic(), 0

    def add(self, name: str, state: str, at: float, detail: str = "") -> None:
        """A step is on record."""
        self.steps.append(Step(name, state, stamp(at), round(time.time() - at, 3), detail))

    def stumbled(self, error: OperatorError) -> None:
        """Something beside the loop went wrong: the journal for good, anything else for now."""
        self.looked = time.monotonic()
        self.stumbles += 1
        if isinstance(error, JournalFailed) or self.stumbles >= STUMBLES:
            self.trouble = End(
                UNKNOWN if self.track.sent else REFUSED, f"{error.brief}: {error.details}", error.resolution
            )

    def progress(self, step: str, detail: str, result: Result | None = None) -> Progress:
        """Return what is told of it now."""
        from gpuctl.moves.engine import Progress

        return Progress(self.track.move, step, detail, time.monotonic() - self.begun, result)

    def end(self, step: End, server: Server | None) -> Result:
        """Return what became of it; it is in the journal."""
        if self.journal is not None and self.track.sent:
            self.journal.end(self.track, step.state, step.detail)
        return self.result(step, server)

    def result(self, step: End, server: Server | None) -> Result:
        """Return what became of it."""
        move = self.track.move
        here = server.host if server is not None else None
        return Result(
            server=move.server.id,
            name=move.server.name,
            source=move.source,
            dest=here if here and here != move.source else move.to,
            strategy=move.strategy,
            state=step.state,
            detail=step.detail,
            resolution=step.resolution,
            steps=tuple(self.steps),
            findings=step.findings,
            why=move.why,
            not_taken=step.not_taken,
            as_asked=step.as_asked,
        )


def _as_journalled(journal: Journal, track: Track) -> Track:
    """Return the track as the journal, which is locked now, has it: between plan and start others may have had it."""
    found = journal.unfinished()
    if (found.move.id if found else None) != (track.move.id if track.sent else None):
        raise Unsafe(
            f"since the plan for {track.move.server.name} was made another gpuctl began or ended a move of it",
            resolution=f"gpuctl instance migrate {track.move.server.id} --dry-run shows what is to be done now",
        )
    return track if found is None else replace(found, move=track.move)
