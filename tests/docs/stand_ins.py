"""Simulated machines, racks and looks that stand in the world for what the pages are about."""

from __future__ import annotations

from pathlib import Path

from gpuctl.moves.books.host_link import read_view
from tests.sim import SimHost
from tests.sim.cloud import MovesSim
from tests.unit.leftovers import kit
from tests.unit.moves.books.looks import SimLook
from tests.unit.up.rig import Rack, event, request


class Server(SimHost):
    """A simulated host with processors and memory, which tests/sim's leave out and flavors are made of: two sockets, 8 threads and 64 GiB for each card."""

    def _boot(self) -> None:
        super()._boot()
        cards = sum(one.vendor == "10de" and one.cls[:4] in {"0300", "0302"} for one in self.machine.functions)
        for node in range(2):
            below, threads = f"/sys/devices/system/node/node{node}", 4 * cards
            self.tree.write(f"{below}/cpulist", f"{node * threads}-{(node + 1) * threads - 1}\n")
            self.tree.write(f"{below}/meminfo", f"Node {node} MemTotal: {32 * cards << 20} kB\n")


class FleetRack(Rack):
    """The rack of tests/unit/up, which can be restored as well; it stands where `gpuctl fleet` has Ansible."""

    def hosts_meant(self, limit: str) -> tuple[str, ...]:
        return tuple(name for name in self.hosts if not limit or name.startswith(limit.replace("rack", "gpu0")))

    def _restore(self, host, check):
        sim = self.hosts[host]
        done, _ = request(sim, command="restore", phase="plan")
        if not check:
            done, _ = request(sim, command="restore", phase="apply", fingerprint=done["fingerprint"])
        changes = [{"state": "planned", **one} for one in done["changes"]]
        result = {"changes": changes, "fingerprint": done.get("fingerprint"), "reboot_reasons": done["reboot"], "reboot_required": bool(done["reboot"])}  # fmt: skip
        yield event("runner_on_ok", host, "gpuctl.host.restore", result)


class Look(SimLook):
    """The compute hosts: guests as the cloud has them; leftovers by the host's half itself, on a tree of its own."""

    def __init__(self, cloud: MovesSim, folder: Path) -> None:
        super().__init__(cloud)
        self._folder = folder
        self.machines: dict[str, kit.ComputeHost] = {}

    def machine(self, name: str) -> kit.ComputeHost:
        if name not in self.machines:
            root = kit.make_root(self._folder / name)
            kit.write(root, "/proc/sys/kernel/hostname", f"{name}\n")
            for folder in self.cloud.hosts[name].folders:
                kit.instance(root, folder)
            self.machines[name] = kit.ComputeHost(root)
        return self.machines[name]

    def look(self, host):
        there = self.cloud.hosts[host]
        ids = {"gpus": [{"address": card.address, "vendor_id": card.kind.vendor_id, "device_id": card.kind.product_id} for card in there.cards]}  # fmt: skip
        return read_view(host, self.document(there), ids)

    def leftovers(self, host, request):
        document, code = kit.ask(self.machine(host), **request)
        assert "leftovers" in document or "results" in document, (document, code)
        return document
