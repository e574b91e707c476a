"""How much a piece of code does, told without a clock: what a test demands of speed must not hang on the machine's mood.

Figures are the business of tests/bench.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def calls(work: Callable[[], Any]) -> int:
    """How many functions are called while it works, those in C counted too: the same number each time."""
    counted = 0

    def hear(_frame: object, event: str, _arg: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(hear)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


class Endless(BaseException):
    """It is still at it; not an Exception, so that no `except` of the code under test hides it."""


@contextlib.contextmanager
def an_end(seconds: float, what: str) -> Iterator[None]:
    """What goes on for so much CPU time of this process is taken to never end: Endless.

    A guard, not a measurement: give it many times what the work needs.
    """

    def ring(_number: int, _frame: object) -> None:
        raise Endless(f"after {seconds:g} s of CPU: {what}")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
