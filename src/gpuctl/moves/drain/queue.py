"""Hands the engine its moves: the longest first, within the caps, and none any more once too many have failed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from gpuctl.moves.drain.caps import Caps, Job, longest_first, makespan, pick
from gpuctl.moves.move import Move, Track
from gpuctl.moves.result import DONE, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from gpuctl.moves.drain.settings import MaxFail

Work = Job[Move | Track]


def move_of(what: Move | Track) -> Move:
    """Return the move of either."""
    return what.move if isinstance(what, Track) else what


def _kept(one: Work, seconds: Callable[[Move], float]) -> float:
    """Return the new estimate; what was under way before this run stays before all others."""
    return one.seconds if isinstance(one.what, Track) else seconds(move_of(one.what))


class Eye(Protocol):
    """Looks again before more is started."""

    def gone(self, result: Result) -> bool:
        """Say whether a server that was not moved has left the host all the same (deleted, moved by somebody)."""
        ...

    def fresh(self, waiting: Sequence[Work], running: Sequence[Work]) -> tuple[list[Work], list[Result]]:
        """Return ``(what may still be started, elsewhere where its host is gone; what has no place any more)``."""
        ...

    def anew(
        self, lost: Sequence[Work], kept: Sequence[Work], running: Sequence[Work]
    ) -> tuple[list[Work], list[Result]]:
        """Return the same, for some that have to be planned anew."""
        ...


@dataclass
class DrainQueue:
    """The queue of one drain.

    Attributes:
        waiting: not started yet.
        total: servers that the share of failures is of.
        eye: looks again before a start; None: what was planned holds.
        brake: is asked before a start whether somebody wants no more.
        started: is told of each move before it starts.
        settled: is told of each result, the engine's and its own.
        every: seconds between two looks before a start.
        stopped: why nothing more is started.
        results: of those that found no place any more: the engine never had them.
        running, begun: what was handed out, by server, and when (monotonic clock).
        gone: servers that left the host without us.
    """

    waiting: list[Work]
    caps: Caps
    max_fail: MaxFail
    total: int
    eye: Eye | None = None
    brake: Callable[[], bool] = lambda: False
    started: Callable[[Move], None] = lambda _: None
    settled: Callable[[Result], None] = lambda _: None
    every: float = 1.0
    stopped: str = ""
    failed: int = 0
    results: list[Result] = field(default_factory=list)
    running: dict[str, Work] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    _looked: float = field(default_factory=time.monotonic)
    _again: bool = False

    def __post_init__(self) -> None:
        self.waiting = longest_first(self.waiting)

    def stop(self, why: str) -> None:
        """Nothing more is started; what runs goes on to its end."""
        self.stopped = self.stopped or why

    def ready(self, running: Collection[Move]) -> list[Move | Track]:
        """Return what may start now."""
        ids = {one.server.id for one in running}
        self.running = {name: one for name, one in self.running.items() if name in ids}
        if self.waiting and self.brake():
            self.stop("interrupted: no more were started")
        if self.stopped or not self.waiting:
            return []
        if not pick(self.waiting, list(self.running.values()), self.caps):
            return []
        if not self._look():
            return []
        now = pick(self.waiting, list(self.running.values()), self.caps)
        for one in now:
            self.waiting.remove(one)
            move = move_of(one.what)
            self.running[move.server.id], self.begun[move.server.id] = one, time.monotonic()
            self.started(move)
        return [one.what for one in now]

    def ended(self, result: Result) -> None:
        """Count what did not end well; after that the hosts are looked at before anything is started."""
        work = self.running.pop(result.server, None)
        if result.not_taken and work is not None and isinstance(work.what, Track) and self.eye is not None:
            # Taken up after a kill, and its first request never reached Nova: it is asked for now.
            self._take(self.eye.anew([work], self.waiting, list(self.running.values())))
            return
        if result.state != DONE:
            self._again = True
            if self.eye is not None and self.eye.gone(result):
                self.gone.add(result.server)
                self.settled(result)
                return
        self._count(result)

    def left(self) -> float:
        """Return the seconds that it will still take, if each takes what it was estimated to."""
        now = time.monotonic()
        # One that takes longer than it was thought to is never "done in no time": a tenth of it is still to come.
        rest = [
            replace(one, seconds=max(one.seconds - (now - self.begun[name]), one.seconds / 10))
            for name, one in self.running.items()
        ]
        return makespan([] if self.stopped else self.waiting, rest, self.caps)

    def weigh(self, seconds: Callable[[Move], float]) -> None:
        """How long each takes is known better now; the longest of those that wait still goes first."""
        self.waiting = longest_first([replace(one, seconds=_kept(one, seconds)) for one in self.waiting])
        self.running = {name: replace(one, seconds=seconds(move_of(one.what))) for name, one in self.running.items()}

    def _count(self, result: Result) -> None:
        self.settled(result)
        if result.state == DONE:
            return
        self.failed += 1
        if self.max_fail.reached(self.failed, self.total):
            self.stop(f"{self.failed} of {self.total} servers did not make it (--max-fail {self.max_fail})")

    def _take(self, found: tuple[list[Work], list[Result]]) -> None:
        """What is to be started, and what cannot be any more, is as a look again has it."""
        waiting, refused = found
        self.waiting = longest_first(waiting)
        self.results += refused
        for one in refused:
            self._count(one)

    def _look(self) -> bool:
        """Say whether more may start; hosts that went down since are no longer gone to."""
        if self.eye is None or (not self._again and time.monotonic() - self._looked < self.every):
            return True
        self._take(self.eye.fresh(self.waiting, list(self.running.values())))
        self._looked, self._again = time.monotonic(), False
        return not self.stopped
