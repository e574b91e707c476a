"""What Nova shows of the servers on the move: one poll a tick for all of them, and a close look where one is needed."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gpuctl.moves.model import Migration, Row, Server, moment
from gpuctl.moves.move import Sight, Track
from gpuctl.moves.nova_api import WITH_UUIDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from gpuctl.moves.nova_api import NovaApi

SKEW = timedelta(minutes=5)
"""The first poll asks for what changed since then, for this machine's clock is not Nova's; later ones go by Nova's."""

OVERLAP = timedelta(seconds=10)
"""Changes that were written late are still seen by the next poll."""

CLOSEST = 12
"""Actions whose events are read at most: ours are the newest."""


class Watch:
    """The newest that is known of each server on the move. Not safe for threads, but ``closely`` is."""

    def __init__(self, api: NovaApi, rows: Callable[[str], tuple[Row, ...]] | None = None) -> None:
        self.api, self.rows = api, rows
        self.polls = 0
        self._servers: dict[str, Server] = {}
        self._migrations: dict[str, dict[int, Migration]] = {}
        self._heard: dict[str, float] = {}
        self._since = datetime.now(UTC) - SKEW

    def add(self, server: Server, migrations: Collection[Migration]) -> None:
        """This server is watched from now on."""
        self._servers[server.id] = server
        self._migrations[server.id] = {one.id: one for one in migrations}
        self._heard[server.id] = time.monotonic()

    def drop(self, server: str) -> None:
        """It is not watched any more."""
        for known in (self._servers, self._migrations, self._heard):
            known.pop(server, None)

    def poll(self) -> None:
        """What changed since the last poll is known: two requests, however many servers are watched.

        Servers are asked for first: a migration's record is then never older than what its server shows.
        """
        if not self._servers:
            return
        self.polls += 1
        since = self._since.strftime("%Y-%m-%dT%H:%M:%SZ")
        servers = self.api.servers(changes_since=since)
        # Before 2.59 there is no changes-since for migrations: one request for those that are neither old nor over.
        records = self.api.migrations(**({"changes_since": since} if self.api.version >= WITH_UUIDS else {}))
        for one in servers:
            if one.id in self._servers and one.updated >= self._servers[one.id].updated:
                self._servers[one.id] = one
                self._heard[one.id] = time.monotonic()
        for record in records:
            if record.server in self._migrations:
                self._migrations[record.server][record.id] = record
        seen = [when for one in servers if (when := moment(one.updated))]
        if seen:
            self._since = max(self._since, max(seen) - OVERLAP)

    def sight(self, server: str) -> Sight:
        """Return what the last poll, or the last close look, showed."""
        records = self._migrations[server]
        found = tuple(records[one] for one in sorted(records))
        unread = () if self.rows is None else None
        return Sight(
            time.time(),
            self._servers[server],
            found,
            rows=unread,
            ahead=self.api.service.ahead,
            blind=self.rows is None,
        )

    def quiet(self, server: str) -> float:
        """Return for how many seconds no poll has said anything of a server."""
        return time.monotonic() - self._heard[server]

    def closely(self, track: Track, *, rows: bool = False, events: bool = True) -> Sight:
        """Return a sight for which server, migrations and actions were all read now; in that order.

        Args:
            track: the move.
            rows: read the cards that are the server's as well, last of all.
            events: read those of the actions that may be the move's; there are none before its first request.
        """
        server = track.move.server.id
        found = self.api.server(server)
        records = self.api.migrations(instance_uuid=server)
        if found is None:
            return Sight(time.time(), None, tuple(records), close=True, actions=())
        actions = self.api.actions(server)
        ours = [one for one in actions if one.request not in track.requests][:CLOSEST] if events else []
        read = {one.request: self.api.action(server, one.request) or one for one in ours}
        # The actions came last: a server that began something meanwhile is seen by its own record now.
        if found.task_state is None and any(not _over(one) for one in read.values()):
            found = self.api.server(server) or found
            records = self.api.migrations(instance_uuid=server)
        actions = [read.get(one.request, one) for one in actions]
        cards = () if self.rows is None else self.rows(server) if rows else None
        ahead = self.api.service.ahead
        return Sight(
            now=time.time(),
            server=found,
            migrations=tuple(records),
            close=True,
            actions=tuple(actions),
            rows=cards,
            ahead=ahead,
            blind=self.rows is None,
        )

    def learn(self, server: str, sight: Sight) -> None:
        """What a close look showed is the newest that is known."""
        if sight.server is not None and server in self._servers:
            self._servers[server] = sight.server
            self._migrations[server] = {one.id: one for one in sight.migrations}
            self._heard[server] = time.monotonic()


def _over(action: object) -> bool:
    return all(one.result is not None for one in getattr(action, "events", None) or ())
