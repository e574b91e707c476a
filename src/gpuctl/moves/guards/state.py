"""Guards about the server itself: its state, its lock, its history, and what the API can do."""

from __future__ import annotations

from gpuctl.moves.books.holdings import waits
from gpuctl.moves.guards.say import fail, good, skip, warn
from gpuctl.moves.guards.situation import Situation
from gpuctl.moves.model import AWAITS, BROKEN, Finding, Migration
from gpuctl.moves.move import COLD, LEGACY, LIVE, SHELVE
from gpuctl.moves.proof import RUNNING

WITH_HOST = (2, 56)  # migrate to a named host, validated by the scheduler
UNSHELVE_HOST = (2, 91)
FIRST_LEAKING = 22  # 255b3f2f91: the tracker keeps the cards of `error` migrations


def microversion(at: Situation) -> Finding:
    """The API can do what the way needs."""
    name, newest = "move-microversion", at.books.newest
    said = f"newest microversion {newest[0]}.{newest[1]}: release {at.releases}"
    if at.to and at.strategy in {COLD, LEGACY} and newest < WITH_HOST:
        return fail(
            name, at, "this Nova cannot migrate to a named host", said, "leave --host out (2.56, Queens, has it)"
        )
    if at.strategy == SHELVE and newest < UNSHELVE_HOST:
        return fail(name, at, "this Nova cannot unshelve on a named host", said, "--strategy cold (2.91, Zed, has it)")
    return good(name, at, "the API can do it", said)


def state(at: Situation) -> Finding:
    """The server is at rest, in a state that can be moved."""
    name, server = "move-server-state", at.server
    said = f"{server.status}, task {server.task_state or 'none'}, power_state {server.power_state}"
    recover = f"gpuctl instance recover {server.id}"
    if server.task_state is not None:
        return fail(name, at, f"it is in the middle of {server.task_state}", said, f"wait for it; else {recover}")
    if server.vm_state == "shelved_offloaded":
        fix = f"openstack server unshelve --host HOST {server.id}"
        return fail(name, at, "it is shelved and on no host", said, fix)
    allowed = {"active"} if at.strategy == LIVE else {"active", "stopped"}
    if server.vm_state not in allowed:
        return fail(name, at, f"a server in {server.status} is not moved", said, recover)
    if server.host is None:
        return fail(name, at, "it is on no host", said, recover)
    if server.vm_state == "active" and server.power_state != RUNNING:
        fix = f"{recover}, or openstack server start or stop it first"
        return fail(name, at, "Nova says ACTIVE and its guest is off", said, fix)
    return good(name, at, "at rest", said)


def cards(at: Situation) -> Finding:
    """It is a GPU server."""
    if at.server.cards:
        said = ", ".join(f"{one.alias}:{one.count}" for one in at.server.wishes)
        return good("move-cards", at, f"{at.server.cards} cards", said)
    title = "its flavor asks for no card: it moves as any other server"
    return warn("move-cards", at, title, f"flavor {at.server.flavor}", "openstack server migrate does as well")


def locked(at: Situation) -> Finding:
    """Nobody locked it. Nova lets an administrator pass; gpuctl does not, unless told."""
    name = "move-locked"
    if not at.server.locked:
        return good(name, at, "not locked")
    said = f"locked{f': {at.server.locked_reason}' if at.server.locked_reason else ''}"
    if at.options.force_locked:
        return warn(name, at, "it is locked, and moved because of --force-locked", said)
    return fail(name, at, "it is locked", said, "ask who locked it, then --force-locked; Nova would not stop you")


def history(at: Situation) -> tuple[Finding, ...]:
    """No move of it is open, waits for a confirm, or failed and may still hold a card."""
    name, recover = "move-history", f"gpuctl instance recover {at.server.id}"
    found = []
    for one in at.books.migrations_of(at.server.id):
        said = f"migration {one.id} ({one.kind}) {one.source} -> {one.dest}: {one.status}, {one.updated}"
        if one.open:
            found.append(fail(name, at, "a migration of it is under way", said, f"wait for it; else {recover}"))
        elif one.status == AWAITS:
            found.append(fail(name, at, "a migration of it waits for its confirm or revert", said, recover))
        elif waits(at.books, one):
            title = "it was evacuated, and its old host has not come back"
            found.append(fail(name, at, title, said, recover))
        elif one.status == BROKEN and one.dest is not None and at.releases.high >= FIRST_LEAKING:
            leak = _leak(at, one)
            if leak is not False:
                title = "a failed migration of it holds a card" if leak else "a failed migration of it may hold a card"
                fix = recover if leak or one.cold else f"--nova-db shows whether it does; {recover}"
                found.append(fail(name, at, title, f"{said}; {_rows(at)}", fix))
    return tuple(found) or (
        good(name, at, "no migration of it holds anything", f"{len(at.books.migrations_of(at.server.id))} read"),
    )


def database(at: Situation) -> Finding:
    """The database that was named for this move shows its rows: half way nobody could ask it what is free."""
    name = "move-database"
    blind = next((one for one in at.books.unseen if one.view == "database" and one.asked), None)
    if blind is not None:
        return fail(name, at, "the database that was named does not show its rows", blind.why, "put --nova-db right")
    if at.books.rows is None:
        return good(name, at, "no database was named: Nova's word alone counts")
    return good(name, at, "the database shows its rows", _rows(at))


def _leak(at: Situation, broken: Migration) -> bool | None:
    """Say whether it holds cards that are not its own, by the rows; else, where it holds none, by its history.

    `instance recover` goes by the same history (recover/holds.py): what it calls healthy is not refused here.
    """
    rows = at.books.rows_of(at.server.id)
    if rows is None:
        return False if at.keepers is not None and broken.cold and broken.id not in at.keepers else None
    mine = [one for one in rows if not one.network]
    return any(one.host != at.server.host for one in mine) or len(mine) > at.server.cards


def _rows(at: Situation) -> str:
    rows = at.books.rows_of(at.server.id)
    if rows is None:
        return "which cards it holds, only --nova-db shows"
    return f"rows {', '.join(f'{one.host}/{one.address}' for one in rows) or 'none'}"


def numa(at: Situation) -> Finding:
    """How its cards lie to its NUMA nodes is the destination's to say."""
    specs = at.server.specs
    said = ", ".join(
        f"{key}={specs[key]}"
        for key in sorted(specs)
        if key.startswith(("hw:numa", "hw:cpu_p", "hw:pci_numa", "hw:mem_page"))
    )
    if not said:
        return good("move-numa", at, "its flavor asks for no NUMA placement")
    title = "its flavor asks for NUMA placement or pinned CPUs: whether these are free is seen when it is tried"
    return skip("move-numa", at, title, said)
