"""Hosts and servers that are there from the start, and what a test asks of the whole."""

from __future__ import annotations

from typing import Any

from tests.sim.cloud.database import Database
from tests.sim.cloud.flows import boot
from tests.sim.cloud.records import CLASSES, GpuClass, Host, Server
from tests.sim.cloud.truth import Truth
from tests.sim.cloud.views import status
from tests.sim.cloud.world import ADMIN_PROJECT, World


class Populated(Truth, Database, World):
    """Makes clouds with servers in them."""

    def boot(
        self,
        name: str,
        host: str | Host,
        alias: str = "gtx1080:1",
        *,
        vcpus: int = 4,
        ram: int = 8192,
        disk: int = 20,
        running: bool = True,
        volumes: int = 0,
        specs: dict[str, str] | None = None,
        **more: Any,
    ) -> Server:
        """A server has run on the host for long (no request, no time). With `volumes` it boots from one of them.

        Args:
            name: its name.
            host: where.
            alias: what its flavor asks for: "h100:2", "a:1,b:1", "" for no card.
            vcpus: of the flavor.
            ram: MiB.
            disk: GB.
            running: ACTIVE; otherwise SHUTOFF.
            volumes: how many are attached.
            specs: more extra specs.
            more: other fields of records.Server.
        """
        with self.lock:
            extra = {**({"pci_passthrough:alias": alias} if alias else {}), **(specs or {})}
            flavor = {"id": f"f-{alias or 'plain'}", "name": f"gpu.{alias or 'plain'}", "vcpus": vcpus, "ram": ram, "disk": disk, "ephemeral": 0, "swap": 0, "extra_specs": extra}  # fmt: skip
            if volumes:
                more = {"image": None, "volumes": [self.uuid() for _ in range(volumes)], **more}
            made = boot.new(self, name, flavor, ADMIN_PROJECT, **more)
            boot.put(self, made, host if isinstance(host, Host) else self.hosts[host], running=running)
            return made

    def group(self, name: str, policy: str, servers: list[Server]) -> str:
        """A server group with these members."""
        made = self.uuid()
        self.groups[made] = {"name": name, "policy": policy, "rules": {}, "members": [one.id for one in servers]}
        for one in servers:
            one.groups.append(made)
        return made

    def populate(
        self,
        hosts: int = 4,
        servers: int = 8,
        *,
        classes: list[str | GpuClass] | None = None,
        per_host: int = 8,
        empty: int = 0,
        stopped: float = 0.0,
        volumes: float = 0.0,
        plain: int = 0,
    ) -> list[Server]:
        """Hosts gpu-001, gpu-002, ... with `per_host` cards each, and servers vm-0001, ... spread over them, one card each.

        Args:
            hosts: how many.
            servers: how many with a card.
            classes: kinds of cards, in turn within each host.
            per_host: cards in each.
            empty: this many of the hosts, the last ones, get no server.
            stopped: the share of servers that are SHUTOFF.
            volumes: the share of servers that boot from a volume.
            plain: so many more servers, without a card.
        """
        kinds = [CLASSES[one] if isinstance(one, str) else one for one in classes or ["h100"]]
        with self.lock:
            made = [
                self.add_host(f"gpu-{n + 1:03d}", [kinds[place % len(kinds)] for place in range(per_host)])
                for n in range(hosts)
            ]
            used = made[: hosts - empty] if empty else made
            found = []
            for n in range(servers):
                host = used[n % len(used)]
                free = [card.kind.alias for card in host.cards if card.status == "available"]
                if not free:
                    raise ValueError(f"{host.name} has no card left: {servers} servers are too many")
                found.append(self.boot(f"vm-{n + 1:04d}", host, f"{free[0]}:1", running=self.random.random() >= stopped, volumes=int(self.random.random() < volumes)))  # fmt: skip
            for n in range(plain):
                found.append(self.boot(f"plain-{n + 1:04d}", made[n % len(made)], ""))
            return found

    # ------------------------------------------------------------ small handles

    def occupy(self, host: str, address: str, domain: str = "instance-00000bad") -> None:
        """libvirt answers that a foreign guest has the device, until `vacate`."""
        self.hosts[host].held[address] = domain

    def vacate(self, host: str, address: str) -> None:
        """The device is free again as far as `occupy` took it."""
        self.hosts[host].held.pop(address, None)

    def rows(self, server: str) -> list[tuple[str, str]]:
        """(host, address) of the cards that Nova's books give to the server."""
        found = self.server(server) if server in self.servers or not _is_uuid(server) else None
        return [
            (host.name, card.address) for host in self.hosts.values() for card in host.of(found.id if found else server)
        ]

    def allocations_of(self, consumer: str) -> list[str]:
        """The names of the providers that a server or a migration holds something of."""
        return self.placement.providers_of(consumer)

    def server_state(self, name: str) -> dict[str, Any]:
        """A server in short."""
        one = self.server(name)
        host = self.hosts.get(one.host or "")
        domain = host.domains.get(one.id) if host else None
        return {"id": one.id, "status": status(one), "task_state": one.task_state, "host": one.host, "fault": one.fault and one.fault["message"],
                "rows": self.rows(one.id), "allocations": self.allocations_of(one.id), "domain": domain and vars(domain),
                "migrations": [(each.id, each.type, each.status, each.source, each.dest) for each in self.migrations_of(one.id)]}  # fmt: skip

    def set_server(self, name: str, **fields: Any) -> None:
        """A server's record has these fields: locked, task_state, pinned_zone, trusted_certificates, ..."""
        self.touch(self.server(name), **fields)

    def state(self) -> dict[str, Any]:
        """Everything in short."""
        return {
            "hosts": {one.name: {"state": one.state, "disabled": one.disabled, "folders": one.folders, "domains": one.domains, "cards": [vars(card) for card in one.cards]}
                      for one in self.hosts.values()},
            "servers": {one.name: self.server_state(one.id) for one in self.servers.values() if not one.deleted},
            "now": self.clock.now,
        }  # fmt: skip

    def happened_now(self) -> dict[str, Any]:
        """What only a test can know: confirmed_unproven, overlaps, leaky, destroyed, faults, bugs."""
        return vars(self.happened)


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4
