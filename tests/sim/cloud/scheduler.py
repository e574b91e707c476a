"""Where a server may go: computes that are up, enabled, have the room, and break no group's policy."""

from __future__ import annotations

from tests.sim.cloud.books import aliases, base, pick
from tests.sim.cloud.records import Card, Host, Server, no_valid_host
from tests.sim.cloud.world import World


def fits(world: World, server: Server, host: Host) -> bool:
    """The host is up, enabled and has everything but perhaps the cards."""
    if not host.schedulable or (server.pinned_zone and host.zone != server.pinned_zone):
        return False
    for provider, amounts in base(world, server, host).items():
        if any(world.placement.room(provider, kind) < amount for kind, amount in amounts.items()):
            return False
    return all(_policy(world, server, host, world.groups[one]) for one in server.groups)


def select(
    world: World, server: Server, *, target: str | None = None, exclude: str | None = None, zone: str | None = None
) -> tuple[Host, list[Card]]:
    """The host, and the cards that Placement's candidate names (which the claim may not take, see `double`).

    Raises:
        Failed: NoValidHost.
    """
    wanted = aliases(server)
    last = world.tracking and world.random.random() < world.double
    found: list[tuple[Host, list[Card]]] = []
    for host in world.hosts.values():
        if host.name == exclude or (target and host.name != target) or (zone and host.zone != zone):
            continue
        cards = pick(world, host, wanted, last=last) if fits(world, server, host) else None
        if cards is not None:
            found.append((host, cards))
    if not found:
        raise no_valid_host()
    return max(found, key=lambda one: (world.placement.room(one[0].uuid, "MEMORY_MB"), -one[0].id))


def _policy(world: World, server: Server, host: Host, group: dict[str, object]) -> bool:
    members = [world.servers[str(one)] for one in group["members"] if one != server.id]  # type: ignore[attr-defined]
    there = [one for one in members if one.host == host.name and not one.deleted]
    if group["policy"] == "anti-affinity":
        return not there
    others = [one for one in members if one.host and not one.deleted]
    return bool(there) or not others if group["policy"] == "affinity" else True
