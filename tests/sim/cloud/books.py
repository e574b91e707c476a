"""Nova's accounts: claims on cards, what a server takes of a host, and the periodic audit."""

from __future__ import annotations

from tests.sim.cloud.placement import Amounts
from tests.sim.cloud.records import Card, Failed, Host, Server
from tests.sim.cloud.world import OVER, USER, World


def aliases(server: Server) -> list[str]:
    """The aliases that the server's flavor asks for, one a card. `name:0` asks for none."""
    found: list[str] = []
    for part in server.flavor.get("extra_specs", {}).get("pci_passthrough:alias", "").split(","):
        name, _, count = part.strip().partition(":")
        found += [name] * int(count or 0) if name else []
    return found


def fresh_requests(world: World, server: Server) -> list[tuple[str | None, str]]:
    """What a claim asks for; since 26 every request of a flavor has an id of its own."""
    return [(world.uuid() if world.release >= 26 else None, alias) for alias in aliases(server)]


def base(world: World, server: Server, host: Host) -> dict[str, Amounts]:
    """What the server takes of a compute besides its cards."""
    flavor = server.flavor
    disk = flavor["ephemeral"] + (0 if server.volume_backed else flavor["disk"])
    amounts = {"VCPU": flavor["vcpus"], "MEMORY_MB": flavor["ram"], "DISK_GB": disk}
    return {host.uuid: {kind: amount for kind, amount in amounts.items() if amount}}


def of_cards(world: World, host: Host, cards: list[Card]) -> dict[str, Amounts]:
    """What Placement holds for these cards: nothing where it does not track them."""
    found: dict[str, Amounts] = {}
    for card in cards if world.tracking else ():
        held = found.setdefault(world.provider_of(host, card), {card.kind.resource: 0})
        held[card.kind.resource] += 1
    return found


def hold(world: World, server: Server, host: Host, cards: list[Card]) -> None:
    """Placement gives the server its share of the host, and these cards."""
    world.placement.hold(
        server.id, {**base(world, server, host), **of_cards(world, host, cards)}, project=server.project, user=USER
    )


def pick(world: World, host: Host, wanted: list[str], *, last: bool = False, real: bool = True) -> list[Card] | None:
    """The cards that would serve; None if they do not suffice.

    Args:
        world: the cloud.
        host: whose cards.
        wanted: aliases, one a card.
        last: take the last ones that are free, as Placement's first candidate often is another than the first pool.
        real: look at Placement too, where it tracks cards (the scheduler); otherwise at the rows alone (the claim).
    """
    found: list[Card] = []
    for alias in wanted:
        kind = world.classes.get(alias)
        free = [
            card
            for card in host.cards
            if card.kind is kind
            and card.status == "available"
            and card not in found
            and not (
                real and world.tracking and world.placement.room(world.provider_of(host, card), card.kind.resource) < 1
            )
        ]
        if not free:
            return None
        found.append(free[-1 if last else 0])
    return found


def claim(
    world: World, host: Host, server: Server, requests: list[tuple[str | None, str]], cards: list[Card] | None = None
) -> list[Card]:
    """The host's books give the server cards: those named, else the first that are free.

    Raises:
        Failed: there are not enough.
    """
    found = pick(world, host, [alias for _, alias in requests], real=False) if cards is None else cards
    if found is None or any(card.status != "available" for card in found):
        raise Failed(
            "nova.exception.ComputeResourcesUnavailable", "Insufficient compute resources: Claim pci failed.", nova=True
        )
    for card, (request, _) in zip(found, requests):
        card.take(server.id, request)
    return found


def release(host: Host, server: Server) -> None:
    """The host's books give the server no card any more."""
    for card in host.of(server.id):
        card.free()


def audit(world: World, host: Host) -> None:
    """One round of a compute's periodic tasks: rows of servers that are not here, and have no migration here, are free.

    PciDevTracker.clean_usage; that `error` migrations count since 22 is what leaks (nova.md 4.5).
    """
    _give_up_on_deleted(world, host)
    over = OVER | ({"error"} if world.release <= 21 else set())
    here = {one.id for one in world.servers.values() if one.host == host.name and not one.deleted}
    open_ = {one.server for one in world.migrations if host.name in {one.source, one.dest} and one.status not in over}
    for card in host.cards:
        if card.instance_uuid is not None and card.instance_uuid not in here | open_:
            card.free()
    gone = {one.id for one in world.servers.values() if (one.vm_state, one.task_state) == ("shelved_offloaded", None)}
    host.tracked = here - gone  # vm_states.allow_resource_removal
    if world.resize_confirm_window:
        _confirm_old_ones(world, host)


def _give_up_on_deleted(world: World, host: Host) -> None:
    """Migrations of deleted servers are `failed` (_cleanup_incomplete_migrations)."""
    for migration in world.migrations:
        if (
            migration.status == "error"
            and host.name in {migration.source, migration.dest}
            and world.servers[migration.server].deleted
        ):
            world.note(migration, "failed")
    for migration in world.migrations:  # and those that stayed `finished` no longer count: their server is gone
        if migration.status == "finished" and world.servers[migration.server].deleted:
            for card in host.of(migration.server):
                card.free()


def _confirm_old_ones(world: World, host: Host) -> None:
    """_poll_unconfirmed_resizes."""
    from tests.sim.cloud.flows.cold import begin_confirm

    for migration in world.migrations:
        age = world.clock.now - (migration.finished or world.clock.now)
        if (
            migration.status != "finished"
            or migration.dest != host.name
            or age < world.resize_confirm_window * world.pace
        ):
            continue
        server = world.servers[migration.server]
        if (server.vm_state, server.task_state) == ("resized", None):
            begin_confirm(world, server, migration, f"req-{world.uuid()}", automatic=True)
        elif server.task_state is None:
            world.note(migration, "error")  # "In states active/None, not RESIZED/None"
