"""One thread that closes connections whose time is up, which ends whatever waits on them (paramiko without limit)."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl.remote.road import Deadline


class Closes(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Close it."""


class _Watch:
    """The thread and what it waits for; one a process, begun when it is first needed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int]] = []
        self._lines: dict[int, Closes] = {}
        self._number = itertools.count()
        self._runs = False

    def add(self, line: Closes, seconds: float) -> int:
        """Close ``line`` after so many seconds, unless it is dropped before."""
        with self._changed:
            number, end = next(self._number), time.monotonic() + seconds
            self._lines[number] = line
            heapq.heappush(self._heap, (end, number))
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="gpuctl-watch", daemon=True).start()
            elif self._heap[0][1] == number:
                self._changed.notify()
        return number

    def drop(self, number: int) -> None:
        """Do not close it."""
        with self._changed:
            self._lines.pop(number, None)
            while self._heap and self._heap[0][1] not in self._lines:
                heapq.heappop(self._heap)

    def _run(self) -> None:
        while True:
            with self._changed:
                left = self._heap[0][0] - time.monotonic() if self._heap else None
                if left is None or left > 0:
                    self._changed.wait(left)
                    continue
                line = self._lines.pop(heapq.heappop(self._heap)[1], None)
            if line is not None:
                # In a thread of its own: closing one may wait for its peer, and the next one's time is up as well.
                threading.Thread(target=line.close, daemon=True).start()


_WATCH = _Watch()


@contextmanager
def closing_at(line: Closes, deadline: Deadline) -> Iterator[None]:
    """Close the line when the time is up."""
    number = _WATCH.add(line, deadline.left)
    try:
        yield
    finally:
        _WATCH.drop(number)
