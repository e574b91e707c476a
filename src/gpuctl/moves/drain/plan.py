"""The plan of a drain: where each server goes, by which way, in which order; what cannot be moved, and why. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpuctl.moves.drain.caps import Job, longest_first, makespan
from gpuctl.moves.drain.estimate import Estimate, weight
from gpuctl.moves.drain.places import Places
from gpuctl.moves.drain.room import lacking, need
from gpuctl.moves.guards.situation import Situation
from gpuctl.moves.guards.state import WITH_HOST
from gpuctl.moves.model import Books, Finding, Server
from gpuctl.moves.move import Track
from gpuctl.moves.planning import Planned, plan
from gpuctl.moves.ways.choice import Choice

if TYPE_CHECKING:
    from gpuctl.moves.drain.queue import Work
    from gpuctl.moves.drain.settings import Settings

Judge = Callable[[Situation], Planned]


@dataclass(frozen=True, slots=True)
class Entry:
    """One server in the plan; ``seconds`` is an estimate, None where no such move was measured here."""

    planned: Planned
    seconds: float | None

    @property
    def server(self) -> Server:
        """Whom it is about."""
        return self.planned.server


@dataclass(frozen=True)
class Plan:
    """The plan of a drain.

    Attributes:
        entries: servers that are to be moved, in the order of starting; then those that cannot be.
        resumed: moves that did not end, and are taken up.
        staying: servers without cards: they are not a drain's to move.
        most: no plan places more servers, for certain.
        seconds: how long the whole will take; None where some move was never measured here.
    """

    host: str
    entries: tuple[Entry, ...]
    resumed: tuple[Track, ...] = ()
    staying: tuple[str, ...] = ()
    most: bool = True
    seconds: float | None = None

    @property
    def refused(self) -> tuple[Entry, ...]:
        """Those that cannot be moved."""
        return tuple(one for one in self.entries if one.planned.move is None)

    @property
    def total(self) -> int:
        """Servers that are to leave the host."""
        return len(self.entries) + len(self.resumed)


@dataclass(frozen=True)
class Wish:
    """What a plan is made from.

    Attributes:
        host: that is to be emptied.
        situations: of its servers.
        busy: moves that are under way to other hosts, and will take room there.
        judge: a way and its guards for one server.
    """

    host: str
    books: Books
    situations: Sequence[Situation]
    settings: Settings
    estimate: Estimate
    busy: Sequence[Track] = ()
    staying: tuple[str, ...] = ()
    judge: Judge = plan


def make_plan(wish: Wish) -> Plan:
    """Return the plan: as many servers as have a place, longest first, and why the others have none."""
    rooms = Places.of(wish)
    refused: list[Planned] = []
    left = list(wish.situations)
    while True:
        placed, homeless, most = rooms.place(left, wish)
        judged = [_judged(wish, at, to) for at, to in placed]
        bad = {one.server.id for one in judged if one.move is None}
        if not bad:
            break
        # What a guard refuses takes no room: the others are placed anew without it.
        refused += [one for one in judged if one.move is None]
        left = [at for at in left if at.server.id not in bad]
    refused += [_no_room(at, rooms, wish) for at in homeless]
    moving = [Entry(one, _seconds(wish, one)) for one in judged]
    works = longest_first(jobs(wish.host, moving))
    by_id = {one.server.id: one for one in moving}
    ordered = [by_id[one.what.server.id] for one in works if not isinstance(one.what, Track)]
    known = all(one.seconds is not None for one in moving)
    return Plan(
        wish.host,
        (*ordered, *(Entry(one, None) for one in sorted(refused, key=lambda one: one.server.name))),
        tuple(wish.busy),
        wish.staying,
        most,
        makespan(works, [], wish.settings.caps) if known and moving and not wish.busy else None,
    )


def jobs(host: str, entries: Collection[Entry], tracks: Collection[Track] = ()) -> list[Work]:
    """Return moves as the caps and the order see them; a move that is under way already comes before all others."""
    known = all(one.seconds is not None for one in entries)
    found: list[Work] = [Job(one, host, one.move.to, float("inf")) for one in tracks]
    for one in entries:
        move = one.planned.move
        if move is not None:
            seconds = one.seconds if known and one.seconds is not None else weight(move.strategy, move.server)
            found.append(Job(move, host, move.to, seconds))
    return found


def _seconds(wish: Wish, one: Planned) -> float | None:
    return None if one.move is None else wish.estimate.seconds(one.move.strategy, one.server)


def _judged(wish: Wish, at: Situation, to: str | None) -> Planned:
    # A host is named only where the API can be told one; there Nova chooses, as it did then.
    return wish.judge(replace(at, to=to if wish.books.newest >= WITH_HOST else None))


def _no_room(at: Situation, rooms: Places, wish: Wish) -> Planned:
    """Return the plan of a server that finds no place, every host's reason in it."""
    said = []
    for host, room in rooms.rooms.items():
        why = rooms.forbids(at, host, wish)
        if not why:
            takes = need(at.server, rooms.kinds[at.server.id], room).takes
            why = "; ".join(lacking(rooms.free[host], takes)) or "what it has is taken by others of this drain"
        said.append(f"{host}: {why}")
    said += [f"{host}: {why}" for host, why in rooms.shut.items()]
    title = "no other host has room for it"
    fix = "make room, widen --to or --any-zone, or leave it where it is by --skip-failing"
    finding = Finding("drain-room", "fail", at.server.id, title, _short(said), fix)
    return Planned(at.server, Choice(None, None, title, {}), (finding,), None)


def _short(said: Sequence[str], most: int = 12) -> str:
    more = [f"and {len(said) - most} more"] if len(said) > most else []
    return "; ".join([*said[:most], *more]) or "there is no other compute host"


def destinations(entries: Collection[Entry]) -> Mapping[str | None, int]:
    """Return how many servers go to each host; None is Nova's choice."""
    return Counter(one.planned.move.to for one in entries if one.planned.move is not None)
