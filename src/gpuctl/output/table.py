"""Columns and lines for a terminal: as wide as the text needs, wrapped to the terminal's width."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = "  "
_LAST = 30  # columns: with less room beside the others, the last one goes below them
_BELOW = "    "
_COPIED = " " * 12
"""What a line begins with that is to be copied: it is never broken."""
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
    total, before = width(), sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    room = max(total - before, _LAST)
    if before + min(widths[-1], _LAST) > total:
        return _narrow(rows, header, widths, total)
    out = []
    for row in lines:
        *front, last = row
        lead = "".join(cell + " " * (size - cells(cell)) + _GAP for cell, size in zip(front, widths, strict=False))
        indent = " " * cells(lead)
        for number, piece in enumerate(wrap(last, room)):
            out.append((lead if number == 0 else indent) + piece)
    return "".join(line.rstrip() + "\n" for line in out)


def _narrow(rows: Sequence[Sequence[str]], header: Sequence[str], widths: Sequence[int], size: int) -> str:
    """Return rows for a terminal that has no room for them: the last cell below, or each cell on a line of its own."""
    out: list[str] = []
    lead = len(widths) > 1 and sum(widths[:-1]) + len(_GAP) * (len(widths) - 2) <= size
    titles = [click.style(cell, bold=True) for cell in header]
    for row in [titles, *rows] if header and lead else rows:
        indent = " " * (len(row[0]) - len(row[0].lstrip())) + _BELOW
        if lead:
            front = row[: len(widths) - 1]
            out.append(_GAP.join(cell + " " * (widths[at] - cells(cell)) for at, cell in enumerate(front)))
            below = list(row[len(front) :])
        else:
            out.append(row[0])
            names = [f"{title} " for title in titles] or [""] * len(row)
            below = [f"{name}{cell}" for name, cell in zip(names[1:], row[1:], strict=False) if cell]
        for cell in below:
            first, *more = wrap(cell, max(size - len(indent) - len(_GAP), 1))
            out += [indent + first, *(f"{indent}{'' if lead else _GAP}{piece}" for piece in more)]
    return "".join(line.rstrip() + "\n" for line in out if line.strip())


def fold(text: str) -> str:
    """Return lines that are broken at blanks to a terminal's width, what follows indented below; a pipe's as they are.

    A line that begins with 12 blanks or more is to be copied, and stays whole.
    """
    if not sys.stdout.isatty():
        return text
    size, out = width(), []
    for line in text.split("\n"):
        if cells(line) <= size or line.startswith(_COPIED):
            out.append(line)
            continue
        indent = line[: len(line) - len(line.lstrip())]
        first, *more = wrap(line[len(indent) :], max(size - len(indent) - len(_GAP), 1))
        out += [indent + first, *(f"{indent}{_GAP}{piece}" for piece in more)]
    return "\n".join(out)


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
