"""The audit: every check over the books, worst first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gpuctl.cloud_errors import CloudError
from gpuctl.moves.audit import states, strays
from gpuctl.moves.audit.sight import Sight
from gpuctl.moves.books.compare import compare
from gpuctl.moves.books.kinds import KINDS, found
from gpuctl.moves.errors import NoSuchServer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from gpuctl.cloud import Cloud
    from gpuctl.moves.books import HostLook, NovaDatabase
    from gpuctl.moves.books.read import Told
    from gpuctl.moves.model import Books, Finding, Server, Unseen

_OF_A_SERVER: tuple[Callable[[Sight, Server], Iterator[Finding]], ...] = (
    states.server_state,
    states.migrations,
    states.aliases,
)
_OF_THE_CLOUD: tuple[Callable[[Sight], Iterator[Finding]], ...] = (
    strays.allocations,
    strays.rows,
    strays.folders,
    strays.domains,
    strays.cards,
    states.computes,
    strays.unseen,
)
_WRONG = frozenset({"fail", "warn"})
_ORDER = {"fail": 0, "warn": 1, "skip": 2, "pass": 3}


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.

    Attributes:
        findings: fails, then warnings, then what could not be seen.
        servers: how many GPU servers were looked at.
        hosts: how many compute hosts are meant; hosts_seen: how many of them showed themselves.
        names: of the servers that findings are about.
        blind: Placement or the database, where they were asked for and could not be had; a host out of reach is not.
    """

    findings: tuple[Finding, ...]
    when: datetime
    servers: int
    hosts: int
    hosts_seen: int
    names: Mapping[str, str]
    blind: tuple[Unseen, ...]

    @property
    def counts(self) -> Counter[str]:
        """How many of each status."""
        return Counter(one.status for one in self.findings)

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 1 where anything failed, 5 where nothing did and not all could be looked at, else 0."""
        if self.counts["fail"] or (strict and self.counts["warn"]):
            return 1
        return 5 if self.blind else 0


def audit_cloud(
    cloud: Cloud,
    *,
    hosts: HostLook | None = None,
    database: NovaDatabase | None = None,
    told: Told | None = None,
    only: Collection[str] = (),
    aliases: frozenset[str] | None = None,
    deep: bool = False,
) -> Audit:
    """Return what stands after a reading of the whole cloud and a second one of the servers that look wrong.

    A reading takes seconds, in which servers move: what the second one no longer shows was a move, not a mistake.

    Args:
        cloud: as an administrator.
        hosts: a way to the hosts; None leaves them out.
        database: Nova's, where the operator gives it.
        told: is called with (what is done, done, total).
        only: compute hosts that are meant; all by default.
        aliases: the names that nova.conf has; None where it was not read.
        deep: read every server's allocations, whether the totals agree or not.
    """
    from gpuctl.moves.books import read_books

    books = read_books(cloud, hosts=hosts, database=database, told=told, only=only, deep=deep)
    first = audit(books, only=only, aliases=aliases)
    suspects = sorted({one.subject for one in first.findings if one.status in _WRONG} & books.servers.keys())
    if not suspects:
        return first
    if told is not None:
        told(f"looking at {len(suspects)} servers again", 0, 0)
    try:
        again = read_books(cloud, servers=suspects, database=database)
    except (NoSuchServer, CloudError):  # one was deleted meanwhile, or Nova is: the first reading stands
        return first
    blind = {one.view for one in again.unseen if one.asked} - {one.view for one in books.unseen}
    return first if blind else _settled(first, books, again, aliases)


def _settled(first: Audit, before: Books, books: Books, aliases: frozenset[str] | None) -> Audit:
    """Return the audit without what a second reading of the servers does not show again.

    What hosts showed, and what was found beside a server, is believed where the server did not change meanwhile.
    """
    sight = Sight(books, first.when, frozenset(), aliases)
    still = {(one.id, one.subject) for server in books.servers.values() for one in findings(sight, server)}
    changed = {name for name, one in books.servers.items() if one.updated != before.servers[name].updated}

    def stands(one: Finding) -> bool:
        if one.subject not in books.servers:
            return True
        if one.id == "allocation-orphan" or KINDS[one.id].reads.startswith("hosts"):
            return one.subject not in changed
        return (one.id, one.subject) in still

    return replace(first, findings=tuple(filter(stands, first.findings)))


def audit(
    books: Books,
    *,
    now: datetime | None = None,
    only: Collection[str] = (),
    aliases: frozenset[str] | None = None,
) -> Audit:
    """Return every finding over a reading of the whole cloud.

    Args:
        books: see read_books.
        now: of the reading; this moment by default.
        only: compute hosts that are meant; all by default.
        aliases: the names that nova.conf has; None where it was not read.
    """
    sight = Sight(books, now or datetime.now(UTC), frozenset(only), aliases)
    every = [one for server in sight.servers() for one in findings(sight, server)]
    every += [one for check in _OF_THE_CLOUD for one in _safely("cloud", check, sight)]
    return Audit(
        findings=tuple(sorted(every, key=lambda one: _ORDER[one.status])),
        when=sight.now,
        servers=sum(1 for _ in sight.servers()),
        hosts=sum(map(sight.means, books.computes)),
        hosts_seen=len(books.hosts),
        blind=tuple(one for one in books.unseen if one.asked and not one.view.startswith("host ")),
        names={one.subject: books.servers[one.subject].name for one in every if one.subject in books.servers},
    )


def findings(sight: Sight, server: Server) -> tuple[Finding, ...]:
    """Return what is wrong with one server; nothing is what should be said of most."""
    own = [one for check in _OF_A_SERVER for one in _safely(server.id, check, sight, server)]
    return (*own, *_safely(server.id, compare, sight.books, server.id))


def _safely(subject: str, check: Callable[..., Iterable[Finding]], *of: object) -> list[Finding]:
    """Return what a check finds; one that fails is itself something that could not be looked at."""
    try:
        return list(check(*of))
    except Exception as error:  # noqa: BLE001 - one check's defect must not hide what the others find
        why = f"{check.__name__}: {type(error).__name__}: {error}"
        return [found("not-seen", "skip", subject, f"a defect of gpuctl: {why}", "report it, with --debug")]
