"""Two simulated hosts and a guest, and the states that many of the tests begin with."""

from __future__ import annotations

import pytest

from tests.sim.cloud import Client, MovesSim
from tests.sim.cloud.client import Refused

BUSY = "is in use by driver QEMU"
UPDATE = "UPDATE migrations SET status='failed' WHERE id={} AND status='error'"


class Bench:
    """Two hosts, one guest on gpu-a, and an admin."""

    def __init__(self, cloud: MovesSim) -> None:
        self.cloud = cloud
        self.client = Client(cloud.url, "2.96" if cloud.release >= 29 else cloud.newest)
        cloud.add_host("gpu-a")
        cloud.add_host("gpu-b")
        self.one = cloud.boot("guest", "gpu-a")
        self.id = self.one.id

    def act(self, name, said=None, **more):
        """An action, and everything that came of it."""
        answer = self.client.act(self.id, name, said, **more)
        self.cloud.settle()
        return answer

    def migrate(self, host="gpu-b"):
        self.act("migrate", {"host": host})

    def status(self):
        return self.client.server(self.id)["status"]

    def fault(self):
        return self.client.server(self.id).get("fault", {})

    def hosts_of_rows(self):
        return [host for host, _ in self.cloud.rows(self.id)]

    def records(self):
        found = self.client.get(f"/os-migrations?instance_uuid={self.id}")["migrations"]
        return [(m["status"], m["source_compute"], m["dest_compute"]) for m in reversed(found)]

    def domain(self, host):
        """None, or whether it runs."""
        found = self.cloud.hosts[host].domains.get(self.id)
        return found and found.running

    def folders(self, host):
        return sorted(name.replace(self.id, "X") for name in self.cloud.hosts[host].folders)

    def cards_in_placement(self, consumer=""):
        return self.cloud.placement.providers_of(consumer or self.id, "CUSTOM_PCI")

    def roots(self, consumer=""):
        return [name for name in self.cloud.allocations_of(consumer or self.id) if "_" not in name]

    def update(self, record=1):
        """What the operator's database administrator does, and the next audit."""
        assert self.cloud.execute(UPDATE.format(record)) == 1
        self.cloud.audit()

    def refusal(self, name, said=None, **more):
        with pytest.raises(Refused) as refused:
            self.client.act(self.id, name, said, **more)
        return str(refused.value)


def of_release(release, **more):
    return MovesSim(release=release, **more)


def failed_finish(bench):
    bench.cloud.inject("gpu-b", "finish_migration")
    bench.migrate()


def fill(bench, host="gpu-b"):
    for n in range(3):
        bench.cloud.boot(f"other-{n}", host)


def force_down(bench, down, host="gpu-a"):
    service = bench.cloud.hosts[host].service
    return bench.client.call("compute", "PUT", f"/os-services/{service}", {"forced_down": down})[1]["service"]
