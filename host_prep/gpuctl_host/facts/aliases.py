"""Which modules would take a device: modules.alias of a kernel, matched as libkmod and libvirt do.

Sources: modules.alias(5) (`alias pci:v000010DEd... nouveau`), the `vfio_pci:` aliases that variant drivers carry since
Linux 5.16 (drivers/vfio/pci, MODULE_DEVICE_TABLE with PCI_DRIVER_OVERRIDE_DEVICE_VFIO), and libvirt's choice among
them: the match with the fewest wildcards wins.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuctl_host.facts.model import PciFunction
    from gpuctl_host.host import Host

_VENDOR_END = len("pci:v000010DE")


def read_claims(
    host: Host, release: str | None, functions: Iterable[PciFunction]
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]] | None:
    """Return what the kernel ``release`` has for each function.

    Returns:
        ``(address -> modules whose alias matches, address -> variant vfio module)``, or None if modules.alias
        cannot be read. A device without a modalias is in neither.
    """
    text = host.read(f"/lib/modules/{release}/modules.alias") if release else None
    if text is None:
        return None
    wanted = [(item.address, alias) for item in functions if (alias := _modalias(item))]
    vendors = {alias[:_VENDOR_END] for _, alias in wanted}
    plain: list[tuple[str, str]] = []
    vfio: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("alias pci:"):
            pattern, _, module = line[6:].rpartition(" ")
            if pattern[:_VENDOR_END] in vendors or "*" in pattern[:_VENDOR_END]:
                plain.append((pattern, module))
        elif line.startswith("alias vfio_pci:"):
            pattern, _, module = line[6:].rpartition(" ")
            vfio.append((pattern[5:], module))
    claims = {
        address: tuple(
            dict.fromkeys(module.replace("-", "_") for pattern, module in plain if fnmatchcase(alias, pattern))
        )
        for address, alias in wanted
    }
    variants: dict[str, str] = {}
    for address, alias in wanted:
        matching = [(pattern.count("*"), module) for pattern, module in vfio if fnmatchcase(alias, pattern)]
        if matching:
            best = min(matching)[1].replace("-", "_")
            if best != "vfio_pci":
                variants[address] = best
    return claims, variants


def _modalias(item: PciFunction) -> str | None:
    """The device's modalias; made from its ids where a captured tree has no such file."""
    if item.modalias and item.modalias.startswith("pci:"):
        return item.modalias
    parts = (item.vendor_id, item.device_id, item.subsystem_vendor, item.subsystem_device, item.class_code)
    if any(part is None for part in parts):
        return None
    vendor, device, subvendor, subdevice, code = (str(part).upper() for part in parts)
    return f"pci:v0000{vendor}d0000{device}sv0000{subvendor}sd0000{subdevice}bc{code[:2]}sc{code[2:4]}i{code[4:6]}"
