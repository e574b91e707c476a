"""The fleet in numbers: hosts by group, cards by model, and findings that are equal told once."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.fleet.report.model import NO_GROUP, HostState, Problem, Snapshot
from gpuctl.fleet.standing import ORDER

if TYPE_CHECKING:
    from collections.abc import Iterable

_ADDRESS = re.compile(r"\b[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]\b")
_EVERYBODY = ("all", "ungrouped")
SOMEWHERE = "(address)"


@dataclass(frozen=True, slots=True)
class Model:
    """All cards of one name; the counters say how many where, None for what was not read or is not there."""

    name: str
    cards: int
    hosts: int
    ready: int
    numa: Counter[int | None]
    drivers: Counter[str | None]
    alone: int
    shared: int
    without_group: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Equal findings of many hosts, told once.

    Attributes:
        example: the first of them, in its own words.
        title, fix: the words that they share, addresses left out where they differ.
        hosts: host -> how many of its devices.
        key: what makes two findings equal.
    """

    id: str
    status: str
    title: str
    fix: str
    example: Problem
    example_host: str
    hosts: dict[str, int]
    key: tuple[str, ...]


def by_group(hosts: Iterable[HostState]) -> dict[str, list[HostState]]:
    """Return every host once, below the group that says most of where it is: the smallest that is not its own alone.

    Groups of one host, and those of everybody, say nothing.
    """
    hosts = list(hosts)
    sizes = Counter(group for host in hosts for group in host.groups)
    placed: dict[str, list[HostState]] = {}
    for host in hosts:
        told = [group for group in host.groups if group not in _EVERYBODY]
        chosen = min(told, key=lambda group: (sizes[group] < 2, sizes[group], group), default=NO_GROUP)
        placed.setdefault(chosen, []).append(host)
    return dict(sorted(placed.items(), key=lambda pair: (pair[0] == NO_GROUP, natural(pair[0]))))


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts gpu9 before gpu10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"([0-9]+)", text) if part]


def models(snapshot: Snapshot) -> list[Model]:
    """Return the cards by model, the most frequent first."""
    found: dict[str, list[tuple[str, int]]] = {}
    hosts = list(snapshot.hosts.values())
    for host in hosts:
        for number, card in enumerate(host.cards):
            found.setdefault(card.model, []).append((host.name, number))
    result = []
    for name, places in found.items():
        cards = [snapshot.hosts[host].cards[number] for host, number in places]
        result.append(
            Model(
                name,
                len(cards),
                len({host for host, _ in places}),
                sum(card.ready is True for card in cards),
                Counter(card.numa for card in cards),
                Counter(card.driver for card in cards),
                sum(card.alone is True for card in cards),
                sum(card.alone is False for card in cards),
                sum(card.group is None for card in cards),
            )
        )
    return sorted(result, key=lambda item: (-item.cards, item.name))


def findings(snapshot: Snapshot) -> list[Finding]:
    """Return the findings, equal ones once: not asked, then failures, unknowns, warnings; widest first."""
    found: dict[tuple[str, ...], list[tuple[str, Problem]]] = {}
    for name, state in snapshot.hosts.items():
        for item in state.problems:
            found.setdefault(_key(item, name), []).append((name, item))
    result = []
    for key, members in found.items():
        host, first = members[0]
        result.append(
            Finding(
                first.id,
                first.status,
                _shared(members, "title"),
                _shared(members, "fix"),
                first,
                host,
                dict(sorted(Counter(name for name, _ in members).items(), key=lambda pair: natural(pair[0]))),
                key,
            )
        )
    return sorted(result, key=lambda item: (ORDER[item.status], -len(item.hosts), item.id, item.title))


def places(snapshot: Snapshot, told: list[Finding]) -> dict[str, list[tuple[int, str, str]]]:
    """Return by host (number of the finding in ``told``, subject, evidence)."""
    number = {item.key: at for at, item in enumerate(told)}
    return {
        host.name: [(number[_key(item, host.name)], item.subject, item.evidence) for item in host.problems]
        for host in snapshot.hosts.values()
    }


def _key(item: Problem, host: str) -> tuple[str, ...]:
    return (item.id, item.status, *(_plain(text, host) for text in (item.title, item.fix)))


def _plain(text: str, host: str) -> str:
    text = _ADDRESS.sub(SOMEWHERE, text)
    return re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", "(host)", text) if host else text


def _shared(members: list[tuple[str, Problem]], what: str) -> str:
    host, first = members[0]
    words = {str(getattr(item, what)) for _, item in members}
    return words.pop() if len(words) == 1 else _plain(getattr(first, what), host)
