"""A host as something to be divided: its NUMA nodes, what each has, and the cards on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuctl.facts_files import documents
from gpuctl.flavors.errors import BadCatalogue

if TYPE_CHECKING:
    from pathlib import Path

FACTS = "gpuctl.host.facts/1"


@dataclass(frozen=True, slots=True)
class Node:
    """One NUMA node: threads and MiB that guests may have, and how many cards of each model ("10de:2330")."""

    cpus: int
    ram: int
    gpus: tuple[tuple[str, int], ...] = ()

    @property
    def cards(self) -> int:
        """How many cards of any model."""
        return sum(count for _, count in self.gpus)

    def of(self, model: str) -> int:
        """Return how many cards of a model."""
        return dict(self.gpus).get(model, 0)


@dataclass(frozen=True, slots=True)
class Host:
    """One host."""

    name: str
    nodes: tuple[Node, ...]

    @property
    def cards(self) -> int:
        """How many cards of any model."""
        return sum(node.cards for node in self.nodes)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it has, sorted."""
        return tuple(sorted({model for node in self.nodes for model, _ in node.gpus}))

    def total(self, what: str) -> int:
        """Return the sum of "cpus" or "ram" over its nodes."""
        return sum(getattr(node, what) for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the command line says of each host, where facts do not: threads, MiB, NUMA nodes; and what to leave it."""

    cpus: int | None = None
    ram: int | None = None
    nodes: int | None = None
    reserve_cpus: int = 0
    reserve_ram: int = 0


def read_hosts(file: Path, sizes: Sizes) -> list[Host]:
    """Return the hosts whose facts a file has.

    Raises:
        FactsUnreadable: it cannot be read.
        BadCatalogue: there are no facts in it, a host has no cards, or it is not said how large a host is.
    """
    found = documents(file)
    if not found or any(not isinstance(one, dict) or one.get("schema") != FACTS for one in found):
        raise BadCatalogue(f"{file}: no host facts", resolution=f"gpuctl host facts -f json > {file.name}")
    return [host_of(facts, sizes, str(facts.get("host") or file.stem)) for facts in found]


def host_of(facts: dict[str, Any], sizes: Sizes, name: str) -> Host:
    """Return the host of a facts document; ``system.numa`` there is [{"node", "cpus", "memory_mib"}]."""
    cards = [gpu for gpu in facts.get("gpus", ()) if gpu.get("nova_device_type") != "type-VF"]
    if not cards:
        raise BadCatalogue(
            f"{name}: no GPU in its facts", resolution="gpuctl host facts --vendor says whose GPUs are meant"
        )
    said = (facts.get("system") or {}).get("numa")
    count = len(said) if said else sizes.nodes or 1 + max((gpu["numa_node"] or 0) for gpu in cards)
    parts = [(one["cpus"], one["memory_mib"]) for one in said] if said else _even(sizes, count, name)
    where = Counter(
        ((gpu["numa_node"] or 0) if count > 1 else 0, f"{gpu['vendor_id']}:{gpu['device_id']}") for gpu in cards
    )
    if any(node >= count for node, _ in where):
        raise BadCatalogue(
            f"{name}: a card is on a NUMA node beyond {count}", resolution="say --numa-nodes as lscpu does"
        )
    kept_cpus, kept_ram = -(-sizes.reserve_cpus // count), -(-sizes.reserve_ram // count)
    nodes = tuple(
        Node(
            max(cpus - kept_cpus, 0),
            max(ram - kept_ram, 0),
            tuple(sorted((model, number) for (node, model), number in where.items() if node == index)),
        )
        for index, (cpus, ram) in enumerate(parts)
    )
    return Host(name, nodes)


def _even(sizes: Sizes, count: int, name: str) -> list[tuple[int, int]]:
    """Return the command line's sizes, spread evenly."""
    if sizes.cpus is None or sizes.ram is None:
        raise BadCatalogue(
            f"{name}: its facts do not say how many CPUs and how much memory it has",
            resolution="say --cpus (threads, as nproc counts them) and --ram of the whole host",
        )
    return [(sizes.cpus // count, sizes.ram // count)] * count
