"""Ctrl-C and kill, taken between two steps: never in the middle of one."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # a lost SSH session sends the last


class Stop(BaseException):
    """A signal came; raised between two steps, and caught by the executor alone."""


class Signals:
    """While the block runs, a signal is noted and nothing else; the previous handlers are back afterwards."""

    def __init__(self) -> None:
        self.name: str | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python lets no other thread set a handler
            for number in _CAUGHT:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: object) -> None:
        self.name = signal.Signals(number).name

    def check(self) -> None:
        """Raise Stop if a signal has come."""
        if self.name is not None:
            raise Stop(self.name)
