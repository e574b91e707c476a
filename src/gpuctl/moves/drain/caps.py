"""How many at a time, who next, and how long that takes: one rule for the queue, the estimate and the time left."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caps:
    """Moves that may be under way at once.

    Attributes:
        total: in all.
        per_source: from one host; None: as many as in all.
        per_destination: to one host; a move whose host Nova chooses counts for none.
    """

    total: int = 4
    per_source: int | None = None
    per_destination: int = 4

    def room(self, running: Collection[Job[T]]) -> Slots:
        """Return the slots that these leave."""
        return Slots(self, len(running), Counter(one.source for one in running), Counter(one.to for one in running))


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """One move, as the caps see it; ``seconds`` is its weight where nobody knows how long it takes."""

    what: T
    source: str
    to: str | None
    seconds: float


@dataclass
class Slots:
    """What is taken of the caps."""

    caps: Caps
    total: int
    sources: Counter[str]
    destinations: Counter[str | None]

    def take(self, one: Job[T]) -> bool:
        """Say whether it may start; its slot is then taken."""
        caps = self.caps
        if self.total >= caps.total:
            return False
        if caps.per_source is not None and self.sources[one.source] >= caps.per_source:
            return False
        if one.to is not None and self.destinations[one.to] >= caps.per_destination:
            return False
        self.total += 1
        self.sources[one.source] += 1
        self.destinations[one.to] += 1
        return True


def longest_first(jobs: Sequence[Job[T]]) -> list[Job[T]]:
    """Return the order of starting: a long move that starts last is what the whole waits for."""
    return sorted(jobs, key=lambda one: -one.seconds)


def pick(waiting: Sequence[Job[T]], running: Collection[Job[T]], caps: Caps) -> list[Job[T]]:
    """Return those of ``waiting`` that may start now, in its order; one whose host is full lets the next one by."""
    slots = caps.room(running)
    return [one for one in waiting if slots.take(one)]


def makespan(waiting: Sequence[Job[T]], running: Sequence[Job[T]], caps: Caps) -> float:
    """Return how long the whole takes if each takes its ``seconds``; of those running, what is left of them."""
    queue, now, count = list(waiting), 0.0, 0
    ends: list[tuple[float, int, Job[T]]] = []
    for one in running:
        heapq.heappush(ends, (max(one.seconds, 0.0), count := count + 1, one))
    while True:
        for one in pick(queue, [job for _, _, job in ends], caps):
            queue.remove(one)
            heapq.heappush(ends, (now + one.seconds, count := count + 1, one))
        if not ends:
            return now
        now, _, _ = heapq.heappop(ends)
