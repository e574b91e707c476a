"""Checks of what Nova itself says of a server and its migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.audit.sight import DAY, HOUR, Sight, long
from gpuctl.moves.books.holdings import at_rest, waits
from gpuctl.moves.books.kinds import found, recover
from gpuctl.moves.model import AWAITS, BROKEN, OVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl.moves.model import Finding, Migration, Server

CRASHED_OR_OFF = frozenset({4, 6})  # nova/compute/power_state.py: SHUTDOWN, CRASHED
KEEPS_BROKEN = (2, 88)
"""From 22 on an `error` migration keeps its cards; 21 and 22 both say 2.87, so only 2.79 and older surely do not."""
FREES_BROKEN = (2, 79)


def server_state(sight: Sight, server: Server) -> Iterator[Finding]:
    """Look for what the server's own document shows."""
    if server.status == "ERROR":
        fault = server.fault
        said = (fault.words or fault.message) if fault else "no fault is shown"
        yield found("server-error", "fail", server.id, f"status ERROR on {server.host}: {said}", recover(server.id))
    idle = sight.seconds_since(server.updated)
    if server.task_state is not None and idle > HOUR:
        said = f"task_state {server.task_state}, unchanged for {long(idle)}"
        yield found("server-stuck", "warn", server.id, said, recover(server.id))
    if server.vm_state == "active" and server.power_state in CRASHED_OR_OFF and at_rest(sight.books, server):
        said = f"vm_state active, power_state {server.power_state} on {server.host}"
        yield found("active-powered-off", "fail", server.id, said, recover(server.id))


def migrations(sight: Sight, server: Server) -> Iterator[Finding]:
    """Look for migrations that hold what they should not."""
    for one in sight.books.migrations_of(server.id):
        said = _told(one)
        idle = sight.seconds_since(one.updated)
        if one.open and idle > HOUR:
            evidence = f"{said}, unchanged for {long(idle)}; task_state {server.task_state}"
            yield found("migration-stuck", "warn", server.id, evidence, recover(server.id))
        elif one.status == AWAITS and one.kind != "live-migration":
            yield from _waiting(server, said, idle)
        elif waits(sight.books, one):
            yield from _evacuated(sight, server, one, said)
    yield from _broken(sight, server)


def _told(one: Migration) -> str:
    return f"migration {one.id} ({one.kind} {one.source} -> {one.dest}) is `{one.status}`"


def _waiting(server: Server, said: str, idle: float) -> Iterator[Finding]:
    if server.vm_state == "resized":
        if idle > DAY:
            evidence = f"{said}, since {long(idle)}; both hosts hold the cards until it is confirmed or reverted"
            yield found("verify-resize-left", "warn", server.id, evidence, recover(server.id))
    elif server.task_state is None:
        evidence = f"{said}, and the server is {server.status}, not VERIFY_RESIZE"
        yield found("reset-too-early", "fail", server.id, evidence, recover(server.id))


def _broken(sight: Sight, server: Server) -> Iterator[Finding]:
    """Only what is not known better: with the database the rows speak (row-elsewhere, row-double).

    One for each place, however often somebody tried again: each try may have left a card there.
    """
    if sight.books.rows is not None or sight.books.newest <= FREES_BROKEN:
        return
    if server.host is None:  # offloaded since: that freed what it held
        return
    records = sight.books.migrations_of(server.id)
    by_place: dict[str, list[Migration]] = {}
    for one in records:
        if one.status != BROKEN or one.dest is None:
            continue
        where = {one.source: one.dest, one.dest: one.source}.get(server.host) or f"{one.source} or {one.dest}"
        if any(later.id > one.id and later.status in OVER for later in records):
            where = f"{one.source} or {one.dest}"  # it has moved since, and may own two cards where it is
        by_place.setdefault(where, []).append(one)
    sure = "" if sight.books.newest >= KEEPS_BROKEN else ", if this is a Nova 22 and not 21"
    for where, those in by_place.items():
        more = f", and {len(those) - 1} older ones" if len(those) > 1 else ""
        cards = "cards" if more else "a card"
        said = f"{_told(those[-1])}{more}; the server is on {server.host}"
        evidence = f"{said}: {cards} on {where} may be held{sure}; --nova-db shows it"
        yield found("migration-error", "warn", server.id, evidence, recover(server.id))


def _evacuated(sight: Sight, server: Server, one: Migration, said: str) -> Iterator[Finding]:
    old = sight.books.computes.get(one.source or "")
    if old is not None and old.up:
        evidence = f"{said}, though nova-compute on {one.source} is up"
        yield found(
            "evacuated-host-back", "fail", server.id, evidence, f"on {one.source}: systemctl restart nova-compute"
        )
        return
    evidence = (
        f"{said}; nova-compute on {one.source} is {'down' if old else 'unknown to Nova'}; the server is {server.status}"
    )
    yield found("evacuated-host-away", "warn", server.id, evidence, recover(server.id))


def aliases(sight: Sight, server: Server) -> Iterator[Finding]:
    """Compare what a server's flavor asks for with the aliases of nova.conf."""
    if sight.aliases is None:
        return
    missing = [wish.alias for wish in server.wishes if wish.alias not in sight.aliases]
    if missing:
        said = f"its flavor {server.flavor} asks for {', '.join(missing)}; nova.conf has {_list(sight.aliases)}"
        fix = f"put the alias {missing[0]} back into [pci] alias of nova-api and of every nova-compute"
        yield found("alias-gone", "fail", server.id, said, fix)


def computes(sight: Sight) -> Iterator[Finding]:
    """Look for compute services that somebody left closed."""
    for one in sight.books.computes.values():
        if not sight.means(one.host):
            continue
        if one.forced_down:
            fix = f"openstack compute service set --up {one.host} nova-compute"
            yield found("compute-forced-down", "warn", one.host, "os-services: forced_down is true", fix)
        if not one.enabled and (one.reason or "").startswith("gpuctl"):
            fix = f"openstack compute service set --enable {one.host} nova-compute"
            yield found("compute-disabled", "warn", one.host, f"os-services: disabled, {one.reason!r}", fix)


def _list(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"
