"""Devices that the host itself lives on: never to be given away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.facts.disks import disk_needs, read_mounts
from gpuctl_host.facts.model import Need
from gpuctl_host.facts.network import default_interfaces, network_needs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpuctl_host.facts.model import PciFunction
    from gpuctl_host.host import Host

_SCREENS = ("0300", "0380")  # what can show a console; a 3D controller (0302) has no outputs
_TERMINAL = r"tty\d*(?:,|$|\s)"


def read_needs(
    host: Host, pci: Sequence[PciFunction] | None, cmdline: Iterable[str] | None, learned: Mapping[str, object]
) -> tuple[tuple[Need, ...] | None, tuple[str, ...]]:
    """Return what the host needs, and what could not be traced to a device; None if neither disks nor routes show."""
    noted = _noted(learned)
    if noted is not None:
        return noted
    mounts, interfaces = read_mounts(host), default_interfaces(host)
    found: list[Need] = []
    unknown: list[str] = []
    if mounts is not None:
        traced, lost = disk_needs(host, mounts)
        found += [Need(address, "disk", detail) for address, detail in traced]
        unknown += lost
    if interfaces is not None:
        traced, lost = network_needs(host, interfaces)
        found += [Need(address, "network", detail) for address, detail in traced]
        unknown += lost
    found += _console(host, pci or (), cmdline)
    if mounts is None and interfaces is None and not found:
        return None, ()
    first: dict[tuple[str, str], Need] = {}
    for need in found:
        first.setdefault((need.address, need.why), need)
    return tuple(first.values()), tuple(dict.fromkeys(unknown))


def _console(host: Host, pci: Sequence[PciFunction], cmdline: Iterable[str] | None) -> list[Need]:
    """The only display, if the firmware chose it, VFIO has it not already, and consoles are on displays at all."""
    screens = [item for item in pci if item.base_class in _SCREENS and item.physfn is None]
    if len(screens) != 1 or screens[0].boot_vga is not True:  # without boot_vga other displays may just not be shown
        return []
    if "vfio" in (screens[0].driver or "") or not _on_screen(host, cmdline):
        return []
    return [Need(screens[0].address, "console", "the only display")]


def _on_screen(host: Host, cmdline: Iterable[str] | None) -> bool:
    """Whether a virtual terminal is among the kernel's consoles; it is unless console= names others only."""
    listed = host.read("/proc/consoles", 4096)
    if listed:
        return any(re.match(_TERMINAL, line) for line in listed.split("\n"))
    named = [word[8:] for word in cmdline or () if word.startswith("console=")]
    return not named or any(re.match(_TERMINAL, name) for name in named)


def _noted(learned: Mapping[str, object]) -> tuple[tuple[Need, ...] | None, tuple[str, ...]] | None:
    """What a capture has noted of its host."""
    needs, unknown = learned.get("needs"), learned.get("needs_unknown")
    if "needs" not in learned or not isinstance(unknown, list):
        return None
    lost = tuple(str(item) for item in unknown)
    if not isinstance(needs, list):
        return None, lost
    rows = [row for row in needs if isinstance(row, list) and len(row) == 3]
    return tuple(Need(str(row[0]), str(row[1]), str(row[2])) for row in rows), lost
