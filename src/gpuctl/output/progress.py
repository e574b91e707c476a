"""Progress on stderr, and only to a terminal: one line that is rewritten, gone when the work is done."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_BAR = 24


class Progress:
    """A line on a terminal's stderr; silent where stderr is a file or a pipe."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()
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
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self._drawn = False

    def show(self, event: dict[str, Any]) -> None:
        """Draw one progress event: keys text, done, total (total may be 0: not known)."""
        if not self._on:
            return
        done, total = int(event.get("done") or 0), int(event.get("total") or 0)
        bar = ""
        if total:
            filled = _BAR * min(done, total) // total
            bar = f"{'█' * filled}{'░' * (_BAR - filled)} {done}/{total} "
        seconds = time.monotonic() - self._start
        sys.stderr.write(f"\r\033[K{bar}{event.get('text', '')} ({seconds:.0f} s)"[:160])
        sys.stderr.flush()
        self._drawn = True
