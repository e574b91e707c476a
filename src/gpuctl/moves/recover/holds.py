"""Cards that Nova's books keep for a server beyond those of its place: seen in the database, else worked out.

Without the database the server's history is replayed: which of its migrations still count as owners, where the server
was after each, and which cards a later shelve freed (facts/nova.md 4.5; nova/pci/manager.py clean_usage).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.moves.model import AWAITS, BROKEN, Migration
from gpuctl.moves.recover.phase import Phase, phase
from gpuctl.moves.recover.sight import ROWS_CHECKED, Sight, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl.moves.model import Row

SETTLED_S = 15 * 60
"""Seconds after which the audit of a running nova-compute has come by: every 60 s, and the fuzzy delay at its start."""

_NOTHING_THERE = frozenset({Phase.SCHEDULE, Phase.CLAIM, Phase.REVERT})
"""Broken off where no card was left: none was claimed yet, or the destination's was freed already."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Cards of one host that a server holds and should not.

    Attributes:
        addresses: empty where they are worked out only. On the server's own host all of them: which of them is too many
            is not known.
        keeper: the migration for whose sake Nova's audit keeps them; None where it keeps them for nobody's.
        seen: in the database.
    """

    host: str
    addresses: tuple[str, ...]
    keeper: Migration | None
    seen: bool


def holds(sight: Sight) -> tuple[Hold, ...]:
    """Return the cards that the server holds and should not, by the best view there is."""
    return tuple(_from_rows(sight, sight.rows) if sight.rows is not None else _from_history(sight))


def one_place(sight: Sight) -> bool | None:
    """Say whether its cards are all on its own host and no more than it asks for; None where that is unknown."""
    if sight.rows is not None:
        there = [one for one in sight.rows if one.host == sight.home]
        return len(there) == len(sight.rows) and len(there) <= _wanted(sight)
    if holds(sight):
        return False
    if not sight.era.leaks or ROWS_CHECKED in sight.believed:
        return True
    return None if any(_fresh(sight, one) for one in sight.migrations if one.status == "failed") else True


def _from_rows(sight: Sight, rows: tuple[Row, ...]) -> Iterator[Hold]:
    """Yield what the database shows, less what a move in VERIFY_RESIZE or an open one holds rightly."""
    by_host: dict[str, list[str]] = {}
    for row in rows:
        by_host.setdefault(row.host, []).append(row.address)
    for host, found in sorted(by_host.items()):
        keepers = [one for one in reversed(sight.migrations) if host in {one.source, one.dest}]
        if any(one.open for one in keepers):
            continue
        if host == sight.home:
            if len(found) > _wanted(sight):
                yield Hold(host, tuple(sorted(found)), next(iter(_owners(sight, keepers)), None), seen=True)
            continue
        if sight.status == "VERIFY_RESIZE" and sight.finished and host == sight.finished[-1].source:
            continue
        yield Hold(host, tuple(sorted(found)), next(iter(_owners(sight, keepers)), None), seen=True)


def _owners(sight: Sight, migrations: list[Migration]) -> Iterator[Migration]:
    """Yield those that the audit takes for owners."""
    for one in migrations:
        broken = one.status == BROKEN and sight.era.leaks
        if broken or one.status == AWAITS or (one.kind == "evacuation" and one.status == "done"):
            yield one


def _from_history(sight: Sight) -> Iterator[Hold]:
    """Yield what the migrations of a server that is not deleted let one expect."""
    if sight.server is None:
        return
    for number, one in enumerate(sight.migrations):
        if one.dest is None or next(_owners(sight, [one]), None) is None:
            continue
        if one.kind == "evacuation" and one.status == "done":
            if one.source and one.source != sight.home:
                yield Hold(one.source, (), one, seen=False)
            continue
        if not one.cold or (sight.status == "VERIFY_RESIZE" and one == sight.finished[-1]):
            continue
        where = _leaked_on(sight, number)
        if where is not None and not _shelved_from(sight, where, one):
            yield Hold(where, (), one, seen=False)


def _leaked_on(sight: Sight, number: int) -> str | None:
    """Return the host where a migration left a card: the one of its two where the server was not afterwards."""
    one = sight.migrations[number]
    step, _ = phase(sight, one) if one.status == BROKEN else (None, None)
    if step in _NOTHING_THERE:
        return None
    if step in {Phase.DEST, Phase.CONFIRM}:
        return one.source
    if step in {Phase.SOURCE, Phase.REVERT_DEST}:
        return one.dest
    later = sight.migrations[number + 1 :]
    afterwards = later[0].source if later else sight.home
    return one.dest if afterwards == one.source else one.source


def _shelved_from(sight: Sight, host: str, since: Migration) -> bool:
    """Say whether the server was offloaded from that host later: that frees its cards there (openstack-lab.md 9)."""
    later = [one for one in sight.actions if moment(one.started) >= moment(since.updated)]
    shelved = any(
        event.host == host and event.result == "Success"
        for action in later
        if action.action in {"shelve", "shelveOffload"}
        for event in action.events or ()
        if event.name.startswith("compute_shelve")
    )
    # A server that was shelved and not offloaded is merely started again, by another event.
    claimed_anew = any(
        event.name == "compute_unshelve_instance"
        for action in later
        if action.action == "unshelve"
        for event in action.events or ()
    )
    return shelved and (claimed_anew or sight.status == "SHELVED_OFFLOADED")


def _wanted(sight: Sight) -> int:
    return 0 if sight.server is None else sight.server.cards


def just_ended(sight: Sight, migration: Migration, seconds: float) -> bool:
    """Say whether a migration was over less than so many seconds ago, by Nova's clock."""
    return seconds_ago(sight, migration.updated) < seconds


def seconds_ago(sight: Sight, when: str) -> float:
    """Return how long ago something was, by Nova's clock; 0 where its time cannot be read."""
    from datetime import datetime

    try:
        return (datetime.fromisoformat(moment(sight.now)) - datetime.fromisoformat(moment(when))).total_seconds()
    except ValueError:
        return 0.0


def untracked(sight: Sight) -> Migration | None:
    """Return the migration that brought the server, if its host's nova-compute may not track it yet.

    Only an audit takes in what a move brought. Shelved before, the server keeps its cards there, and its guest gets
    them besides its new ones (``gpuctl.moves.ways.shelve``); an `error` migration then keeps them for good.
    """
    came = next((one for one in reversed(sight.migrations) if one.dest), None)
    return came if came is not None and just_ended(sight, came, sight.audit) else None


def _fresh(sight: Sight, migration: Migration) -> bool:
    if migration.dest is None:
        return False
    other = migration.source if sight.home == migration.dest else migration.dest
    return just_ended(sight, migration, SETTLED_S) or not sight.is_up(other)
