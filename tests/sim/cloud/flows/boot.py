"""A server is made."""

from __future__ import annotations

from tests.sim.cloud import books
from tests.sim.cloud.records import Action, Failed, Host, Server
from tests.sim.cloud.scheduler import select
from tests.sim.cloud.world import USER, Flow, World


def begin_create(world: World, server: Server, target: str | None, zone: str | None, request: str) -> None:
    """The API took it."""
    world.spawn(_create(world, server, target, zone, world.begin(server, "create", request)))


def _create(world: World, server: Server, target: str | None, zone: str | None, action: Action) -> Flow:
    world.touch(server, task_state="scheduling")
    yield None, "conductor"
    try:
        host, cards = select(world, server, target=target, zone=zone)
    except Failed as error:
        world.end(action, world.event(action, "conductor_schedule_and_build_instances"), error)
        world.fault(server, error)
        return
    books.hold(world, server, host, cards)
    world.touch(server, task_state="spawning", host=host.name)
    event = world.event(action, "compute__do_build_and_run_instance", host)
    server.requests = books.fresh_requests(world, server)
    books.claim(world, host, server, server.requests, cards)
    host.tracked.add(server.id)
    yield host, "spawn"
    place(world, server, host)
    world.end(action, event)


def place(world: World, server: Server, host: Host, *, running: bool = True) -> None:
    """The server is on the host, with the cards that its rows say. Raises Failed."""
    world.define(host, server, tuple(card.address for card in host.of(server.id)), start=running, fault="spawn")
    host.folders.add(server.id)
    state = ("active", 1) if running else ("stopped", 4)
    world.touch(
        server,
        host=host.name,
        zone=host.zone,
        vm_state=state[0],
        power_state=state[1],
        task_state=None,
        launched=world.clock.now,
    )


def put(world: World, server: Server, host: Host, *, running: bool = True) -> None:
    """The server has been on the host for long: no time passes, nothing is asked."""
    cards = books.pick(world, host, books.aliases(server))
    if cards is None:
        raise ValueError(f"{host.name} has no cards for {books.aliases(server)}")
    books.hold(world, server, host, cards)
    server.requests = books.fresh_requests(world, server)
    books.claim(world, host, server, server.requests, cards)
    host.tracked.add(server.id)
    place(world, server, host, running=running)


def new(world: World, name: str, flavor: dict[str, object], project: str, **more: object) -> Server:
    """A server's record."""
    now = world.clock.now
    world._numbers += 1
    made = Server(world.uuid(), world._numbers, name, dict(flavor), now, now, project)
    for key, value in more.items():
        setattr(made, key, value)
    for group in made.groups:
        world.groups[group]["members"].append(made.id)
    world.servers[made.id] = made
    return made


__all__ = ["USER", "begin_create", "new", "place", "put"]
