"""Cold migration: nova.md 4.1 and 4.5, openstack-lab.md 4, 5 and 9."""

from __future__ import annotations

from tests.sim.cloud import books
from tests.sim.cloud.records import Action, Event, Failed, Host, Migration, Server, no_valid_host
from tests.sim.cloud.scheduler import select
from tests.sim.cloud.world import Flow, World


def begin_migrate(world: World, server: Server, target: str | None, request: str) -> None:
    """The API took it."""
    world.touch(server, task_state="resize_prep", old_state=server.vm_state)
    world.spawn(_migrate(world, server, target, world.begin(server, "migrate", request)))


def _migrate(world: World, server: Server, target: str | None, action: Action) -> Flow:
    source = world.on(server)
    outer = world.event(action, "cold_migrate")
    inner = world.event(action, "conductor_migrate_server")
    migration = world.new_migration(server, "migration", "pre-migrating", source.name, None)
    yield None, "conductor"
    # The server's share of the source is the migration's from here on (Queens, migration-allocations).
    world.placement.move(server.id, migration.uuid)
    try:
        dest, cards = select(world, server, target=target, exclude=source.name)
    except Failed:
        failed = no_valid_host("No valid host found for cold migrate")
        _back(world, server, migration)
        world.end(action, inner, failed)
        world.end(action, outer, failed)
        world.touch(server, task_state=None)
        return
    books.hold(world, server, dest, cards)
    world.end(action, inner)
    world.end(action, outer)
    event = world.event(action, "compute_prep_resize", dest)
    yield dest, "prep_resize"
    try:
        _claim(world, server, dest, migration)
    except Failed as error:
        # The only host was tried: the reschedule finds none, and the guest runs on where it is.
        world.end(action, event, error)
        _back(world, server, migration)
        failed = no_valid_host()
        world.end(action, world.event(action, "conductor_migrate_server"), failed)
        world.fault(server, failed)
        return
    world.end(action, event)
    yield from _from_the_source(world, server, migration, action, source, dest)


def _claim(world: World, server: Server, dest: Host, migration: Migration) -> None:
    """The destination's books have cards for the server, and Placement has them too: the scheduler's pick and these."""
    migration.dest = dest.name
    world.strike("prep_resize", dest, server)
    for alias in books.aliases(server):
        if alias not in dest.aliases:
            raise Failed("nova.exception.PciRequestAliasNotDefined", f"PCI alias {alias} is not defined", nova=True)
    # _move_claim makes the requests anew, without the scheduler's choice: the first pool it is.
    server.wishes = books.fresh_requests(world, server)
    taken = books.claim(world, dest, server, server.wishes)
    if world.tracking:
        books.hold(world, server, dest, taken)


def _from_the_source(
    world: World, server: Server, migration: Migration, action: Action, source: Host, dest: Host
) -> Flow:
    world.touch(server, task_state="resize_migrating")
    world.note(migration, "migrating")
    event = world.event(action, "compute_resize_instance", source)
    yield source, "resize_instance"
    try:
        world.strike("ssh", source, server)
    except Failed as error:
        # InstanceFaultRollback: back to what it was, and the claim on the destination is forgotten, not undone.
        world.end(action, event, error)
        _back(world, server, migration)
        world.touch(server, task_state=None)
        return
    if server.id in source.domains:
        source.domains[server.id].running = False
    # _cleanup_failed_instance_base: an old `_resize` makes place.
    source.folders = source.folders - {server.id} | {f"{server.id}_resize"}
    yield source, "copy_disks"
    try:
        world.strike("disk_copy", source, server)
    except Failed as error:
        source.folders = source.folders - {f"{server.id}_resize"} | {server.id}
        _broken(world, server, migration, action, event, error)
        _back(world, server, migration)
        return
    world.end(action, event)
    world.touch(server, task_state="resize_migrated", host=dest.name, zone=dest.zone)
    world.note(migration, "post-migrating")
    yield dest, "handover"
    yield from _finish(world, server, migration, action, source, dest)


def _finish(world: World, server: Server, migration: Migration, action: Action, source: Host, dest: Host) -> Flow:
    world.touch(server, task_state="resize_finish")
    event = world.event(action, "compute_finish_resize", dest)
    yield dest, "finish_resize"
    server.requests, server.wishes = server.wishes, server.requests
    dest.folders.add(server.id)
    # Up to Mitaka the guest was defined with the source's address (LP 1368201, LP 1512880).
    rows = (
        source.of(server.id)
        if world.release <= 13
        else [card for card in dest.of(server.id) if card.request_id in {one for one, _ in server.requests}]
    )
    running = server.old_state == "active"
    try:
        world.define(
            dest,
            server,
            tuple(card.address for card in rows[: len(server.requests)]),
            start=running,
            fault="finish_migration",
        )
    except Failed as error:
        _broken(world, server, migration, action, event, error)
        world.placement.drop(migration.uuid)
        return
    world.end(action, event)
    world.note(migration, "finished")
    world.touch(
        server,
        vm_state="resized",
        task_state=None,
        power_state=1 if running else 4,
        seen_resized=False,
        launched=world.clock.now,
    )


def _back(world: World, server: Server, migration: Migration) -> None:
    """The migration is over; what Placement held for it is the server's again."""
    world.placement.drop(server.id)
    world.placement.move(migration.uuid, server.id)
    world.note(migration, "error")


def _broken(world: World, server: Server, migration: Migration, action: Action, event: Event, error: Failed) -> None:
    """The server is in ERROR, the migration record too, and so its rows stay on both hosts."""
    world.end(action, event, error)
    world.note(migration, "error")
    world.fault(server, error)


# ---------------------------------------------------------------- confirm


def begin_confirm(world: World, server: Server, migration: Migration, request: str, *, automatic: bool = False) -> None:
    """The API took it; the source does the rest, once its nova-compute is up."""
    _judge(world, server, migration, automatic=automatic)
    world.note(migration, "confirming")
    world.spawn(_confirm(world, server, migration, world.begin(server, "confirmResize", request)))


def _judge(world: World, server: Server, migration: Migration, *, automatic: bool) -> None:
    """Note a confirmation of what nobody can have found good."""
    dest = world.hosts[migration.dest or ""]
    domain = dest.domains.get(server.id)
    why = []
    if domain is None:
        why.append("no domain on the destination")
    elif server.old_state == "active" and not domain.running:
        why.append("the guest does not run")
    elif sorted(domain.hostdevs) != sorted(card.address for card in dest.of(server.id)):
        why.append("the guest has other cards than the books say")
    if migration is not world.migrations_of(server.id)[-1]:
        why.append("a newer migration is open")
    if not server.seen_resized and not automatic:
        why.append("nobody looked at it since it is VERIFY_RESIZE")
    if why:
        world.happened.confirmed_unproven.append({"server": server.id, "migration": migration.id, "why": why})


def _confirm(world: World, server: Server, migration: Migration, action: Action) -> Flow:
    source = world.hosts[migration.source]
    event = world.event(action, "compute_confirm_resize", source)
    yield source, "confirm"
    try:
        world.strike("confirm_migration", source, server)
    except Failed as error:
        world.placement.drop(migration.uuid)
        _broken(world, server, migration, action, event, error)
        return
    source.folders.discard(f"{server.id}_resize")
    if server.host != source.name:
        source.domains.pop(server.id, None)
        books.release(source, server)
        source.tracked.discard(server.id)
    world.note(migration, "confirmed")
    world.placement.drop(migration.uuid)
    world.end(action, event)
    state = "stopped" if server.power_state == 4 else "active"
    world.touch(server, vm_state=state, task_state=None, wishes=[])


# ---------------------------------------------------------------- revert


def begin_revert(world: World, server: Server, migration: Migration, request: str) -> None:
    """The API took it."""
    world.note(migration, "reverting")
    world.touch(server, task_state="resize_reverting")
    world.spawn(_revert(world, server, migration, world.begin(server, "revertResize", request)))


def _revert(world: World, server: Server, migration: Migration, action: Action) -> Flow:
    source, dest = world.hosts[migration.source], world.hosts[migration.dest or ""]
    event = world.event(action, "compute_revert_resize", dest)
    yield dest, "revert"
    dest.domains.pop(server.id, None)
    dest.folders.discard(server.id)
    books.release(dest, server)
    world.end(action, event)
    event = world.event(action, "compute_finish_revert_resize", source)
    yield source, "finish_revert"
    world.touch(server, host=source.name, zone=source.zone, requests=server.wishes, wishes=[])
    world.placement.drop(server.id)
    world.placement.move(migration.uuid, server.id)
    # `reverted` is written before the guest is started (nova.md 4.1).
    world.note(migration, "reverted")
    source.folders = source.folders - {f"{server.id}_resize"} | {server.id}
    running = server.old_state == "active"
    try:
        addresses = tuple(card.address for card in source.of(server.id))
        world.define(source, server, addresses, start=running, fault="finish_revert_migration")
    except Failed as error:
        _broken(world, server, migration, action, event, error)
        return
    world.end(action, event)
    world.touch(server, vm_state=server.old_state, task_state=None, power_state=1 if running else 4)
