"""The assignments in /etc/default/grub and its like, evaluated as a shell would, or known to be unknown.

Understood: assignments (also behind `export`), single, double and no quotes, escapes, `$NAME`, `${NAME}`,
`${NAME:-word}`, `+=`, arrays, comments, continued lines, `;`. Everything else (command substitution, `if`, another
file) makes the variables that it may set unknown: better no answer than a wrong one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Variables = dict  # name -> value, or None where it cannot be known

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGN = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
_ANYWHERE = re.compile(r"(?:^|[\s;&|({\"'])([A-Za-z_][A-Za-z0-9_]*)\+?=")
_BRACED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::?-([^{}$`\"'\\]*))?\}")
_OPENERS = frozenset({"if", "for", "while", "until", "case", "{", "("})
_CLOSERS = frozenset({"fi", "done", "esac", "}", ")"})
_PASSIVE = frozenset({"export", "readonly"})
_OTHER_FILE = frozenset({".", "source", "eval"})
TAINTED = "\0tainted"  # a key of the result: another file or `eval` may have set anything


class _Beyond(Exception):
    """A construct that this reader does not evaluate."""


def evaluate(texts: Iterable[str | None]) -> dict[str, str | None]:
    """Return the variables after reading ``texts`` in order; None as a value means that it cannot be known.

    A text that is None (a file that cannot be read) makes everything unknown that is not set after it.
    """
    variables: dict[str, str | None] = {}
    for text in texts:
        if text is None:
            _taint(variables)
            continue
        depth = 0
        for statement in _statements(text):
            depth = _run(statement, depth, variables)
    return variables


def value_of(variables: dict[str, str | None], name: str) -> str | None:
    """Return a variable's value ("" if it was never set), or None if it cannot be known."""
    if name in variables:
        return variables[name]
    return None if TAINTED in variables else ""


def _taint(variables: dict[str, str | None]) -> None:
    for name in variables:
        variables[name] = None
    variables[TAINTED] = None


def _statements(text: str) -> list[str]:
    """Cut a text at line ends and semicolons that no quote covers; comments and continuations are gone."""
    found: list[str] = []
    now: list[str] = []
    mark = ""
    index = 0
    text = text.replace("\r\n", "\n")
    while index < len(text):
        char = text[index]
        if char == "\\" and mark != "'" and index + 1 < len(text):
            if text[index + 1] != "\n":
                now.append(text[index : index + 2])
            index += 2
            continue
        if mark:
            mark = "" if char == mark else mark
        elif char in "'\"`":
            mark = char
        elif char == "#" and (not now or now[-1].isspace()):  # an escaped blank is part of a word
            index = text.find("\n", index)
            if index < 0:
                break
            continue
        elif char in "\n;":
            found.append(_trimmed(now))
            now = []
            index += 1
            continue
        now.append(char)
        index += 1
    found.append(_trimmed(now))
    return [statement for statement in found if statement]


def _trimmed(pieces: list[str]) -> str:
    """Join the pieces of a statement without the blanks around it; an escaped blank, one piece, stays."""
    while pieces and pieces[-1].isspace():
        pieces.pop()
    return "".join(pieces).lstrip()


def _run(statement: str, depth: int, variables: dict[str, str | None]) -> int:
    """Take one statement in; return how deep in compound commands the next one stands."""
    first = statement.split(None, 1)[0]
    opened = first in _OPENERS or first.startswith("(") or statement.endswith(("{", "()"))
    if first in _CLOSERS:
        _unknown(statement, variables)
        return max(depth - 1, 0)
    if opened or depth:
        closed = statement.rsplit(maxsplit=1)[-1] in _CLOSERS if opened else False
        _unknown(statement, variables)
        return depth + (1 if opened else 0) - (1 if closed else 0)
    if first in _OTHER_FILE:
        _taint(variables)
        return depth
    try:
        _assign(statement, variables)
    except _Beyond:
        _unknown(statement, variables)
    return depth


def _unknown(statement: str, variables: dict[str, str | None]) -> None:
    if re.search(r"(?:^|[\s;&|])(?:\.|source|eval)\s", statement):
        _taint(variables)
    for name in _ANYWHERE.findall(statement):
        variables[name] = None


def _assign(statement: str, variables: dict[str, str | None]) -> None:
    """Evaluate a simple command made of assignments alone; others that set nothing for good are passed over."""
    new: dict[str, str | None] = {}
    index = 0
    passive = False
    while index < len(statement):
        while index < len(statement) and statement[index].isspace():
            index += 1
        found = _ASSIGN.match(statement, index)
        if found is None:
            word = _NAME.match(statement, index)
            if word and (passive or word.group() in _PASSIVE) and not statement[word.end() : word.end() + 1].strip():
                passive, index = True, word.end()
                continue
            if any(mark in statement[index:] for mark in "$&|`(){}<>"):
                raise _Beyond
            return  # `A=1 command`: set for that command alone
        name, index = found.group(1), found.end()
        try:
            value, index = _word(statement, index, {**variables, **new})
        except _Unknowable as unknown:
            value, index = None, unknown.end
        if found.group(2):
            before = new[name] if name in new else value_of(variables, name)
            value = None if before is None or value is None else before + value
        new[name] = value
    variables.update(new)


class _Unknowable(Exception):
    """A word whose value cannot be known; it ends at ``end``."""

    def __init__(self, end: int) -> None:
        super().__init__()
        self.end = end


def _word(text: str, index: int, variables: dict[str, str | None]) -> tuple[str, int]:
    """Return the value of the word at ``index`` and where it ends."""
    if text.startswith("(", index):
        return _array(text, index)
    parts: list[str] = []
    mark = ""
    sure = not text.startswith("~", index)
    while index < len(text):
        char = text[index]
        if mark == "'" and char != "'":
            parts.append(char)
        elif char == mark:
            mark = ""
        elif not mark and char in "'\"":
            mark = char
        elif char == "\\" and mark != "'":
            index += 1
            follow = text[index : index + 1]
            parts.append(follow if follow and (not mark or follow in '$`"\\') else "\\" + follow)
        elif char == "$":
            piece, index = _expand(text, index, variables)
            sure = sure and piece is not None
            parts.append(piece or "")
            continue
        elif char == "`" or (not mark and char in "()<>&|"):
            raise _Beyond
        elif not mark and char.isspace():
            break
        else:
            parts.append(char)
        index += 1
    if mark:
        raise _Beyond
    if not sure:
        raise _Unknowable(index)
    return "".join(parts), index


def _expand(text: str, index: int, variables: dict[str, str | None]) -> tuple[str | None, int]:
    """Return what `$...` at ``index`` stands for (None: unknown) and where it ends."""
    braced = _BRACED.match(text, index)
    if braced:
        value = value_of(variables, braced.group(1))
        if braced.group(2) is not None and value == "":
            value = braced.group(2)
        return value, braced.end()
    name = _NAME.match(text, index + 1)
    if name:
        return value_of(variables, name.group()), name.end()
    follow = text[index + 1 : index + 2]
    if follow and (follow in "({?#@*!$'\"-" or follow.isdigit()):
        if follow in {'"', "'"}:
            return "$", index + 1
        raise _Beyond
    return "$", index + 1


def _array(text: str, index: int) -> tuple[str, int]:
    """Return the words of a bash array, joined by blanks (mkinitcpio's PRESETS and HOOKS)."""
    end = text.find(")", index)
    inside = text[index + 1 : end]
    if end < 0 or any(mark in inside for mark in "$`(\\"):
        raise _Beyond
    return " ".join(re.sub(r"[\"']", " ", inside).split()), end + 1
