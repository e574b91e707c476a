"""The hosts that servers could go to, what is left on each, and why another one may not be gone to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from gpuctl.moves.drain.assign import Item, assign
from gpuctl.moves.drain.estimate import weight
from gpuctl.moves.drain.room import Key, Room, lacking, need, room_of
from gpuctl.moves.guards.place import allows
from gpuctl.moves.guards.services import ready
from gpuctl.moves.guards.supply import Wanted, wanted
from gpuctl.moves.move import COLD, SHELVE, Track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl.moves.drain.plan import Wish
    from gpuctl.moves.guards.situation import Situation
    from gpuctl.moves.model import Books, Server

GROUP = "group"


@dataclass
class Places:
    """The hosts that may be gone to, what is left on each, and why another one may not be."""

    rooms: dict[str, Room]
    free: dict[str, Counter[Key]]
    shut: dict[str, str]
    kinds: dict[str, Wanted] = field(default_factory=dict)

    @classmethod
    def of(cls, wish: Wish) -> Self:
        """Return what the books say of every host but the one that is drained."""
        books, rooms, shut = wish.books, {}, {}
        for host, compute in sorted(books.computes.items()):
            why = _shut(wish, host) if ready(compute) else "disabled" if compute.up else "down"
            if host == wish.host:
                continue
            if why:
                shut[host] = why
                continue
            room = room_of(books, host)
            if books.tracked and not room.views:
                # The scheduler asks Placement for cards: a host that reports none is never its answer.
                shut[host] = "reports no cards to Placement"
                continue
            rooms[host] = room
        made = cls(rooms, {host: Counter(dict(room.free)) for host, room in rooms.items()}, shut)
        for track in wish.busy:
            made.reserve(books, track)
        return made

    def reserve(self, books: Books, track: Track) -> None:
        """What a move that is under way will take is not free, unless it has it already."""
        to, server = track.move.to, books.servers.get(track.move.server.id, track.move.server)
        if to not in self.rooms or server.host == to or _holds_on(books, server, to):
            return
        known = wanted(books, server)
        takes = need(server, known, self.rooms[to]).takes
        self.free[to].subtract(takes)
        if known.classes is None and known.models is None:
            # Of which kind, nobody can say any more (shelved): then of none is there so much as it seems.
            for view, kind in list(self.free[to]):
                if view in self.rooms[to].views and (view, kind) not in takes:
                    self.free[to][view, kind] -= server.cards

    def place(
        self, situations: Sequence[Situation], wish: Wish
    ) -> tuple[list[tuple[Situation, str | None]], list[Situation], bool]:
        """Return ``(who goes where; None is Nova's choice), (who finds no place), whether that is the most)``."""
        free = {host: Counter(have) for host, have in self.free.items()}
        items, vague = [], {}
        for at in situations:
            self.kinds[at.server.id] = wanted(wish.books, at.server)
            takes, unsure = {}, []
            for host, room in self.rooms.items():
                if self.forbids(at, host, wish):
                    continue
                found = need(at.server, self.kinds[at.server.id], room)
                fits = not lacking(free[host], found.takes)
                if found.sure:
                    takes[host] = {**found.takes, **_group_takes(at)}
                    _open_groups(free[host], at, host, wish)
                elif fits:
                    unsure.append(host)
            vague[at.server.id] = unsure
            dislikes = frozenset(
                host for host in takes if not all(allows(one, host, soft=True) for one in at.groups or ())
            )
            items.append(Item(at.server.id, takes, _weight(wish, at), dislikes))
        found_places = assign(items, free)
        spread: Counter[str] = Counter()
        placed: list[tuple[Situation, str | None]] = []
        homeless = []
        for at in situations:
            to = found_places.hosts.get(at.server.id)
            if to is None and vague[at.server.id]:
                to = self._named(vague[at.server.id], spread, wish)
                placed.append((at, to))
            elif to is None:
                homeless.append(at)
            else:
                placed.append((at, to))
        return placed, homeless, found_places.most or not homeless

    def _named(self, hosts: Sequence[str], spread: Counter[str], wish: Wish) -> str | None:
        """Return None, for Nova to choose, unless the operator said which hosts are meant: then these in turn."""
        if not wish.settings.only:
            return None
        host = min(hosts, key=lambda one: (spread[one], one))
        spread[host] += 1
        return host

    def forbids(self, at: Situation, host: str, wish: Wish) -> str:
        """Return why a server may not go to a host, however much room there is."""
        there, server = wish.books.computes[host].zone, at.server
        if wish.books.apart(wish.host, host):
            return f"in another cell than {wish.host}"
        if server.pinned_zone is not None and there != server.pinned_zone:
            return f"in zone {there}, it is pinned to {server.pinned_zone}"
        if not wish.settings.any_zone and None not in {there, server.zone} and there != server.zone:
            return f"in zone {there}, not {server.zone} (--any-zone)"
        banned = next((one for one in at.groups or () if not allows(one, host)), None)
        return f"its server group ({banned.policy}) does not allow it" if banned else ""


def _shut(wish: Wish, host: str) -> str:
    if host in wish.settings.avoid:
        return "to be drained too"
    return "not among --to" if wish.settings.only and host not in wish.settings.only else ""


def _holds_on(books: Books, server: Server, host: str) -> bool:
    held = (books.allocations or {}).get(server.id)
    providers = books.providers or {}
    return any(uuid in providers and providers[uuid].host == host for uuid in (held.holds if held else ()))


def _group_takes(at: Situation) -> dict[Key, int]:
    return {(GROUP, one.id): 1 for one in at.groups or () if one.policy == "anti-affinity"}


def _open_groups(free: Counter[Key], at: Situation, host: str, wish: Wish) -> None:
    """How many more of a group may come to a host is a number like any other."""
    going = {track.move.server.id for track in wish.busy if track.move.to == host}
    for one in at.groups or ():
        if one.policy == "anti-affinity":
            there = {member for member, where in one.members.items() if where == host} | (going & one.members.keys())
            free[GROUP, one.id] = one.limit - len(there)


def _weight(wish: Wish, at: Situation) -> float:
    """Return how long its move takes, more or less: before its way is known."""
    way = SHELVE if wish.books.tracked else COLD
    return wish.estimate.seconds(way, at.server) or weight(way, at.server)
