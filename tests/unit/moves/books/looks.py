"""A HostLook on the simulated cloud's hosts."""

from __future__ import annotations

from gpuctl.errors import OperatorError
from gpuctl.moves.books.host_link import read_view


class SimLook:
    """What the host's half would show of the simulator's hosts."""

    def __init__(self, cloud, *, dead=()):
        self.cloud = cloud
        self.dead = set(dead)
        self.looked = []

    def look(self, host):
        self.looked.append(host)
        there = self.cloud.hosts[host]
        if host in self.dead or not there.up:
            raise OperatorError(f"{host}: no route to host")
        return read_view(host, self.document(there))

    def document(self, there):
        domains = [
            {
                "uuid": uuid,
                "name": one.name,
                "state": "running" if one.running else "shut off",
                "persistent": True,
                "hostdevs": list(one.hostdevs),
            }
            for uuid, one in there.domains.items()
        ]
        folders = [
            {
                "name": name,
                "uuid": name.removesuffix("_resize"),
                "kind": "resize" if name.endswith("_resize") else "instance",
            }
            for name in sorted(there.folders)
        ]
        vfio = [{"address": card.address, "driver": "vfio-pci"} for card in there.cards]
        return {
            "schema": "gpuctl.host.instances/1", "host": there.name, "filesystem": {"type": "ext4", "shared": False},
            "domains": domains, "domains_source": "libvirt", "folders": folders, "vfio": vfio,
        }  # fmt: skip

    def leftovers(self, host, request):
        raise AssertionError("nobody asked for that")
