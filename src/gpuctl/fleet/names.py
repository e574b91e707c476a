"""Host names as people write many of them: ranges taken apart, patterns matched, lists folded for a screen."""

from __future__ import annotations

import fnmatch
import re
import string
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.fleet.errors import BadInventory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_RANGE = re.compile(r"\[([0-9]+|[A-Za-z]):([0-9]+|[A-Za-z])(?::([0-9]+))?\]")
_SUBSCRIPT = re.compile(r"(.+)\[(?:(-?[0-9]+)|([0-9]+)[:-]([0-9]*))\]")  # Ansible's PATTERN_WITH_SUBSCRIPT
_NO_SUBSCRIPT = re.compile(r".+\[(?::-?[0-9]*|-[0-9]+:-?[0-9]*|[0-9]+:-[0-9]+)\]")
_MANY = 100_000  # hosts that one range may mean; more is a typing mistake


# What a shell, ssh, a pattern of Ansible's or a file system would take for something else (ssh.c, valid_hostname).
_STRANGE = re.compile(r"[\s\x00-\x1f\x7f-\x9f'\"`$\\;&<>|(){}*?!#,/~\ud800-\udfff]|^[-@.]|\.\.")


def proper(name: str) -> str:
    """Return a host's or group's name; one that is no name, but means something to a shell or to ssh, is refused.

    Raises:
        BadInventory: it is no name.
    """
    if not name or _STRANGE.search(name):
        raise BadInventory(
            f"{name!r} is no host's name", resolution="letters, digits, dots, dashes and underscores make one"
        )
    return name


def expand(name: str) -> Iterator[str]:
    """Every name that Ansible's range means: web[01:50:2].example.com, rack[a:f]; a plain name means itself.

    Raises:
        BadInventory: a range that means nothing, or more hosts than there can be.
    """
    found = _RANGE.search(name)
    if found is None:
        if "[" in name and not name.startswith("["):
            raise BadInventory(f"{name!r} is no range", resolution="write web[01:50] or rack[a:f]")
        yield name
        return
    first, last, step = found[1], found[2], int(found[3] or 1)
    head, tail = name[: found.start()], name[found.end() :]
    for item in _steps(name, first, last, step):
        for rest in expand(tail):
            yield head + item + rest


def _steps(name: str, first: str, last: str, step: int) -> Iterator[str]:
    if step < 1 or first.isdigit() != last.isdigit():
        raise BadInventory(f"the range in {name!r} means nothing", resolution="write web[01:50] or rack[a:f]")
    if first.isdigit():
        if int(first) > int(last) or int(last) - int(first) > _MANY or (first[0] == "0" and len(first) > len(last)):
            raise BadInventory(f"the range in {name!r} means nothing", resolution="the lower number comes first")
        width = len(first) if first[0] == "0" else 0
        yield from (str(number).zfill(width) for number in range(int(first), int(last) + 1, step))
        return
    letters = string.ascii_letters
    if letters.index(first) > letters.index(last):
        raise BadInventory(f"the range in {name!r} means nothing", resolution="the lower letter comes first")
    yield from letters[letters.index(first) : letters.index(last) + 1 : step]


def select(limit: str, hosts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the hosts that one of Ansible's patterns means, in the inventory's order.

    ``a:b`` or ``a,b`` is either, ``!a`` without, ``&a`` only those also in; ``*`` and ``?`` are globs, ``~`` begins a
    regular expression, ``group[0]``, ``gpu*[0:4]`` and ``group[8:]`` count, ``@file`` holds patterns, one a line.

    Raises:
        BadInventory: a part of it means no host or group of this inventory, or it means none in all.
    """
    with_them: set[str] = set()
    without: set[str] = set()
    only: list[set[str]] = []
    plain = False
    for part in _parts(limit):
        sign, pattern = (part[0], part[1:]) if part[0] in "!&" else ("", part)
        meant = set(_meant(pattern, hosts, groups))
        if sign == "!":
            without |= meant
        elif sign == "&":
            only.append(meant)
        else:
            plain = True
            with_them |= meant
    chosen = with_them if plain else set(hosts)
    for meant in only:
        chosen &= meant
    chosen -= without
    if not chosen:
        raise BadInventory(f"--limit {limit} leaves no host", resolution="--limit takes Ansible's patterns")
    return tuple(host for host in hosts if host in chosen)


def _parts(limit: str) -> Iterator[str]:
    """The parts of a pattern; a file's lines are parts too."""
    for part in _split(limit):
        sign, rest = (part[0], part[1:]) if part[0] in "!&" else ("", part)
        if not rest.startswith("@"):
            yield part
            continue
        try:
            lines = Path(rest[1:]).expanduser().read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInventory(f"--limit: cannot read {rest[1:]}", details=str(error)) from error
        yield from (sign + line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _split(limit: str) -> list[str]:
    """Split at commas, else at colons; neither inside brackets, and no colon of a regular expression or of IPv6."""
    if "," in limit:
        parts = limit.split(",")
    elif limit.lstrip("!&").startswith("~") or limit.count("::") == 1:
        parts = [limit]
    else:
        parts = re.split(r":(?![^\[]*\])", limit)
    return [part.strip() for part in parts if part.strip()]


def _meant(pattern: str, hosts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> Sequence[str]:
    if pattern in ("all", "*"):
        return hosts
    if pattern in groups:
        return groups[pattern]
    if pattern in set(hosts):
        return (pattern,)
    if not pattern.startswith("~"):
        counted = _SUBSCRIPT.fullmatch(pattern)
        if counted and counted[1] in ("all", "*"):
            raise BadInventory(
                f"--limit: {pattern} means other hosts to Ansible, whose order of all hosts is its own",
                resolution="count in a group, or name the hosts",
            )
        if counted:
            return _counted(counted, _meant(counted[1], hosts, groups), pattern)
        if _NO_SUBSCRIPT.fullmatch(pattern):
            raise BadInventory(
                f"--limit: {pattern} does not count: to Ansible these are letters of which one fits",
                resolution="count from the front, GROUP[0:3] or GROUP[4:], or take one from the end, GROUP[-1]",
            )
    try:
        match = re.compile(pattern[1:] if pattern.startswith("~") else fnmatch.translate(pattern)).match
    except re.error as error:
        raise BadInventory(f"--limit: {pattern!r} is no regular expression", details=str(error)) from error
    # In Ansible's order, for those that are counted.
    named = [host for group, members in groups.items() if match(group) for host in members]
    found = list(dict.fromkeys([*named, *filter(match, hosts)]))
    if not found:
        raise BadInventory(
            f"--limit: no host or group {pattern!r} in this inventory",
            details=f"groups: {', '.join(sorted(groups)) or 'none'}",
            resolution="correct the name; a pattern that means nothing is taken for a mistake",
        )
    return found


def _counted(found: re.Match[str], members: Sequence[str], pattern: str) -> Sequence[str]:
    """Return group[0], group[-1], group[1:3]: both ends belong to it, as in Ansible."""
    try:
        if found[2]:
            return (members[int(found[2])],)
    except IndexError:
        raise BadInventory(f"--limit: {pattern} is beyond the {len(members)} hosts of {found[1]}") from None
    return members[int(found[3]) : int(found[4]) + 1 if found[4] else len(members)]


# the last number of the first label: node01.rack2.example is node[01]
_NUMBERED = re.compile(r"([^.]*?)(\d+)([^.\d]*(?:\..*)?)")


def fold(names: Iterable[str]) -> str:
    """Return names as node[01-17,20], sorted: what differs in one number is one word."""
    plain: list[str] = []
    numbered: dict[tuple[str, str, int], set[int]] = {}
    for name in set(names):
        found = None if _is_address(name) else _NUMBERED.fullmatch(name)
        if found is None:
            plain.append(name)
        else:
            width = len(found[2]) if found[2].startswith("0") else 0
            numbered.setdefault((found[1], found[3], width), set()).add(int(found[2]))
    # node9 and node10 belong together, node09 and node10 as well.
    for (head, tail, width), numbers in list(numbered.items()):
        if width == 0:
            for number in sorted(numbers):
                padded = (head, tail, len(str(number)))
                if padded in numbered:
                    numbered[padded].add(number)
                    numbers.discard(number)
    words = [_word(head, tail, width, sorted(numbers)) for (head, tail, width), numbers in numbered.items() if numbers]
    return ", ".join(sorted([*plain, *words]))


def _is_address(name: str) -> bool:
    return bool(re.fullmatch(r"[0-9.]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", name))


def _word(head: str, tail: str, width: int, numbers: list[int]) -> str:
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    texts = [
        str(first).zfill(width) if first == last else f"{str(first).zfill(width)}-{str(last).zfill(width)}"
        for first, last in spans
    ]
    if len(numbers) == 1:
        return f"{head}{texts[0]}{tail}"
    return f"{head}[{','.join(texts)}]{tail}"
