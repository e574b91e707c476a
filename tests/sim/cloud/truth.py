"""What is really so, in three views: Nova's rows, Placement, libvirt's domains; and every place where they disagree."""

from __future__ import annotations

from tests.sim.cloud import books
from tests.sim.cloud.records import Host, Server
from tests.sim.cloud.world import World


class Truth(World):
    """Looks, and changes nothing."""

    def owners(self) -> dict[str, dict[str, list[str]]]:
        """For each card ("gpu-a/0000:04:00.0") who has it in each view: {"rows": [...], "placement": [...], "domains": [...]}.

        Placement's owners may be migrations; where it does not track cards its list is empty.
        """
        found: dict[str, dict[str, list[str]]] = {}
        for host in self.hosts.values():
            for card in host.cards:
                held: list[str] = []
                if self.tracking:
                    provider = self.provider_of(host, card)
                    held = [one.uuid for one in self.placement.consumers.values() if provider in one.held]
                found[f"{host.name}/{card.address}"] = {
                    "rows": [card.instance_uuid] if card.instance_uuid else [],
                    "placement": held,
                    "domains": [one.uuid for one in host.domains.values() if card.address in one.hostdevs],
                }
        return found

    def broken(self) -> list[str]:
        """Every inconsistency, in words; empty for a cloud that is at rest and in order."""
        found: list[str] = []
        for server in self.servers.values():
            found += self._gone(server) if server.deleted else self._there(server)
        for host in self.hosts.values():
            found += self._host(host)
        migrations = {one.uuid: one for one in self.migrations}
        for consumer in self.placement.consumers.values():
            migration = migrations.get(consumer.uuid)
            if migration is not None:
                found.append(
                    f"migration {migration.id} ({migration.status}) of {migration.server} holds {', '.join(self.placement.providers_of(consumer.uuid))}"
                )
            elif consumer.uuid not in self.servers or self.servers[consumer.uuid].deleted:
                found.append(
                    f"{consumer.uuid} is no server and holds {', '.join(self.placement.providers_of(consumer.uuid))}"
                )
        return found + [f"bug of the simulator: {one}" for one in self.happened.bugs]

    def _gone(self, server: Server) -> list[str]:
        return [
            f"{server.name} is deleted and has the row {host.name}/{card.address}"
            for host in self.hosts.values()
            for card in host.of(server.id)
        ]

    def _there(self, server: Server) -> list[str]:
        found: list[str] = []
        if server.task_state is not None:
            found.append(f"{server.name} is in {server.task_state}")
        if server.vm_state in {"error", "resized"}:
            found.append(f"{server.name} is {server.vm_state}")
        wanted = len(books.aliases(server)) if server.host else 0
        rows = [(host.name, card.address) for host in self.hosts.values() for card in host.of(server.id)]
        if len(rows) != wanted or any(name != server.host for name, _ in rows):
            found.append(f"{server.name} on {server.host} asks for {wanted} cards and has the rows {rows}")
        roots = (
            {self.placement.root(name) for name in self.placement.consumers[server.id].held}
            if server.id in self.placement.consumers
            else set()
        )
        if roots != ({self.on(server).uuid} if server.host else set()):
            found.append(f"{server.name} on {server.host} holds of {self.placement.providers_of(server.id)}")
        if self.tracking:
            held = self.placement.providers_of(server.id, "CUSTOM_PCI_")
            cards = [(host, card) for host in self.hosts.values() for card in host.of(server.id)]
            if held != sorted({f"{host.name}_{card.provided_by.upper()}" for host, card in cards}):
                found.append(f"{server.name} has the rows {rows} and in Placement {held}")
        if (
            any(one.status in {"finished", "confirming", "reverting"} for one in self.migrations_of(server.id))
            and server.vm_state != "resized"
        ):
            found.append(f"{server.name} is {server.vm_state} with an open migration")
        return found + self._guest(server)

    def _guest(self, server: Server) -> list[str]:
        found: list[str] = []
        for host in self.hosts.values():
            domain = host.domains.get(server.id)
            here = host.name == server.host
            if domain is not None and not here:
                found.append(f"{server.name} on {server.host} has a domain on {host.name}")
            if f"{server.id}_resize" in host.folders:
                found.append(f"{server.name} has {server.id}_resize on {host.name}")
            if server.id in host.folders and not here:
                found.append(f"{server.name} on {server.host} has a folder on {host.name}")
            if not here:
                continue
            if server.vm_state == "active" and (domain is None or not domain.running):
                found.append(f"{server.name} is active and its guest does not run")
            if server.vm_state == "stopped" and domain is not None and domain.running:
                found.append(f"{server.name} is stopped and its guest runs")
            if domain is not None and sorted(domain.hostdevs) != sorted(card.address for card in host.of(server.id)):
                found.append(f"{server.name} has the host devices {domain.hostdevs} and other rows")
        return found

    def _host(self, host: Host) -> list[str]:
        found: list[str] = []
        for name, domain in host.domains.items():
            if name not in self.servers or self.servers[name].deleted:
                found.append(f"{host.name} has the domain {domain.name} of no server")
        known = {one.id for one in self.servers.values() if not one.deleted}
        found += [
            f"{host.name} has the folder {name} of no server"
            for name in sorted(host.folders)
            if name.removesuffix("_resize") not in known
        ]
        running: dict[str, list[str]] = {}
        for domain in host.domains.values():
            for address in domain.hostdevs if domain.running else ():
                running.setdefault(address, []).append(domain.name)
        found += [
            f"{host.name}/{address} is in {len(names)} running guests"
            for address, names in running.items()
            if len(names) > 1
        ]
        return found
