"""Ctrl-C, in steps: once, nothing more is started; twice, what runs is left to Nova; a third time as ever."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType


class Brakes:
    """SIGINT is counted while it is entered; outside the main thread, where no signal arrives, it does nothing."""

    def __init__(self) -> None:
        self.pressed = 0
        self._before: Any = None

    def __enter__(self) -> Self:
        """Return itself, counting."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signal back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    @property
    def slow(self) -> bool:
        """Whether nothing more is to be started."""
        return self.pressed >= 1

    @property
    def stop(self) -> bool:
        """Whether one is not to wait for what runs."""
        return self.pressed >= 2

    def _press(self, _number: int, _frame: FrameType | None) -> None:
        self.pressed += 1
        if self.pressed > 2:
            raise KeyboardInterrupt
