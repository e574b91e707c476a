"""From a path below /sys/devices to the PCI functions that carry it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.facts.pci import ADDRESS

if TYPE_CHECKING:
    from gpuctl_host.host import Host


def endpoints(path: str) -> tuple[str, ...]:
    """Return the endpoints on the way of ``path``, bridges left out.

    More than one where a controller has a PCI domain of its own behind it (Intel VMD):
    .../0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0/nvme/nvme0 needs 0000:00:0e.0 and 10000:e1:00.0.
    """
    parts = path.split("/")
    after = [*parts[1:], ""]
    return tuple(part for part, follower in zip(parts, after) if _is(part) and not _is(follower))


def with_physical(host: Host, path: str) -> tuple[str, ...]:
    """Return the endpoints of ``path``, and for a virtual function its physical one, without which it is nothing."""
    found = []
    for address in endpoints(path):
        found.append(address)
        physical = host.link_name(f"/sys/bus/pci/devices/{address}/physfn")
        if physical and _is(physical):
            found.append(physical)
    return tuple(found)


def _is(part: str) -> bool:
    return ADDRESS.fullmatch(part) is not None
