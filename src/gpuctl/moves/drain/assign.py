"""Who goes where: as many as possible, spread by how long they take. Pure, and the same answer every time.

Every limit is a number of a host (free cards of a kind, memory, how many of a server group may be there), so that one
rule does for all: what is taken may not be more than what is free. With cards alone this is a matching, which
augmenting paths solve; with several sizes it is packing, for which a search goes on as long as its budget lasts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gpuctl.moves.drain.room import Key

BUDGET = 20_000
"""Steps of the search, not seconds: the answer must not depend on how fast the machine is."""


DEEPEST = 100
"""Hosts that are asked in turn to let one of theirs go, so that another one finds a place."""


@dataclass(frozen=True, slots=True)
class Item:
    """One server that has to go somewhere.

    Attributes:
        takes: host -> what it would take there; a host that is not in it is not allowed.
        weight: how long its move takes, more or less; loads are spread by it.
        dislikes: hosts that it may go to, but rather not.
    """

    id: str
    takes: Mapping[str, Mapping[Key, int]]
    weight: float = 1.0
    dislikes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where they go.

    Attributes:
        hosts: item -> host; one that is missing finds no place.
        most: it is certain that no assignment places more.
    """

    hosts: Mapping[str, str]
    most: bool


def assign(items: list[Item], free: Mapping[str, Mapping[Key, int]], *, budget: int = BUDGET) -> Assignment:
    """Return an assignment of as many items as the search found.

    Args:
        items: whom to place.
        free: host -> what is free there.
        budget: steps that the search may take where the first answer is not certainly the best.
    """
    able = [one for one in items if any(_fits(free.get(host, {}), takes) for host, takes in one.takes.items())]
    board = _Board({host: Counter(dict(have)) for host, have in free.items()})
    for one in sorted(able, key=_hardest):
        board.place(one, set())
    if len(board.hosts) >= _bound(able, free):
        return Assignment(board.hosts, most=True)
    search = _Search(sorted(able, key=_hardest), {host: Counter(dict(have)) for host, have in free.items()}, budget)
    found = search.better_than(len(board.hosts))
    return Assignment(board.hosts if found is None else found, most=search.budget > 0)


def _hardest(one: Item) -> tuple[int, int, float, str]:
    """Return the order of placing: few choices first, then large ones, then long ones."""
    largest = max((sum(takes.values()) for takes in one.takes.values()), default=0)
    return len(one.takes), -largest, -one.weight, one.id


def _fits(free: Mapping[Key, int], takes: Mapping[Key, int]) -> bool:
    return all(free.get(key, 0) >= count for key, count in takes.items())


def _bound(items: list[Item], free: Mapping[str, Mapping[Key, int]]) -> int:
    """Return a number that no assignment can exceed: by each thing alone, over all hosts together."""
    best = len(items)
    for key in sorted({key for one in items for takes in one.takes.values() for key in takes}):
        left = sum(have.get(key, 0) for have in free.values())
        count = 0
        for least in sorted(min(takes.get(key, 0) for takes in one.takes.values()) for one in items):
            left -= least
            if left < 0:
                break
            count += 1
        best = min(best, count)
    return best


@dataclass
class _Board:
    """An assignment in the making; ``free`` is what is left."""

    free: dict[str, Counter[Key]]
    hosts: dict[str, str] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    load: Counter[str] = field(default_factory=Counter)

    def place(self, one: Item, tried: set[str]) -> bool:
        """Say whether it has a place now; others may have moved for it. ``tried``: hosts that were asked already."""
        for host in self._liked(one, tried):
            if _fits(self.free[host], one.takes[host]):
                self._put(one, host)
                return True
        for host in self._liked(one, tried):
            if host in tried or len(tried) >= DEEPEST:
                continue
            tried.add(host)
            for other in [self.items[name] for name, where in self.hosts.items() if where == host]:
                self._take(other)
                if _fits(self.free[host], one.takes[host]):
                    self._put(one, host)
                    if self.place(other, tried):
                        return True
                    self._take(one)
                self._put(other, host)
        return False

    def _liked(self, one: Item, tried: Collection[str]) -> list[str]:
        found = [host for host in one.takes if host in self.free and host not in tried]
        return sorted(found, key=lambda host: (host in one.dislikes, self.load[host], host))

    def _put(self, one: Item, host: str) -> None:
        self.free[host].subtract(one.takes[host])
        self.hosts[one.id], self.items[one.id] = host, one
        self.load[host] += one.weight  # type: ignore[assignment]  # a Counter of seconds

    def _take(self, one: Item) -> None:
        host = self.hosts.pop(one.id)
        del self.items[one.id]
        self.free[host].update(one.takes[host])
        self.load[host] -= one.weight  # type: ignore[assignment]


@dataclass
class _Search:
    """Every assignment, one after the other, until the budget is spent; branches that cannot win are left out."""

    items: list[Item]
    free: dict[str, Counter[Key]]
    budget: int
    best: int = 0
    found: dict[str, str] | None = None

    def better_than(self, count: int) -> dict[str, str] | None:
        """Return an assignment with more items; None where none was found."""
        self.best = count
        self._go(0, {})
        return self.found

    def _go(self, at: int, hosts: dict[str, str]) -> None:
        if self.budget <= 0 or len(hosts) + len(self.items) - at <= self.best:
            return
        self.budget -= 1
        if at == len(self.items):
            self.best, self.found = len(hosts), dict(hosts)
            return
        one = self.items[at]
        for host in sorted(one.takes):
            if host in self.free and _fits(self.free[host], one.takes[host]):
                self.free[host].subtract(one.takes[host])
                hosts[one.id] = host
                self._go(at + 1, hosts)
                del hosts[one.id]
                self.free[host].update(one.takes[host])
        self._go(at + 1, hosts)
