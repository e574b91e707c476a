"""Several bars on a terminal's stderr, redrawn in place; silent where stderr is a file or a pipe."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TextIO

from gpuctl.output.table import cells, fold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_WIDTH = 20
_BLOCKS, _PLAIN = ("█", "░", "·"), ("#", "-", ".")
_EVERY = 0.1  # seconds between two drawings


@dataclass(frozen=True, slots=True)
class Bar:
    """One line.

    Attributes:
        name: whose.
        text: what is being done.
        share: how much of it is done, 0 to 1; None where nobody knows.
        seconds: since it began.
    """

    name: str
    text: str
    share: float | None
    seconds: float


class Drawing:
    """A terminal's stderr that can be drawn on.

    Attributes:
        on: false where it is no terminal, or one that cannot be drawn on (TERM=dumb), or once it has gone.
    """

    def __init__(self) -> None:
        self.on = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def put(self, text: str) -> None:
        """The terminal got it; one that has gone (a lost SSH session) is no reason to stop the work."""
        if not self.on:
            return
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            self.on = False


class Bars:
    """Lines that are rewritten together, and gone when the work is done."""

    def __init__(self) -> None:
        self._drawing = Drawing()
        self._drawn = 0
        self._at = 0.0

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the lines away."""
        self.hide()

    def hide(self) -> None:
        """Take the lines away until they are shown again."""
        if self._drawn:
            self._drawing.put(f"\033[{self._drawn}F\033[J")
            self._drawn = 0

    def say(self, text: str) -> None:
        """The bars have a line above them that stays."""
        if self._drawing.on:
            self.hide()
            self._drawing.put(f"{fold(text)}\n")

    def show(self, bars: Sequence[Bar], foot: str) -> None:
        """Draw the bars and a line below them, unless that was just done."""
        now = time.monotonic()
        if not self._drawing.on or now - self._at < _EVERY:
            return
        self._at = now
        size = shutil.get_terminal_size((80, 24))
        lines = [cut(one, size.columns - 1) for one in [*map(line, bars[: max(size.lines - 2, 1)]), foot]]
        back = f"\033[{self._drawn}F" if self._drawn else ""
        self._drawing.put(back + "\033[J" + "".join(f"{one}\n" for one in lines))
        self._drawn = len(lines)


def line(bar: Bar) -> str:
    """Return one bar as text."""
    return f"{drawn(bar.share, _WIDTH)} {bar.name}  {bar.text} ({duration(bar.seconds)})"


def drawn(share: float | None, width: int) -> str:
    """Return a bar of so many columns, filled to a share of 0 to 1; in plain letters where stderr has no others."""
    full, empty, unknown = _BLOCKS if _has(sys.stderr, "".join(_BLOCKS)) else _PLAIN
    if share is None:
        return unknown * width
    filled = int(width * min(max(share, 0.0), 1.0))
    return full * filled + empty * (width - filled)


def _has(stream: TextIO, letters: str) -> bool:
    try:
        letters.encode(stream.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def cut(text: str, room: int) -> str:
    """Return the text in at most so many columns: a longer line would break, and be counted wrong."""
    text = "".join(char if char.isprintable() else "?" for char in text)
    while cells(text) > max(room, 1):
        text = text[:-1]
    return text


def duration(seconds: float) -> str:
    """Return seconds as a person says them: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
