"""What a host has left, and what a server would take of it: cards by kind in every view, CPUs, memory, disk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.moves.guards.supply import supply, wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuctl.moves.guards.supply import Wanted
    from gpuctl.moves.model import Books, Server

Key = tuple[str, str]
"""What is counted, in whose view: ("Placement", "CUSTOM_PCI_10DE_2330"), ("room", "VCPU"), ("group", its id)."""

ANY = "of any kind"
PLACEMENT, ROWS, HOST, ROOM = "Placement", "Nova's rows", "the host", "room"
_UNSEEN = "card"  # what supply() calls a card whose model nobody saw


@dataclass(frozen=True, slots=True)
class Room:
    """One host that servers could go to.

    Attributes:
        free: how much of each thing; what nobody shows is missing, not zero.
        views: those that show its cards.
        vague: views that count cards, but do not tell their kinds.
    """

    host: str
    free: Mapping[Key, int]
    views: frozenset[str]
    vague: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Need:
    """What one server would take of a host.

    Attributes:
        takes: only what that host has a number for.
        sure: some view tells that the host has cards of its kind; else only Nova's scheduler can say.
    """

    takes: Mapping[Key, int]
    sure: bool


def room_of(books: Books, host: str) -> Room:
    """Return what a host has left."""
    have = supply(books, host)
    free: dict[Key, int] = {}
    views, vague = set(), set()
    for view, kinds in ((PLACEMENT, have.placement), (ROWS, have.rows), (HOST, have.host)):
        if kinds is None:
            continue
        views.add(view)
        free[view, ANY] = sum(kinds.values())
        if _UNSEEN in kinds:
            vague.add(view)
        else:
            free |= {(view, kind): count for kind, count in kinds.items()}
    root = next((one for one in (books.providers or {}).values() if one.host == host and one.parent is None), None)
    if root is not None and root.usages is not None:
        for kind, total in root.inventories.items():
            free[ROOM, kind] = total - root.usages.get(kind, 0)
    return Room(host, free, frozenset(views), frozenset(vague))


def need_of(books: Books, server: Server, room: Room) -> Need:
    """Return what a server would take of a host; its kinds of card are those that it holds now."""
    return need(server, wanted(books, server), room)


def need(server: Server, kinds: Wanted, room: Room) -> Need:
    """Return what a server with these kinds of card would take of a host."""
    takes: Counter[Key] = Counter()
    sure = not server.cards
    for view, of in ((PLACEMENT, kinds.classes), (ROWS, kinds.models), (HOST, kinds.models)):
        if view not in room.views:
            continue
        takes[view, ANY] = server.cards
        if of is None or view in room.vague:
            continue
        sure = True
        takes.update({(view, kind): count for kind, count in of.items()})
    takes.update({key: count for key, count in _stock(server).items() if key in room.free})
    return Need({key: count for key, count in takes.items() if count}, sure)


def lacking(free: Mapping[Key, int], takes: Mapping[Key, int]) -> list[str]:
    """Return what is too little, in words; empty where it fits."""
    return [
        f"{view}: {count} of {kind} needed, {max(free.get((view, kind), 0), 0)} left"
        for (view, kind), count in takes.items()
        if free.get((view, kind), 0) < count
    ]


def _stock(server: Server) -> dict[Key, int]:
    """Return what its flavor takes of a compute node (nova/scheduler/utils.py ResourceRequest)."""
    local = 0 if server.boots_from_volume else server.root_gib
    cpus = "PCPU" if server.specs.get("hw:cpu_policy") == "dedicated" else "VCPU"
    return {
        (ROOM, cpus): server.vcpus,
        (ROOM, "MEMORY_MB"): server.ram_mib,
        (ROOM, "DISK_GB"): local + server.ephemeral_gib + -(-server.swap_mib // 1024),
    }
