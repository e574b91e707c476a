"""One reading of a cloud's books: all of it, or what some servers need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.cloud_errors import CloudError, Rejected
from gpuctl.moves.books.database import DatabaseUnreachable, NovaDatabase
from gpuctl.moves.books.host_link import HostLook, look_at
from gpuctl.moves.books.survey import Survey, at_work
from gpuctl.moves.books.together import together
from gpuctl.moves.errors import CellSilent, NoSuchHost
from gpuctl.moves.model import AWAITS, BROKEN, Books, Compute, Migration, Server, Unseen
from gpuctl.moves.nova_api import NovaApi
from gpuctl.moves.placement_api import PlacementApi

if TYPE_CHECKING:
    from gpuctl.cloud import Cloud

Told = Callable[[str, int, int], None]
EMBEDDED = (2, 47)  # from there on a server shows the flavor that it was made with
# Of a history longer than a thousand records: those that can still hold something.
_HOLDING = (BROKEN, AWAITS, "done")


def read_books(
    cloud: Cloud,
    *,
    servers: Sequence[str] | None = None,
    hosts: HostLook | None = None,
    database: NovaDatabase | None = None,
    told: Told | None = None,
    only: Collection[str] = (),
    deep: bool = False,
) -> Books:
    """Return what is known of a cloud's GPU servers now.

    A view that cannot be had is an Unseen in the answer; but for Nova's own, without which there are no books.

    Args:
        cloud: as an administrator.
        servers: ids or names: these alone, with all that they hold (narrow); None for the whole cloud.
        hosts: a way to the hosts; None leaves them out.
        database: Nova's, where the operator gives it.
        told: is called with (what is done, done, total).
        only: compute hosts; where given, no other host is looked at or read in detail.
        deep: read every GPU server's allocations, one request each, whether the totals agree or not.

    Raises:
        CloudError: Nova cannot be asked.
        NoSuchServer, Ambiguous: a name of ``servers``.
        NoSuchHost: one of ``only``.
    """
    return _Reading(cloud, hosts, database, told or (lambda *_: None), frozenset(only)).read(servers, deep=deep)


class _Reading:
    """One reading; what could not be seen gathers in ``unseen``."""

    def __init__(
        self, cloud: Cloud, link: HostLook | None, database: NovaDatabase | None, told: Told, only: frozenset[str]
    ) -> None:
        self.link, self.database, self.told, self.only = link, database, told, only
        self.unseen: list[Unseen] = []
        self.cloud = cloud
        self.nova = NovaApi.of(cloud.service("compute"))

    def read(self, wanted: Sequence[str] | None, *, deep: bool) -> Books:
        # Placement goes first: what appears in Nova meanwhile is then a server without allocations, which is looked at
        # again below, and never an allocation without a server.
        self.told("reading Nova and Placement", 0, 0)
        with ThreadPoolExecutor(2, thread_name_prefix="books") as pool:
            surveyed = pool.submit(self._survey)
            computes = self.nova.computes()
            self._refuse_unknown(computes)
            self._without_cells(computes)
            servers, others = self._servers(wanted)
            records = self._records(servers, wanted)
            survey = surveyed.result()
        if survey is not None:
            survey.rename(self._hosts_of_nodes(survey, computes, [*servers.values()]))
        books = Books(
            servers=servers,
            others=others,
            whole=wanted is None,
            migrations=tuple(one for one in records if one.server in servers),
            computes=computes,
            newest=self.nova.newest,
        )
        near = self._near(books, survey)
        if survey is not None:
            books = self._with_placement(books, survey, near, records, deep=deep)
        return replace(self._with_others(books, near), unseen=tuple(self.unseen))

    # ------------------------------------------------------------ Nova

    def _refuse_unknown(self, computes: Mapping[str, Compute]) -> None:
        for host in sorted(self.only - computes.keys()):
            raise NoSuchHost(f"no compute host {host!r}", resolution="openstack compute service list shows them")

    def _without_cells(self, computes: Mapping[str, Compute]) -> None:
        silent = sorted(one.host for one in computes.values() if one.silent)
        if silent:
            said = f"the cell of {', '.join(silent)} does not answer Nova: its servers and migrations are in no list"
            self.unseen.append(Unseen("cells", said))

    def _servers(self, wanted: Sequence[str] | None) -> tuple[dict[str, Server], dict[str, str | None]]:
        if wanted is not None:
            found = together(self.nova.find, wanted)
            return {one.id: one for one in found}, {}
        every = self.nova.servers()
        if self.nova.version < EMBEDDED:
            self.unseen.append(Unseen("flavors", "below 2.47 (Pike) a server does not show what its flavor asks for"))
        return {one.id: one for one in every if one.cards}, {one.id: one.host for one in every if not one.cards}

    def _records(self, servers: Mapping[str, Server], wanted: Sequence[str] | None) -> list[Migration]:
        if wanted is not None:
            each = together(lambda one: self.nova.migrations(instance_uuid=one), [*servers])
            return sorted((record for records in each for record in records), key=lambda one: one.id)
        newest, complete = self.nova.recent_migrations()
        more = () if complete else [one for status in _HOLDING for one in self.nova.migrations(status=status)]
        # Each cell's database counts for itself: two servers' migrations may bear one number.
        found = {(one.id, one.server): one for one in (*newest, *more)}
        return [found[which] for which in sorted(found)]

    def _hosts_of_nodes(
        self, survey: Survey, computes: Mapping[str, Compute], servers: Iterable[Server]
    ) -> dict[str, str]:
        """Return compute node -> compute host, asking only where a name alone does not say it."""
        nodes = {one.name for one in survey.providers.values() if one.parent is None}
        known = {name: name for name in nodes if name in computes}
        known |= {one.node: one.host for one in servers if one.node and one.host}
        if {one.host for one in survey.providers.values() if one.address} - known.keys() and nodes - known.keys():
            known |= self.nova.nodes()
        return known

    def _near(self, books: Books, survey: Survey | None) -> set[str]:
        """Return the compute hosts that have to do with these servers, or with cards at all."""
        found = {one.host for one in books.servers.values()}
        found |= {host for one in books.migrations for host in (one.source, one.dest)}
        if books.whole and survey is not None:
            found |= {one.host for one in survey.providers.values() if one.address}
        if books.whole and (survey is None or not survey.tracked):
            found |= books.computes.keys()
        # Of a silent cell's hosts nobody can say whose what they hold is.
        there = {one.host for one in books.computes.values() if one.host in found and not one.silent}
        return there & self.only if self.only else there

    # ------------------------------------------------------------ Placement

    def _survey(self) -> Survey | None:
        try:
            return Survey.of(PlacementApi(self.cloud.service("placement")))
        except CloudError as error:
            self._without_placement(error)
            return None

    def _without_placement(self, error: CloudError) -> None:
        # A Placement before Train (Nova 20) is no fault of anybody's, and knows nothing of cards.
        old = isinstance(error, Rejected) and error.status == 406
        said = f"{error.brief}{': ' if error.details else ''}{error.details}"
        self.unseen.append(Unseen("placement", said, asked=not old))

    def _with_placement(
        self, books: Books, survey: Survey, near: Collection[str], records: Sequence[Migration], *, deep: bool
    ) -> Books:
        try:
            if books.whole:
                survey.read_tenants(near, self.told)
                survey.read_disagreeing(near, books.servers, books.others, records)
                survey.read_consumers(books.servers if deep else ())
            else:
                survey.read_consumers([*books.servers, *(one.uuid for one in books.migrations if one.uuid)])
        except CloudError as error:  # half of it would mislead
            self._without_placement(error)
            return books
        books = replace(
            books,
            providers=survey.providers,
            allocations=survey.allocations,
            tracked=survey.tracked,
            tenants=survey.tenants,
        )
        if not books.whole:
            return books
        gone, named, more = self._strangers(books, survey, records)
        every = sorted({*books.migrations, *named}, key=lambda one: one.id)
        return replace(books, others={**books.others, **more}, migrations=tuple(every), gone=gone)

    def _strangers(
        self, books: Books, survey: Survey, records: Sequence[Migration]
    ) -> tuple[frozenset[str], tuple[Migration, ...], dict[str, str | None]]:
        """Return (consumers that own nothing any more, migrations that these are, servers that were made meanwhile)."""
        known = books.servers.keys() | books.others.keys()
        holding = {one for one, of in survey.allocations.items() if of.holds}
        strangers = (holding | {one for of in survey.tenants.values() for one in of}) - known
        by_uuid = {one.uuid: one for one in records if one.uuid}
        more: dict[str, str | None] = {}
        unknown = set()
        for one in sorted(strangers - by_uuid.keys()):
            try:
                found = self.nova.server(one)
            except CellSilent:
                more[one] = None
                continue
            if found is None:
                unknown.add(one)
            else:
                more[one] = found.host
        for host in sorted({host for host, of in survey.tenants.items() if of & unknown}):
            by_uuid |= {one.uuid: one for one in self.nova.migrations(host=host) if one.uuid}
        named = {one: by_uuid[one] for one in strangers & by_uuid.keys()}
        rightly = {uuid for uuid, one in named.items() if one.server in known and at_work(one)}
        gone = frozenset(strangers - more.keys() - rightly)
        return gone, tuple(one for uuid, one in named.items() if uuid in gone), more

    # ------------------------------------------------------------ the database, the hosts

    def _with_database(self, books: Books, database: NovaDatabase) -> Books:
        try:
            view = database.read()
        except DatabaseUnreachable as error:
            self.unseen.append(Unseen("database", f"{error.brief}: {error.details}"))
            return books
        # A host that has servers has a compute node, in the database of its cell.
        there = {one.host for one in books.servers.values() if one.host is not None and one.host in books.computes}
        if other := sorted(there - view.cells.keys()):
            said = f"none of the databases that were named has {', '.join(other)}: name every cell's"
            self.unseen.append(Unseen("database", said))
            return books
        return replace(books, rows=view.rows, gone=books.gone | view.gone, cells=view.cells)

    def _with_others(self, books: Books, near: Collection[str]) -> Books:
        if self.database is not None:
            self.told("reading Nova's database", 0, 0)
            books = self._with_database(books, self.database)
        else:
            self.unseen.append(Unseen("database", "Nova's PCI rows are in no API; --nova-db shows them", asked=False))
        if self.link is None:
            self.unseen.append(
                Unseen("hosts", "not asked for; --ssh looks at domains, folders and drivers", asked=False)
            )
            return books
        self.told(f"looking at {len(near)} hosts", 0, 0)
        seen, unseen = look_at(near, self.link)
        self.unseen += unseen
        return replace(books, hosts=seen)
