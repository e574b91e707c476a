"""What a drain reads before it plans: the cloud, what the host's servers hold, the moves off it that did not end."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpuctl.cloud_errors import CloudError
from gpuctl.moves.errors import Unsafe
from gpuctl.moves.journal import peek, refuse_busy
from gpuctl.moves.nova_api import NovaApi
from gpuctl.moves.placement_api import PlacementApi
from gpuctl.moves.result import DONE, FAILED, Result

if TYPE_CHECKING:
    from gpuctl.cloud import Cloud
    from gpuctl.moves.books import HostLook, NovaDatabase
    from gpuctl.moves.drain.record import Past
    from gpuctl.moves.model import Books, Server
    from gpuctl.moves.move import Track

Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Sight:
    """What is known of one host's servers.

    Attributes:
        servers: GPU servers on it that no move is open for here.
        tracks: moves off it that did not end: they are taken up.
        staying: names of its servers without cards.
        away: servers of an earlier drain that have left it, or are lost to it.
    """

    books: Books
    servers: tuple[Server, ...]
    tracks: tuple[Track, ...]
    staying: tuple[str, ...]
    away: tuple[Result, ...]


def look(
    cloud: Cloud,
    host: str,
    past: Collection[Past],
    *,
    hosts: HostLook | None = None,
    database: NovaDatabase | None = None,
    told: Told = lambda *_: None,
) -> Sight:
    """Return what a drain of this host is about.

    Args:
        cloud: as an administrator.
        host: a compute host.
        past: drains of it that did not end.
        hosts: a way to all of them.
        database: Nova's.
        told: is called with (what is done, done, total).

    Raises:
        Busy: another gpuctl is moving one of its servers.
        Unsafe: this Nova does not show which servers have cards.
        CloudError: Nova cannot be asked.
    """
    from gpuctl.moves.books import read_books

    # Without a way to the hosts, only this one's tenants are read one by one; the totals of all come in two requests.
    only = () if hosts is not None else (host,)
    books = read_books(cloud, hosts=hosts, database=database, told=told, only=only)
    if any(one.view == "flavors" for one in books.unseen):
        raise Unsafe(
            "which servers have cards is not shown by this Nova (below 2.47)",
            resolution="gpuctl instance migrate SERVER... moves those that you name",
        )
    api = NovaApi(cloud.service("compute"), books.newest)
    books = with_groups(api, books, host)
    here = {one.id: one for one in books.servers.values() if one.host == host}
    named = {name: said for one in past for name, said in one.servers.items()}
    tracks = []
    for server in sorted({*here, *named}):
        track = peek(cloud.name, server)
        if track is not None and track.move.source == host:
            refuse_busy(cloud.name, server)
            tracks.append(track)
    open_ = {one.move.server.id for one in tracks}
    away = tuple(
        _away(books, host, server, name) for server, name in sorted(named.items()) if server not in {*here, *open_}
    )
    holding = [*here, *(one for one in open_ if one not in here)]
    return Sight(
        with_allocations(cloud, books, holding),
        tuple(one for one in sorted(here.values(), key=lambda one: (one.name, one.id)) if one.id not in open_),
        tuple(tracks),
        tuple(sorted(one.name for one in api.servers(host=host) if one.id in books.others and one.host == host)),
        away,
    )


def with_groups(api: NovaApi, books: Books, host: str) -> Books:
    """Return the books with the server groups of this host's servers, which a list of servers does not show.

    Where the groups cannot be read, that stays unknown.
    """
    try:
        groups = api.groups()
    except CloudError:
        return books
    found = dict(books.servers)
    for one in books.servers.values():
        if one.host == host or one.host is None:
            mine = tuple(name for name, said in groups.items() if one.id in (said.get("members") or ()))
            found[one.id] = replace(one, groups=mine)
    return replace(books, servers=found)


def with_allocations(cloud: Cloud, books: Books, servers: Collection[str]) -> Books:
    """Return the books with what these servers hold: their kinds of card are told by that alone."""
    if books.providers is None or not books.tracked:
        return books
    api = PlacementApi(cloud.service("placement"))
    known = dict(books.allocations or {})
    try:
        known |= {one: api.allocation(one) for one in servers if one not in known}
    except CloudError:
        return books  # then Nova chooses, and the plan says so
    return replace(books, allocations=known)


def _away(books: Books, host: str, server: str, name: str) -> Result:
    """Return what became of a server of an earlier drain that is no longer on the host."""
    one = books.servers.get(server)
    if one is None:
        return Result(server, name, host, None, "", DONE, "gone: it was deleted since, or has no cards any more")
    if one.host is None:
        said, what = f"{one.status}, on no host", f"openstack server unshelve --host HOST {server}"
        return Result(server, name, host, None, "", FAILED, said, what)
    if one.vm_state in {"resized", "error"} or one.task_state is not None:
        said = f"{one.status} on {one.host}, task {one.task_state or 'none'}: away, but not at rest"
        return Result(server, name, host, one.host, "", FAILED, said, f"gpuctl instance recover {server}")
    return Result(server, name, host, one.host, "", DONE, f"away already: {one.status} on {one.host}")
