"""Live migration: refused for cards of an alias, unless every one of them is live-migratable (31)."""

from __future__ import annotations

from tests.sim.cloud import books
from tests.sim.cloud.records import Action, Failed, Server, no_valid_host
from tests.sim.cloud.scheduler import select
from tests.sim.cloud.world import Flow, World


def begin_live(world: World, server: Server, target: str | None, request: str) -> None:
    """The API took it."""
    world.touch(server, task_state="migrating", old_state=server.vm_state)
    world.spawn(_live(world, server, target, world.begin(server, "live-migration", request)))


def _live(world: World, server: Server, target: str | None, action: Action) -> Flow:
    source = world.on(server)
    migration = world.new_migration(server, "live-migration", "accepted", source.name, target)
    event = world.event(action, "conductor_live_migrate_instance")
    yield None, "conductor"
    kinds = [world.classes[alias] for alias in books.aliases(server)]
    try:
        if kinds and (world.release < 31 or not all(kind.live_migratable for kind in kinds)):
            raise no_valid_host()
        dest, cards = select(world, server, target=target, exclude=source.name)
    except Failed as error:
        migration.dest = None
        world.note(migration, "error")
        world.end(action, event, error)
        world.touch(server, task_state=None)
        return
    migration.dest = dest.name
    world.placement.move(server.id, migration.uuid)
    books.hold(world, server, dest, cards)
    requests = books.fresh_requests(world, server)
    books.claim(world, dest, server, requests, cards)
    world.end(action, event)
    world.note(migration, "running")
    event = world.event(action, "compute_live_migration", source)
    yield source, "live_migration"
    try:
        world.define(dest, server, tuple(card.address for card in cards), start=True)
    except Failed as error:  # the guest runs on where it is
        books.release(dest, server)
        world.placement.drop(server.id)
        world.placement.move(migration.uuid, server.id)
        world.note(migration, "error")
        world.end(action, event, error)
        world.touch(server, task_state=None)
        return
    source.domains.pop(server.id, None)
    source.folders.discard(server.id)
    books.release(source, server)
    world.placement.drop(migration.uuid)
    dest.folders.add(server.id)
    world.note(migration, "completed")
    world.end(action, event)
    world.touch(server, host=dest.name, zone=dest.zone, requests=requests, task_state=None)
