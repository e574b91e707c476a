"""The host's half's words: JSON events among whatever a login script prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpuctl.remote.untrusted import parse, plain

if TYPE_CHECKING:
    from collections.abc import Callable

_EVENTS = ("progress", "result", "error")
_NOISE = 2000  # characters that are kept of what is no event
LIMIT = 16 * 1024 * 1024  # bytes; a check's answer has tens of thousands


@dataclass(slots=True)
class Words:
    """What came so far; feed it bytes as they come.

    Attributes:
        hear: is told every progress event.
        last: the result or the error event.
        noise: the beginning of everything else.
    """

    hear: Callable[[dict[str, Any]], None] | None = None
    last: dict[str, Any] | None = None
    noise: str = ""
    _rest: list[bytes] = field(default_factory=list)

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._line(b"".join(self._rest) + line)
            self._rest.clear()
        if rest:
            self._rest.append(rest)

    def end(self) -> None:
        """Take what was left without a line's end."""
        self.feed(b"\n")

    def _line(self, line: bytes) -> None:
        text = line.strip()
        event = None
        if text.startswith(b"{"):
            try:
                event = parse(text)
            except ValueError:
                event = None
        if not isinstance(event, dict) or event.get("event") not in _EVENTS:
            if text and len(self.noise) < _NOISE:
                self.noise += plain(text[:_NOISE].decode("utf-8", "replace")) + "\n"
        elif event["event"] == "progress":
            if self.hear is not None:
                self.hear(event)
        else:
            self.last = event
