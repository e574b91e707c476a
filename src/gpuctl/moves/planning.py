"""From servers and what was asked for to moves, each with its way and its guards: what consent and a dry run show."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gpuctl.cloud_errors import CloudError
from gpuctl.moves.errors import NoSuchHost
from gpuctl.moves.guards import Group, Situation, guard
from gpuctl.moves.model import BROKEN, Books, Finding, Server
from gpuctl.moves.move import Move, Options, new_id
from gpuctl.moves.result import PLANNED, REFUSED, Result
from gpuctl.moves.ways.choice import Choice, choose

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gpuctl.cloud import Cloud
    from gpuctl.moves.books import HostLook, NovaDatabase
    from gpuctl.moves.engine import Reader
    from gpuctl.moves.nova_api import NovaApi


@dataclass(frozen=True, slots=True)
class Planned:
    """One server's plan.

    Attributes:
        move: None where it is refused.
        findings: every guard's; those that fail are why it is refused.
    """

    server: Server
    choice: Choice
    findings: tuple[Finding, ...]
    move: Move | None

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The guards that refuse it."""
        return tuple(one for one in self.findings if one.status == "fail")

    def result(self) -> Result:
        """Return it as a result: refused, or planned."""
        bad = self.failed
        return Result(
            server=self.server.id,
            name=self.server.name,
            source=self.server.host,
            dest=self.choice.to,
            strategy=self.choice.strategy or "",
            state=PLANNED if self.move else REFUSED,
            detail="; ".join(one.title for one in bad) or self.choice.why,
            resolution=bad[0].fix if bad else "",
            findings=self.findings,
            why=self.choice.why,
        )


def plan(at: Situation) -> Planned:
    """Return the plan for one server: pure."""
    choice = choose(at)
    if choice.strategy is None:
        others = "; ".join(f"{name}: {why}" for name, why in choice.refused.items())
        no_way = Finding("move-strategy", "fail", at.server.id, "no way is safe here", choice.why, others)
        return Planned(at.server, choice, (no_way, *guard(at)), None)
    chosen = replace(at, strategy=choice.strategy, to=choice.to)
    findings = (
        Finding("move-strategy", "pass", at.server.id, f"by {choice.strategy}", choice.why),
        *guard(chosen),
    )
    if any(one.status == "fail" for one in findings):
        return Planned(at.server, choice, findings, None)
    # A reading of the whole cloud has the newest migrations alone.
    records = None if at.books.whole else tuple(one.id for one in at.books.migrations_of(at.server.id))
    move = Move(new_id(), at.server, at.source, choice.to, choice.strategy, choice.why, at.options, records)
    return Planned(at.server, choice, findings, move)


def plan_all(situations: Sequence[Situation]) -> list[Planned]:
    """Return the plans of several servers; a card that one of them will take is no free card for the next."""
    busy: Counter[str] = Counter()
    found = []
    for at in situations:
        one = plan(replace(at, busy=busy))
        if one.move is not None and one.move.to is not None:
            busy[one.move.to] += at.server.cards
        found.append(one)
    return found


def situations(
    cloud: Cloud, api: NovaApi, books: Books, servers: Sequence[Server], *, to: str | None, options: Options
) -> list[Situation]:
    """Return what the guards need of each server: its groups and ports are asked for here."""
    groups = _groups(api, servers)
    return [
        Situation(
            server=one,
            books=books,
            options=options,
            to=to,
            groups=None if groups is None else tuple(groups[each] for each in one.groups or () if each in groups),
            vnic_types=_vnic_types(cloud, one.id),
            keepers=_keepers(api, books, one.id),
        )
        for one in servers
    ]


def reader(cloud: Cloud, *, hosts: HostLook | None = None, database: NovaDatabase | None = None) -> Reader:
    """Return how the engine reads the books of one server: the hosts of the move are looked at, and no others."""

    def one(server: str, about: frozenset[str]) -> Books:
        try:
            return read(cloud, [server], about, hosts=hosts, database=database)
        except NoSuchHost:  # the source was taken out of Nova meanwhile
            return read(cloud, [server], (), hosts=hosts, database=database)

    return one


def read(
    cloud: Cloud,
    servers: Sequence[str],
    about: Collection[str] | None,
    *,
    hosts: HostLook | None = None,
    database: NovaDatabase | None = None,
) -> Books:
    """Return the books of some servers, and what the hosts show that this is about.

    Args:
        cloud: as an administrator.
        servers: ids.
        about: compute hosts; None: every one that is up, for one of them has to be chosen.
        hosts: a way to them.
        database: Nova's.

    Raises:
        NoSuchHost: one of ``about`` is none.
        CloudError: Nova cannot be asked.
    """
    from gpuctl.moves.books import read_books
    from gpuctl.moves.books.host_link import look_at

    books = read_books(cloud, servers=servers, hosts=hosts, database=database, only=about or ())
    if hosts is None:
        return books
    wanted = {one.host for one in books.computes.values() if one.up} if about is None else {*about}
    # A shelve leaves no migration behind that names its source, and nothing names a destination beforehand.
    blind = {one.view for one in books.unseen}
    rest = {one for one in wanted & books.computes.keys() - books.hosts.keys() if f"host {one}" not in blind}
    if not rest:
        return books
    views, unseen = look_at(rest, hosts)
    return replace(books, hosts={**books.hosts, **views}, unseen=(*books.unseen, *unseen))


def _keepers(api: NovaApi, books: Books, server: str) -> frozenset[int] | None:
    """Return the migrations for whose sake, by the server's history, a card may be held beyond its own.

    None where that is not asked for (none failed, or the rows say it), or where Nova does not show the history.
    """
    broken = [one for one in books.migrations_of(server) if one.status == BROKEN and one.dest]
    if not broken or books.rows is not None:
        return None
    from gpuctl.moves.recover.holds import holds
    from gpuctl.moves.recover.reader import actions_of
    from gpuctl.moves.recover.sight import Sight

    try:
        every = tuple(api.migrations(instance_uuid=server))  # of the whole cloud the newest alone may have been read
        sight = Sight(server, replace(books, migrations=every), actions_of(api, server))
    except CloudError:
        return None
    return frozenset(one.keeper.id for one in holds(sight) if one.keeper is not None)


def _groups(api: NovaApi, servers: Sequence[Server]) -> dict[str, Group] | None:
    """Return the groups that the servers are in, with where their members are; None where they cannot be read."""
    wanted = {each for one in servers for each in one.groups or ()}
    if not wanted:
        return {}
    try:
        said = {name: one for name, one in api.groups().items() if name in wanted}
        members = {each for one in said.values() for each in one.get("members") or ()}
        where = {one.id: one.host for one in servers}
        for each in sorted(members - where.keys()):
            found = api.server(each)
            where[each] = found.host if found else None
    except CloudError:
        return None
    return {name: _group(name, one, where) for name, one in said.items()}


def _group(name: str, said: dict[str, Any], where: dict[str, str | None]) -> Group:
    policy = said.get("policy") or next(iter(said.get("policies") or ()), "")
    limit = int((said.get("rules") or {}).get("max_server_per_host") or 1)
    return Group(name, policy, {each: where.get(each) for each in said.get("members") or ()}, limit)


def _vnic_types(cloud: Cloud, server: str) -> tuple[str, ...] | None:
    """Return the kinds of a server's ports; None where Neutron does not say."""
    try:
        network = cloud.service("network")
        version = "" if network.root.endswith("/v2.0") else "/v2.0"
        path = f"{version}/ports?device_id={server}&fields=binding:vnic_type"
        ports = network.ask("GET", path, "read the server's ports").body["ports"]
    except (CloudError, KeyError):
        return None
    return tuple(one.get("binding:vnic_type") or "normal" for one in ports)
