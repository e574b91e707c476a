"""Progress on stderr, and only to a terminal: one line that is rewritten, gone when the work is done."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

from gpuctl.output.bars import Drawing, cut, drawn

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_BAR, _LONGEST = 24, 160
_ECHO = 5  # columns that stay free: the terminal writes ^C behind the line, and one that breaks is not taken away


class Progress:
    """A line on a terminal's stderr; silent where stderr is a file or a pipe."""

    def __init__(self) -> None:
        self._drawing = Drawing()
        self._start = time.monotonic()
        self._drawn = False

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line away."""
        self.hide()

    def hide(self) -> None:
        """Take the line away until the next event, so that something can be printed."""
        if self._drawn:
            self._drawing.put("\r\033[K")
            self._drawn = False

    def show(self, event: dict[str, Any]) -> None:
        """Draw one progress event: keys text, done, total (total may be 0: not known)."""
        if not self._drawing.on:
            return
        columns = shutil.get_terminal_size((80, 24)).columns
        done, total = int(event.get("done") or 0), int(event.get("total") or 0)
        bar = ""
        if total:
            bar = f"{drawn(min(done, total) / total, min(_BAR, columns // 4))} {done}/{total} "
        seconds = time.monotonic() - self._start
        line = f"{bar}{event.get('text', '')} ({seconds:.0f} s)"
        self._drawn = True  # first: Ctrl-C may come between the two
        self._drawing.put("\r\033[K" + cut(line, min(columns - _ECHO, _LONGEST)))
