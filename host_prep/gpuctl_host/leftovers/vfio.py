"""The cards that VFIO drivers have, who holds each, and which domain that is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.data import frozen

if TYPE_CHECKING:
    from gpuctl_host.host import Host
    from gpuctl_host.leftovers.domains import Domains

_DRIVERS, _DEVICES = "/sys/bus/pci/drivers", "/sys/bus/pci/devices"
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


@frozen
class Bound:
    """A card on a VFIO driver; ``domain`` is the uuid of the running domain that has it."""

    address: str
    driver: str
    holder_pid: int | None
    domain: str | None


def read_vfio(host: Host, domains: Domains) -> tuple[tuple[Bound, ...] | None, bool]:
    """Return the cards on VFIO drivers, and whether it is known which processes hold them; None without a sysfs."""
    if not host.is_dir(_DRIVERS):
        return None, False
    bound: dict[str, str] = {}
    for driver in host.names(_DRIVERS):
        if "vfio" in driver:
            bound.update({name: driver for name in host.names(f"{_DRIVERS}/{driver}") if _ADDRESS.fullmatch(name)})
    nodes = {address: _nodes(host, address) for address in bound}
    wanted = {node: number for of in nodes.values() for node, number in of.items()}
    opened = host.open_devices(wanted) if wanted else ([] if host.live else None)
    running = {address: domain.uuid for domain in domains.all or () if not domain.is_off for address in domain.hostdevs}
    found = []
    for address in sorted(bound):
        holder = next((pid for pid, node in opened or () if node in nodes[address]), None)
        found.append(Bound(address, bound[address], holder, running.get(address)))
    return tuple(found), opened is not None


def _nodes(host: Host, address: str) -> dict[str, int | None]:
    """The device nodes through which a process holds the card: its group's, and (iommufd) its own."""
    names = [f"/dev/vfio/devices/{name}" for name in host.names(f"{_DEVICES}/{address}/vfio-dev")]
    group = host.link_name(f"{_DEVICES}/{address}/iommu_group")
    if group:
        names.append(f"/dev/vfio/{group}")
    found: dict[str, int | None] = {}
    for name in names:
        state = host.stat(name)
        if state is not None:
            found[name] = state.st_rdev
    return found
