"""Shelve, offload, unshelve: openstack-lab.md 9."""

from __future__ import annotations

from tests.sim.cloud import books
from tests.sim.cloud.records import Action, Event, Failed, Host, Server
from tests.sim.cloud.scheduler import select
from tests.sim.cloud.world import Flow, World


def begin_shelve(world: World, server: Server, request: str) -> None:
    """The API took it."""
    world.touch(server, task_state="shelving")
    world.spawn(_shelve(world, server, world.begin(server, "shelve", request)))


def _shelve(world: World, server: Server, action: Action) -> Flow:
    host = world.on(server)
    if server.volume_backed:
        yield from _offload(world, server, host, action)
        return
    event = world.event(action, "compute_shelve_instance", host)
    yield host, "power_off"
    domain = host.domains.get(server.id)
    try:
        if domain is None:
            raise Failed("nova.exception.InstanceNotFound", f"Instance {server.id} could not be found.", nova=True)
        domain.running = False
        world.touch(server, task_state="shelving_image_uploading")
        yield host, "snapshot"
        world.strike("snapshot", host, server)
    except Failed as error:
        # The guest is off and stays off; Nova still says ACTIVE (until _sync_power_states looks).
        world.end(action, event, error)
        world.touch(server, task_state=None)
        return
    server.snapshot = world.uuid()
    world.images[server.snapshot] = {
        "id": server.snapshot,
        "name": f"{server.name}-shelved",
        "status": "active",
        "disk_format": "qcow2",
    }
    world.touch(server, vm_state="shelved", power_state=4, task_state=None)
    world.end(action, event)
    if world.shelved_offload_time == 0:
        yield from _offload(world, server, host, action)


def begin_offload(world: World, server: Server, request: str) -> None:
    """The API took it."""
    world.touch(server, task_state="shelving_offloading")
    world.spawn(_offload(world, server, world.on(server), world.begin(server, "shelveOffload", request)))


def _offload(world: World, server: Server, host: Host, action: Action) -> Flow:
    world.touch(server, task_state="shelving_offloading")
    event = world.event(action, "compute_shelve_offload_instance", host)
    yield host, "power_off"
    host.domains.pop(server.id, None)
    host.folders -= {server.id, f"{server.id}_resize"}
    world.placement.drop(server.id)
    world.touch(server, vm_state="shelved_offloaded", task_state=None, power_state=4)
    yield host, "update_usage"  # as long as something else, an audit say, has the resource tracker's lock
    if server.id in host.tracked:  # else the rows stay until the audit: ResourceTracker.update_usage passes over it
        books.release(host, server)
    host.tracked.discard(server.id)
    world.touch(server, host=None, zone="")  # whatever became of it meanwhile: the save expects no task state
    world.end(action, event)


def begin_unshelve(world: World, server: Server, request: str, *, target: str | None, zone: str | None) -> None:
    """The API took it."""
    world.touch(server, task_state="unshelving")
    flow = _unshelve(world, server, world.begin(server, "unshelve", request), target, zone)
    world.spawn(flow)


def _unshelve(world: World, server: Server, action: Action, target: str | None, zone: str | None) -> Flow:
    if server.vm_state == "shelved":  # never offloaded: it starts where it is
        host = world.on(server)
        event = world.event(action, "compute_start_instance", host)
        yield host, "power_on"
        try:
            world.define(host, server, world.guest_devices(server), start=True, fault="spawn")
        except Failed as error:
            world.end(action, event, error)
            world.touch(server, task_state=None)
            return
        world.end(action, event)
        _forget(world, server)
        world.touch(server, vm_state="active", task_state=None, power_state=1)
        return
    event = world.event(action, "schedule_instances")
    yield None, "conductor"
    try:
        host, cards = select(world, server, target=target, zone=zone)
    except Failed as error:
        world.end(action, event, error)
        world.touch(server, task_state=None)
        return
    world.end(action, event)
    books.hold(world, server, host, cards)
    world.touch(server, task_state="spawning")
    event = world.event(action, "compute_unshelve_instance", host)
    try:
        world.strike("prep_block_device", host, server)
    except Failed as error:  # outside of what cleans up: what the scheduler claimed stays, and the next claim is added
        world.end(action, event, error)
        world.touch(server, task_state=None)
        return
    yield from _spawn(world, server, host, action, event, cards)


def _spawn(world: World, server: Server, host: Host, action: Action, event: Event, cards: list[object]) -> Flow:
    # The requests are those that the server has (no alias is looked up), and with tracking they name the scheduler's card.
    books.claim(world, host, server, server.requests, cards)  # type: ignore[arg-type]
    host.tracked.add(server.id)
    world.touch(server, host=host.name)
    yield host, "spawn"
    try:
        world.define(host, server, world.guest_devices(server), start=True, fault="spawn")
    except Failed as error:
        books.release(host, server)
        host.tracked.discard(server.id)
        world.placement.drop(server.id)
        world.end(action, event, error)
        world.touch(server, task_state=None, host=None, zone="")
        return
    host.folders.add(server.id)
    world.end(action, event)
    _forget(world, server)
    # Whatever it was before it was shelved, it runs now.
    world.touch(server, zone=host.zone, vm_state="active", task_state=None, power_state=1, launched=world.clock.now)


def _forget(world: World, server: Server) -> None:
    if server.snapshot:
        world.images.pop(server.snapshot, None)
        server.snapshot = None
