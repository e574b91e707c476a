"""Placement's books: providers, inventories, and who holds what."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

Amounts = dict[str, int]


@dataclass
class Provider:
    """A resource provider: a compute node, or a card below it."""

    uuid: str
    name: str
    parent: str | None = None
    generation: int = 1
    inventories: dict[str, dict[str, float]] = field(default_factory=dict)
    traits: set[str] = field(default_factory=set)


@dataclass
class Consumer:
    """Who holds: a server, or the uuid of a migration."""

    uuid: str
    project: str
    user: str
    generation: int = 1
    type: str | None = None
    held: dict[str, Amounts] = field(default_factory=dict)  # provider uuid -> class -> amount


@dataclass
class Placement:
    """All of it."""

    providers: dict[str, Provider] = field(default_factory=dict)
    consumers: dict[str, Consumer] = field(default_factory=dict)
    _sums: dict[tuple[str, str], int] | None = None  # what is held of each class; None once it changed

    def add(
        self,
        name: str,
        inventories: dict[str, tuple[int, float]],
        *,
        own: str = "",
        parent: str | None = None,
        traits: tuple[str, ...] = (),
    ) -> Provider:
        """A provider with (total, allocation ratio) of each class; its uuid is its own if that is known."""
        made = Provider(own or str(uuid.uuid4()), name, parent, traits=set(traits))
        for kind, (total, ratio) in inventories.items():
            made.inventories[kind] = {"total": total, "reserved": 0, "min_unit": 1, "max_unit": total, "step_size": 1, "allocation_ratio": ratio}  # fmt: skip
        self.providers[made.uuid] = made
        return made

    def named(self, name: str) -> Provider:
        """The provider of this name."""
        return next(one for one in self.providers.values() if one.name == name)

    def root(self, provider: str) -> str:
        """The uuid of the tree's root."""
        parent = self.providers[provider].parent
        return provider if parent is None else self.root(parent)

    def used(self, provider: str, kind: str) -> int:
        """How much of a class is held."""
        if self._sums is None:
            self._sums = {}
            for one in self.consumers.values():
                for name, amounts in one.held.items():
                    for each, amount in amounts.items():
                        self._sums[name, each] = self._sums.get((name, each), 0) + amount
        return self._sums.get((provider, kind), 0)

    def room(self, provider: str, kind: str) -> int:
        """How much of a class can still be had; 0 where there is none."""
        stock = self.providers[provider].inventories.get(kind)
        if stock is None:
            return 0
        return int((stock["total"] - stock["reserved"]) * stock["allocation_ratio"]) - self.used(provider, kind)

    def hold(self, consumer: str, held: dict[str, Amounts], *, project: str, user: str) -> None:
        """The consumer holds this too."""
        if not held:
            return
        one = self.consumers.get(consumer)
        if one is None:
            one = self.consumers[consumer] = Consumer(consumer, project, user, generation=0)
        for provider, amounts in held.items():
            one.held[provider] = {**one.held.get(provider, {}), **amounts}
        self.touch(held)
        one.generation += 1

    def move(self, before: str, after: str) -> None:
        """What one consumer held, the other holds, and nothing else."""
        one = self.consumers.pop(before, None)
        self.consumers.pop(after, None)
        if one is not None:
            self.consumers[after] = Consumer(after, one.project, one.user, held=one.held)
            self.touch(one.held)

    def drop(self, consumer: str, root: str | None = None) -> None:
        """The consumer holds nothing (of one tree)."""
        one = self.consumers.get(consumer)
        if one is None:
            return
        self.touch(one.held)
        one.held = {name: held for name, held in one.held.items() if root is not None and self.root(name) != root}
        one.generation += 1
        if not one.held:
            del self.consumers[consumer]

    def providers_of(self, consumer: str, kind_starts: str = "") -> list[str]:
        """The names of the providers that a consumer holds something of."""
        one = self.consumers.get(consumer)
        held = {} if one is None else one.held
        return sorted(self.providers[name].name for name, amounts in held.items() if any(k.startswith(kind_starts) for k in amounts))  # fmt: skip

    def touch(self, held: dict[str, Amounts]) -> None:
        """Something about these providers changed."""
        self._sums = None
        for provider in held:
            self.providers[provider].generation += 1
