"""What the pages tell people to type."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"(?: {4,}[$#]? ?|\$ )(gpuctl .*)")  # indented, with or without a prompt; fenced, with one
_INLINE = re.compile(r"`(gpuctl [a-z][^`]*)`")
_STOP = {"|", "||", "&&", ";", ">", ">>", "2>", "<", "then"}


@dataclass(frozen=True)
class Said:
    """One command line of a page."""

    page: str
    line: int
    words: tuple[str, ...]
    shown: bool  # in a block of its own, as something to type; else within a sentence

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {' '.join(self.words)}"


def pages() -> list[Path]:
    """Every page that people read."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "playbooks").rglob("*.md"))]
    return [path for path in found if "_build" not in path.parts]


def commands() -> list[Said]:
    """Every gpuctl command line in them."""
    return [said for page in pages() for said in _commands(page)]


def _commands(page: Path) -> list[Said]:
    found = []
    lines = page.read_text("utf-8").splitlines()
    name = str(page.relative_to(ROOT))
    for number, line in enumerate(lines, 1):
        block = _BLOCK.fullmatch(line)
        if block:
            found.append(_said(name, number, block[1], shown=True))
        elif not line.strip().startswith("$"):
            found += [_said(name, number, one, shown=False) for one in _INLINE.findall(line)]
    return [one for one in found if len(one.words) > 1]


def _said(page: str, line: int, text: str, *, shown: bool) -> Said:
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for word in lexer:
        if word in _STOP:
            break
        words.append(word)
    return Said(page, line, tuple(words), shown)
