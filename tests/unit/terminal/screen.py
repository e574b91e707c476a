"""A terminal's screen, as far as gpuctl draws on one: text that wraps, CR, LF, up, erase, colours; all else is noted as strange."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])")


class Screen:
    """``rows`` has every line since the beginning, also those that were scrolled away."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows: list[str] = [""]
        self.row = self.column = 0
        self.shown = True  # the cursor
        self.strange: list[str] = []
        self._rest = ""

    def feed(self, text: str) -> None:
        """The terminal got this."""
        text, at = self._rest + text, 0
        self._rest = ""
        while at < len(text):
            found = _ESCAPE.match(text, at)
            if found:
                self._escape(*found.groups())
                at = found.end()
                continue
            if text[at] == "\x1b" and len(text) - at < 12:
                self._rest = text[at:]
                return
            self._put(text[at])
            at += 1

    def _put(self, char: str) -> None:
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self._down()
        elif char == "\b":
            self.column = max(self.column - 1, 0)
        elif not char.isprintable():
            self.strange.append(char)
        else:
            if self.column == self.columns:
                self.column = 0
                self._down()
            line = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = line[: self.column] + char + line[self.column + 1 :]
            self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")

    def _escape(self, private: str, numbers: str, letter: str) -> None:
        count = int(numbers) if numbers.isdigit() else 0
        if private and letter in "hl" and count == 25:
            self.shown = letter == "h"
        elif letter == "K" and not count:
            self.rows[self.row] = self.rows[self.row][: self.column]
        elif letter == "J" and not count:
            self.rows[self.row] = self.rows[self.row][: self.column]
            del self.rows[self.row + 1 :]
        elif letter == "F":
            self.row, self.column = max(self.row - max(count, 1), 0), 0
        elif letter != "m":
            self.strange.append(f"CSI {private}{numbers}{letter}")

    @property
    def text(self) -> str:
        """What there is to read, without blanks at the lines' ends."""
        return "\n".join(line.rstrip() for line in self.rows)
