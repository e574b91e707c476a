"""Leftovers of hosts or of servers: which hosts are meant, what is proven of each server, what the hosts answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gpuctl.errors import OperatorError
from gpuctl.moves.books import read_books
from gpuctl.moves.errors import MoveError, NoSuchServer
from gpuctl.moves.nova_api import NovaApi, is_uuid
from gpuctl.moves.recover import leftovers

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuctl.cloud import Cloud
    from gpuctl.moves.books import HostLook
    from gpuctl.moves.model import Books

Document = dict[str, Any]
WEEK_S = 7 * 24 * 3600


class NotALeftover(MoveError):
    """Neither a compute host nor a server of that name."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Place:
    """One host, and the servers whose leftovers there are meant; none named: every server's."""

    host: str
    servers: tuple[str, ...]


@dataclass
class Clearing:
    """Looks for leftovers, and puts them away."""

    cloud: Cloud
    link: HostLook
    nova: NovaApi = field(init=False)

    def __post_init__(self) -> None:
        self.nova = NovaApi.of(self.cloud.service("compute"))

    def places(self, targets: tuple[str, ...]) -> tuple[Place, ...]:
        """Return the hosts that the names mean: a server means every host of its migrations but its own.

        Raises:
            NotALeftover: a name is neither.
            Ambiguous: several servers have it.
        """
        computes = self.nova.computes()
        found: dict[str, set[str]] = {}
        whole: set[str] = set()
        for target in targets:
            if target in computes:
                whole.add(target)
                found.setdefault(target, set())
                continue
            server, home = self._server(target)
            hosts = {host for one in self.nova.migrations(instance_uuid=server) for host in (one.source, one.dest)}
            for host in sorted(one for one in hosts if one in computes and one != home):
                found.setdefault(host, set()).add(server)
        return tuple(Place(host, () if host in whole else tuple(sorted(found[host]))) for host in sorted(found))

    def plan(self, place: Place) -> tuple[Books, tuple[str, ...], Document]:
        """Return ``(books, servers, the host's plan)``; nothing is touched."""
        servers = place.servers or self._left_on(place.host)
        books = self._books(servers)
        return books, servers, leftovers.planned(self.link, books, servers, place.host)

    def quarantine(self, place: Place, books: Books, plan: Document) -> Document:
        """What the plan says may go is in the host's quarantine."""
        going = sorted({one["uuid"] for one in plan["leftovers"] if one["may_go"]})
        everything = sorted({one["uuid"] for one in plan["leftovers"]})
        return (
            leftovers.quarantine(self.link, books, everything, place.host, plan)
            if going
            else {"results": [], "kept": []}
        )

    def restore(self, place: Place) -> Document:
        """What these servers have in a host's quarantine is back in its place."""
        held = {one["uuid"] for one in self.held(place)}
        servers = [one for one in place.servers or sorted(held) if one in held]
        return (
            self.link.leftovers(place.host, {"phase": "restore", "uuids": servers})
            if servers
            else {"results": [], "kept": []}
        )

    def purge(self, place: Place, older_than_s: int) -> Document:
        """What was put into a host's quarantine so long ago is deleted."""
        asked: Document = {"phase": "purge", "older_than_s": older_than_s}
        return self.link.leftovers(place.host, {**asked, **({"uuids": list(place.servers)} if place.servers else {})})

    def held(self, place: Place) -> list[Document]:
        """Return what is in a host's quarantine."""
        plan = self.link.leftovers(place.host, {"phase": "plan", "uuids": []})
        return [one for one in plan["quarantine"] if not place.servers or one["uuid"] in place.servers]

    # ------------------------------------------------------------ inside

    def _server(self, said: str) -> tuple[str, str | None]:
        """Return a server's id and host; of a deleted one the id alone."""
        try:
            one = self.nova.find(said)
        except NoSuchServer:
            if is_uuid(said):
                return said, None
            raise NotALeftover(
                f"{said!r} is neither a compute host nor a server", resolution="gpuctl instance list shows both"
            ) from None
        return one.id, one.host

    def _left_on(self, host: str) -> tuple[str, ...]:
        """Return the servers that have a folder of a move, or a domain that does not run, on a host."""
        view = self.link.look(host)
        found = {one.uuid for one in view.folders or () if one.kind == "resize"}
        found |= {one.uuid for one in view.domains or () if not one.runs and is_uuid(one.uuid)}
        return tuple(sorted(one for one in found if (server := self.nova.server(one)) is None or server.host != host))

    def _books(self, servers: tuple[str, ...]) -> Books:
        """Return the books of these servers; those that Nova shows as deleted are in ``gone``."""
        there = [one for one in servers if self.nova.server(one) is not None]
        missing = [one for one in servers if one not in there]
        books = read_books(self.cloud, servers=there, hosts=self.link)
        gone = {one for one in missing if self._was_deleted(one)}
        records = tuple(record for one in missing for record in self.nova.migrations(instance_uuid=one))
        return replace(books, gone=frozenset(gone), migrations=(*books.migrations, *records))

    def _was_deleted(self, server: str) -> bool:
        """Say whether Nova itself shows the server as deleted: an answer of 404 may be another cloud's server."""
        return any(
            one.id == server and one.status == "DELETED" for one in self.nova.servers(uuid=server, deleted="true")
        )


def each(places: tuple[Place, ...], do: Callable[[Place], Document]) -> list[Document]:
    """Return every host's answer; one that cannot be asked is an answer of its own, and the others go on."""
    answers = []
    for place in places:
        try:
            answers.append({"host": place.host, "error": None, **do(place)})
        except OperatorError as error:
            said = {"brief": error.brief, "details": error.details, "resolution": error.resolution}
            answers.append({"host": place.host, "error": {**said, "exit_code": error.exit_code}})
    return answers
