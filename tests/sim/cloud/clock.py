"""The cloud's time: the wall's, with what is due done when somebody looks. Frozen, only `advance` moves it."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import datetime, timezone


class Clock:
    """Seconds since 1970, and what is due when. Not safe for threads: its owner's lock is."""

    def __init__(self) -> None:
        self._shift = 0.0
        self._frozen: float | None = None
        self._at: float | None = None  # the time of what is being done, which may be past
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    @property
    def now(self) -> float:
        if self._at is not None:
            return self._at
        return (time.time() if self._frozen is None else self._frozen) + self._shift

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """`act` is due in so many seconds."""
        heapq.heappush(self._due, (self.now + seconds, next(self._numbers), act))

    def catch_up(self) -> None:
        """Everything that was due has been done, in its order and at its time."""
        if self._at is not None:
            return
        now = self.now
        while self._due and self._due[0][0] <= now:
            self._one()

    def settle(self) -> float:
        """Nothing is due any more; returns how many seconds the clock jumped ahead for it."""
        before = self._shift
        self.catch_up()
        while self._due:
            self._shift += max(self._due[0][0] - self.now, 0.0)
            self._one()
        return self._shift - before

    def advance(self, seconds: float) -> None:
        """So much later."""
        self._shift += seconds
        self.catch_up()

    def freeze(self) -> None:
        """Time stands still; `advance` moves it."""
        if self._frozen is None:
            self._frozen = time.time()

    def clear(self) -> None:
        """Nothing is due."""
        self._due.clear()

    def stamp(self, at: float | None = None, *, zone: str = "") -> str:
        """A time as Nova writes it: 2026-11-21T12:00:00, with the zone (`Z`, `.000000`) that the place has."""
        when = datetime.fromtimestamp(self.now if at is None else at, tz=timezone.utc)
        return when.strftime("%Y-%m-%dT%H:%M:%S") + zone

    def _one(self) -> None:
        self._at, _, act = heapq.heappop(self._due)
        try:
            act()
        finally:
            self._at = None
