"""Which PCI devices carry the default route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.facts.topology import with_physical

if TYPE_CHECKING:
    from gpuctl_host.host import Host

_NET = "/sys/class/net"
_DEPTH = 8
_REJECT = 0x200  # RTF_REJECT (include/uapi/linux/route.h)


def default_interfaces(host: Host) -> list[str] | None:
    """Return the interfaces of the default routes, IPv4 and IPv6; None if the routes cannot be seen."""
    four, six = host.read("/proc/net/route", 1 << 20), host.read("/proc/net/ipv6_route", 1 << 20)
    if four is None and six is None:
        return None
    found: dict[str, None] = {}
    for line in (four or "").split("\n")[1:]:
        words = line.split()
        if len(words) >= 8 and words[1] == "00000000" and words[7] == "00000000":
            found[words[0]] = None
    for line in (six or "").split("\n"):
        words = line.split()
        if len(words) >= 10 and words[0] == "0" * 32 and words[1] == "00" and not _flags(words[8]) & _REJECT:
            found[words[9]] = None
    found.pop("lo", None)
    return list(found)


def network_needs(host: Host, interfaces: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return (address, "default route by bond0 (enp65s0f0)") of each device, and interfaces that lead to none."""
    found: list[tuple[str, str]] = []
    unknown: list[str] = []
    for interface in interfaces:
        ports = _ports(host, interface, _DEPTH)
        through = {port: with_physical(host, host.resolve(f"{_NET}/{port}/device")) for port in ports}
        for port, addresses in through.items():
            way = interface if port == interface else f"{interface} ({port})"
            found += [(address, f"default route by {way}") for address in addresses]
        if not any(through.values()):
            unknown.append(f"default route by {interface}")
    return found, unknown


def _ports(host: Host, interface: str, depth: int) -> list[str]:
    """Follow an interface down bonds, bridges and VLANs (its lower_* links) to those with a device."""
    if depth == 0 or "/" in interface or interface in (".", ".."):
        return []
    if host.link(f"{_NET}/{interface}/device") is not None:
        return [interface]
    names = host.names(f"{_NET}/{interface}")
    lower = [name[6:] for name in names if name.startswith("lower_")]
    if (
        not lower and interface != "ovs-system" and host.is_dir(f"{_NET}/{interface}")
    ):  # an Open vSwitch bridge: its ports hang on the datapath
        lower = [name[6:] for name in host.names(f"{_NET}/ovs-system") if name.startswith("lower_")]
    found: dict[str, None] = {}
    for name in lower[:64]:
        found.update(dict.fromkeys(_ports(host, name, depth - 1)))
    return list(found)


def _flags(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0
