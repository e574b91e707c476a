"""Stop, start, reboot, delete."""

from __future__ import annotations

from tests.sim.cloud import books
from tests.sim.cloud.records import Action, Failed, Host, Server
from tests.sim.cloud.world import Flow, World


def begin_stop(world: World, server: Server, request: str) -> None:
    """The API took it."""
    world.touch(server, task_state="powering-off")
    world.spawn(_stop(world, server, world.begin(server, "stop", request)))


def _stop(world: World, server: Server, action: Action) -> Flow:
    host = world.on(server)
    event = world.event(action, "compute_stop_instance", host)
    yield host, "power_off"
    domain = host.domains.get(server.id)
    if domain is not None:
        domain.running = False
    world.end(action, event)
    world.touch(server, vm_state="stopped", task_state=None, power_state=4)


def begin_start(world: World, server: Server, request: str) -> None:
    """The API took it."""
    world.touch(server, task_state="powering-on")
    world.spawn(_start(world, server, world.begin(server, "start", request)))


def _start(world: World, server: Server, action: Action) -> Flow:
    host = world.on(server)
    event = world.event(action, "compute_start_instance", host)
    yield host, "power_on"
    try:
        _boot_again(world, server, host, "power_on")
    except Failed as error:
        # The fault is written, but the API shows faults only of servers in ERROR.
        world.end(action, event, error)
        world.touch(server, task_state=None)
        return
    world.end(action, event)
    world.touch(server, vm_state="active", task_state=None, power_state=1)


def begin_reboot(world: World, server: Server, hard: bool, request: str) -> None:
    """The API took it."""
    world.touch(server, task_state="rebooting_hard" if hard else "rebooting")
    world.spawn(_reboot(world, server, hard, world.begin(server, "reboot", request)))


def _reboot(world: World, server: Server, hard: bool, action: Action) -> Flow:
    host = world.on(server)
    event = world.event(action, "compute_reboot_instance", host)
    yield host, "power_on"
    domain = host.domains.get(server.id)
    if hard or domain is None or not domain.running:
        try:
            _boot_again(world, server, host, "reboot")
        except Failed as error:
            world.end(action, event, error)
            world.fault(server, error)
            server.power_state = 0
            return
    world.end(action, event)
    world.touch(server, vm_state="active", task_state=None, power_state=1)


def _boot_again(world: World, server: Server, host: Host, fault: str) -> None:
    """LibvirtDriver._hard_reboot: the domain is destroyed and undefined, then the XML is made, then it starts."""
    before = host.domains.pop(server.id, None)
    try:
        world.define(host, server, world.guest_devices(server), start=True, fault=fault)
    except Failed:
        if before is not None and before.running:
            world.happened.destroyed.append(server.id)
        raise
    host.folders.add(server.id)


def begin_delete(world: World, server: Server, request: str) -> None:
    """The API took it."""
    world.touch(server, task_state="deleting")
    world.spawn(_delete(world, server, world.begin(server, "delete", request)))


def _delete(world: World, server: Server, action: Action) -> Flow:
    host = world.hosts.get(server.host or "")
    event = world.event(action, "compute_terminate_instance", host)
    yield host if host is not None and host.state == "up" else None, "power_off"
    if server.vm_state == "resized":
        for migration in world.migrations_of(server.id):
            if migration.status == "finished":  # _confirm_resize_on_deleting
                source = world.hosts[migration.source]
                source.domains.pop(server.id, None)
                source.folders.discard(f"{server.id}_resize")
                books.release(source, server)
                world.placement.drop(migration.uuid)
                world.note(migration, "confirmed")
    if host is not None:
        host.domains.pop(server.id, None)
        # libvirt's delete_instance_files: also `_resize`, but only here.
        host.folders -= {server.id, f"{server.id}_resize"}
        books.release(host, server)
    world.placement.drop(server.id)
    world.end(action, event)
    world.touch(server, vm_state="deleted", task_state=None, deleted=True, terminated=world.clock.now, power_state=0)
