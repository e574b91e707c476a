"""Evacuation: nova.md 4.7, openstack-lab.md 6 and 9."""

from __future__ import annotations

from tests.sim.cloud import books
from tests.sim.cloud.records import Action, Failed, Server
from tests.sim.cloud.scheduler import select
from tests.sim.cloud.world import Flow, World


def begin_evacuate(world: World, server: Server, target: str | None, request: str, *, stays_stopped: bool) -> None:
    """The API took it."""
    world.touch(server, task_state="rebuilding", old_state=server.vm_state)
    world.spawn(_evacuate(world, server, target, world.begin(server, "evacuate", request), stays_stopped))


def _evacuate(world: World, server: Server, target: str | None, action: Action, stays_stopped: bool) -> Flow:
    source = world.on(server)
    migration = world.new_migration(server, "evacuation", "accepted", source.name, target)
    event = world.event(action, "rebuild_server")
    yield None, "conductor"
    try:
        dest, cards = select(world, server, target=target, exclude=source.name)
    except Failed as error:
        world.note(migration, "error")
        world.end(action, event, error)
        world.fault(server, error)
        return
    world.end(action, event)
    migration.dest = dest.name
    # Both hosts are held by the server itself until the old one is back.
    books.hold(world, server, dest, cards)
    event = world.event(action, "compute_rebuild_instance", dest)
    world.note(migration, "pre-migrating")
    yield dest, "spawn"
    try:
        for alias in books.aliases(server):
            if alias not in dest.aliases:
                raise Failed("nova.exception.PciRequestAliasNotDefined", f"PCI alias {alias} is not defined", nova=True)
        requests = books.fresh_requests(world, server)
        taken = books.claim(world, dest, server, requests)
        if world.tracking:
            books.hold(world, server, dest, taken)
        world.touch(server, host=dest.name, zone=dest.zone, requests=requests)
        running = server.old_state == "active" and not stays_stopped
        # The guest that the rebuild defines is right, and it is started once, and then stopped (2.95).
        addresses = tuple(card.address for card in taken)
        world.define(dest, server, addresses, start=server.old_state != "stopped", fault="spawn")
        dest.domains[server.id].running &= running
    except Failed as error:
        world.note(migration, "error" if server.host == dest.name else "failed")
        world.end(action, event, error)
        world.fault(server, error)
        return
    dest.folders.add(server.id)
    world.note(migration, "done")
    world.end(action, event)
    world.touch(
        server,
        vm_state="active" if running else "stopped",
        task_state=None,
        power_state=1 if running else 4,
        fault=None,
    )
