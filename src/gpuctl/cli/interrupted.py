"""Interrupted while others work: what is under way is ended and journalled; only a second signal is the end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SAID = b"gpuctl: interrupted; what is under way is ended and journalled\n"


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a question: has SIGINT or SIGTERM come? The second of them is a KeyboardInterrupt."""
    caught: list[int] = []
    before = b"\r\n" if sys.stderr.isatty() else b""  # behind what the terminal shows of ^C, and a bar

    def note(number: int, _frame: object) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        with contextlib.suppress(OSError):
            os.write(2, before + _SAID)  # a stream's own write may be what was interrupted, and cannot be entered again

    old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
