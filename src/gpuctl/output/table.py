"""Columns for a terminal: as wide as the text needs, the last one wrapped to the terminal's width."""

from __future__ import annotations

import shutil
import unicodedata
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = "  "
MARKS = {
    "pass": ("✔", "green"),
    "warn": ("!", "yellow"),
    "fail": ("✘", "red"),
    "skip": ("?", "bright_black"),
}


def width() -> int:
    """Return the terminal's width in columns; 120 where there is no terminal."""
    return shutil.get_terminal_size((120, 25)).columns


def cells(text: str) -> int:
    """Return how many columns ``text`` takes on a terminal; escape sequences take none."""
    plain = click.unstyle(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in plain
    )


def columns(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Return ``rows`` set in columns, each line ending with a newline; the header is set in bold."""
    lines = [[click.style(cell, bold=True) for cell in header], *rows] if header else list(rows)
    if not lines:
        return ""
    widths = [max(cells(row[index]) for row in lines if index < len(row)) for index in range(max(map(len, lines)))]
    room = max(width() - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1), 30)
    out = []
    for row in lines:
        *front, last = row
        lead = "".join(cell + " " * (size - cells(cell)) + _GAP for cell, size in zip(front, widths, strict=False))
        indent = " " * cells(lead)
        for number, piece in enumerate(wrap(last, room)):
            out.append((lead if number == 0 else indent) + piece)
    return "".join(line.rstrip() + "\n" for line in out)


def wrap(text: str, room: int) -> list[str]:
    """Return ``text`` in lines of at most ``room`` columns, broken at blanks; a longer word stays whole."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            if line and cells(line) + 1 + cells(word) > room:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        lines.append(line)
    return lines


def mark(status: str) -> str:
    """Return the sign for a finding's status, coloured."""
    sign, colour = MARKS.get(status, ("·", "white"))
    return click.style(sign, fg=colour)
