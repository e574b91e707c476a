"""Reads a Sight of one server: its books, its actions with what failed in them, the journal's word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.cloud_errors import CloudError
from gpuctl.moves.books import read_books
from gpuctl.moves.books.database import DatabaseUnreachable
from gpuctl.moves.books.host_link import look_at
from gpuctl.moves.errors import NoSuchServer
from gpuctl.moves.journal import peek
from gpuctl.moves.model import Action, Allocation, Books, Migration, Server, Unseen
from gpuctl.moves.move import Options
from gpuctl.moves.nova_api import NovaApi, is_uuid
from gpuctl.moves.placement_api import PlacementApi
from gpuctl.moves.recover.owed import owed
from gpuctl.moves.recover.sight import OwnMove, Sight

if TYPE_CHECKING:
    from gpuctl.cloud import Cloud
    from gpuctl.moves.books import HostLook, NovaDatabase
    from gpuctl.moves.move import Track

WITH_EVENTS = 30
"""So many actions at most are read with their events, one request each: those that failed, and shelves."""

_TELLING = frozenset({"shelve", "shelveOffload", "unshelve"})


@dataclass(frozen=True, slots=True)
class Glance:
    """What Nova alone shows, in few requests: for waiting."""

    server: Server | None
    migrations: tuple[Migration, ...]
    action: Action | None


@dataclass
class Reader:
    """Reads servers of one cloud.

    Attributes:
        hosts: a way to the hosts; None: they are not looked at.
        database: Nova's, read only; None where it is not given.
        audit: seconds within which a nova-compute that is up has surely begun and ended an audit.
    """

    cloud: Cloud
    hosts: HostLook | None = None
    database: NovaDatabase | None = None
    audit: float = Options().audit

    def __post_init__(self) -> None:
        self.nova = NovaApi.of(self.cloud.service("compute"))

    def find(self, said: str) -> str:
        """Return the id of a server by name or id; a deleted one is known by its migrations, or by one's uuid.

        Nova shows the migrations of a deleted server to nobody: then only the database knows them.

        Raises:
            NoSuchServer, Ambiguous: there is none, or several.
        """
        try:
            return self.nova.find(said).id
        except NoSuchServer:
            if not is_uuid(said):
                raise
            records = self._records(said)
            if not records:
                raise
            return records[0].server

    def read(self, server: str, believed: frozenset[str] = frozenset()) -> Sight:
        """Return everything about one server, read now."""
        try:
            books = read_books(self.cloud, servers=[server], hosts=self.hosts, database=self.database)
        except NoSuchServer:
            books = self._of_deleted(server)
        clocks = [one.updated or "" for one in books.computes.values()]
        found = books.servers.get(server)
        track = peek(self.cloud.name, server)
        return Sight(
            id=server,
            books=books,
            actions=actions_of(self.nova, server),
            now=max([*clocks, found.updated if found else ""]),
            own=None if track is None else _own(track, found),
            owed=owed(self.cloud.name, server),
            believed=believed,
            audit=self.audit,
        )

    def glance(self, server: str, request: str = "") -> Glance:
        """Return what Nova shows of a server now, and of one request."""
        action = self.nova.action(server, request) if request else None
        return Glance(self.nova.server(server), tuple(self.nova.migrations(instance_uuid=server)), action)

    def _of_deleted(self, server: str) -> Books:
        """Return the books of a server that is gone: its migrations, and what is held for it still."""
        unseen: list[Unseen] = []
        records = self._records(server)
        deleted = [one.id for one in self.nova.servers(uuid=server, deleted="true") if one.status == "DELETED"]
        providers = None
        allocations: dict[str, Allocation] | None = None
        try:
            placement = PlacementApi(self.cloud.service("placement"))
            providers = placement.providers()
            asked = [server, *(one.uuid for one in records if one.uuid)]
            allocations = {one: placement.allocation(one) for one in asked}
        except CloudError as error:
            unseen.append(Unseen("placement", error.brief))
        rows = None
        if self.database is not None:
            try:
                rows = self.database.read().rows
            except DatabaseUnreachable as error:
                unseen.append(Unseen("database", error.brief))
        near = {host for one in records for host in (one.source, one.dest) if host}
        views, blind = look_at(near, self.hosts) if self.hosts is not None else ({}, [])
        return Books(
            servers={},
            migrations=records,
            computes=self.nova.computes(),
            newest=self.nova.newest,
            providers=providers,
            allocations=allocations,
            rows=rows,
            hosts=views,
            unseen=(*unseen, *blind),
            gone=frozenset(deleted),
        )

    def _records(self, server: str) -> tuple[Migration, ...]:
        """Return the migrations of a server that is gone."""
        found = tuple(self.nova.migrations(instance_uuid=server))
        if found or self.database is None:
            return found
        try:
            return self.database.migrations(server)
        except DatabaseUnreachable:
            return ()


def actions_of(nova: NovaApi, server: str) -> tuple[Action, ...]:
    """Return a server's actions, oldest first; those that failed or shelved with their events."""
    try:
        found = nova.actions(server)
    except CloudError:
        return ()  # of a deleted server, below 2.21
    telling = [one for one in found if one.message == "Error" or one.action in _TELLING][:WITH_EVENTS]
    detailed = {one.request: nova.action(server, one.request) or one for one in telling}
    return tuple(detailed.get(one.request, one) for one in reversed(found))


def _own(track: Track, server: Server | None) -> OwnMove | None:
    """Return gpuctl's own move; one that was to be left in VERIFY_RESIZE, and is, has come to its end."""
    if not track.move.options.confirm and server is not None and server.status == "VERIFY_RESIZE":
        return None
    return OwnMove(track.move.strategy, track.move.source, track.move.to, track.sent[-1].name)
