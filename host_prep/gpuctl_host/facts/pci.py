"""Every PCI function, from sysfs alone: no lspci, no setpci (kernel: Documentation/ABI/testing/sysfs-bus-pci)."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from gpuctl_host.data import changed
from gpuctl_host.facts.model import Bar, PciFunction

if TYPE_CHECKING:
    from collections.abc import Collection

    from gpuctl_host.host import Host

DEVICES = "/sys/bus/pci/devices"
DRIVERS = "/sys/bus/pci/drivers"
FUNCTIONS_MAX = 65536  # more than any machine has; a bound for a tree of junk
ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")  # a domain has more than four digits behind VMD

_SINGLE_FILES = ("vendor", "device", "class", "subsystem_vendor", "subsystem_device", "modalias")
_DETAIL_FILES = (
    "resource",
    "revision",
    "numa_node",
    "boot_vga",
    "sriov_totalvfs",
    "sriov_numvfs",
    "reset_method",
    "driver_override",
    "power_state",
    "d3cold_allowed",
    "modalias",
)
_IO, _MEM = 0x100, 0x200  # IORESOURCE_IO, IORESOURCE_MEM (include/linux/ioport.h)
_ROM_ROW = 6
_VF_ROWS = range(7, 13)


def read_functions(host: Host) -> tuple[PciFunction, ...] | None:
    """Return every function with ids, class, driver, group and place; None if /sys/bus/pci cannot be seen.

    Only one file and three links a function are read: `read_details` adds the rest where it matters.
    """
    if not host.is_dir(DEVICES):
        return None
    names = [name for name in host.names(DEVICES) if ADDRESS.fullmatch(name)]
    found = [_read_function(host, name) for name in names[:FUNCTIONS_MAX]]
    above = {item.parent for item in found}
    return tuple(changed(item, header_type=1) if _is_port(item, above) else item for item in found)


def _is_port(function: PciFunction, above: Collection[str | None]) -> bool:
    """Whether a function whose class is not told must be a bridge: devices are below it, or pcieport has it."""
    return function.class_code is None and (function.address in above or function.driver == "pcieport")


def _read_function(host: Host, address: str) -> PciFunction:
    path = _device_path(host, address)
    event = _uevent(host.attributes(path, ("uevent",)).get("uevent", ""))
    if "PCI_ID" in event and "PCI_CLASS" in event:
        vendor, _, device = event["PCI_ID"].partition(":")
        subvendor, _, subdevice = event.get("PCI_SUBSYS_ID", "").partition(":")
        class_code = _hex(event["PCI_CLASS"], 6)
        modalias = event.get("MODALIAS")
    else:  # a captured tree may have the single files only
        files = host.attributes(path, _SINGLE_FILES)
        vendor, device = files.get("vendor", ""), files.get("device", "")
        subvendor, subdevice = files.get("subsystem_vendor", ""), files.get("subsystem_device", "")
        class_code = _hex(files.get("class", ""), 6)
        modalias = files.get("modalias") or None
    group = host.link_name(f"{path}/iommu_group")
    above = path.rsplit("/", 2)[-2]
    return PciFunction(
        address=address,
        vendor_id=_hex(vendor, 4),
        device_id=_hex(device, 4),
        subsystem_vendor=_hex(subvendor, 4),
        subsystem_device=_hex(subdevice, 4),
        class_code=class_code,
        revision=None,
        driver=host.link_name(f"{path}/driver"),
        driver_override=None,
        iommu_group=int(group) if group and group.isascii() and group.isdigit() else None,
        numa_node=None,
        boot_vga=None,
        sriov_totalvfs=0,
        sriov_numvfs=0,
        physfn=None,
        reset_methods=None,
        bars=(),
        power_state=None,
        d3cold_allowed=None,
        power_control=None,
        modalias=modalias,
        header_type=None,
        config_dead=False,
        parent=above if ADDRESS.fullmatch(above) else None,
        path=path,
    )


def _device_path(host: Host, address: str) -> str:
    """The folder in /sys/devices, which shows the bridges on the way; the bus's own entry if that is no link there."""
    entry = f"{DEVICES}/{address}"
    target = host.link(entry)
    if target is None:
        return entry
    if target.startswith("../../../devices/") and "/.." not in target[5:]:  # what every kernel writes there
        return f"/sys/{target[9:]}"
    path = posixpath.normpath(posixpath.join(DEVICES, target))
    return path if path.startswith("/sys/devices/") else entry


def _uevent(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.split("\n") if "=" in line)


def read_details(host: Host, function: PciFunction) -> PciFunction:
    """Return ``function`` with everything else that sysfs says of it: BARs, power, reset, SR-IOV, config header."""
    path = function.path
    files = host.attributes(path, _DETAIL_FILES)
    header, dead = _header(host.read_bytes(f"{path}/config", 64))
    bars = parse_resource(files.get("resource", ""))
    numa = _number(files.get("numa_node"))
    override = files.get("driver_override")
    physfn = host.link_name(f"{path}/physfn")
    return changed(
        function,
        revision=_hex(files.get("revision", ""), 2),
        driver_override=None if override in (None, "", "(null)") else override,
        numa_node=numa if numa is not None and numa >= 0 else None,
        boot_vga=_flag(files.get("boot_vga")),
        sriov_totalvfs=max(_number(files.get("sriov_totalvfs")) or 0, 0),
        sriov_numvfs=max(_number(files.get("sriov_numvfs")) or 0, 0),
        physfn=physfn if physfn and ADDRESS.fullmatch(physfn) else None,
        reset_methods=_reset_methods(host, path, files.get("reset_method")),
        bars=tuple(bar for bar in bars if bar.index <= _ROM_ROW),
        vf_bars=tuple(bar for bar in bars if bar.index in _VF_ROWS) if header == 0 or header is None else (),
        power_state=files.get("power_state") or None,
        d3cold_allowed=_flag(files.get("d3cold_allowed")),
        power_control=host.attributes(f"{path}/power", ("control",)).get("control") or None,
        modalias=function.modalias or files.get("modalias") or None,
        header_type=function.header_type if header is None else header,
        config_dead=dead,
        detailed=True,
    )


def _reset_methods(host: Host, path: str, text: str | None) -> tuple[str, ...] | None:
    """The kernel's own list; () if it has none.

    Since 5.15 `reset_method` is there exactly if some method works, as `reset` always was (drivers/pci/pci.c,
    pci_reset_supported). A folder with `uevent` is a real kernel's, so that what is missing there is meant.
    """
    if text is not None:
        return tuple(text.split())
    if host.exists(f"{path}/uevent") and not host.exists(f"{path}/reset"):
        return ()
    return None


def parse_resource(text: str) -> tuple[Bar, ...]:
    """Return the BARs of a `resource` file; rows that are all zero (not implemented) and rows of junk are left out."""
    bars = []
    for index, line in enumerate(text.split("\n")[:13]):
        try:
            start, end, flags = (int(word, 16) for word in line.split())
        except ValueError:
            continue
        if not (start or end or flags) or end < start or min(start, end, flags) < 0:
            continue
        kind = "rom" if index == _ROM_ROW else "io" if flags & _IO else "mem"
        if flags & (_IO | _MEM):
            bars.append(Bar(index=index, start=start, size=end - start + 1, flags=flags, kind=kind))
    return tuple(bars)


def _header(config: bytes | None) -> tuple[int | None, bool]:
    """Header type (byte 0x0e without the multifunction bit), and whether the device answers all ones: it is gone."""
    if config is None or len(config) < 4:
        return None, False
    if config.count(0xFF) == len(config):
        return None, True
    return (config[0x0E] & 0x7F if len(config) > 0x0E else None), False


def _hex(text: str, digits: int) -> str | None:
    """``text`` (0x10DE, 10DE, 30000) as lower-case hex of ``digits`` digits."""
    try:
        value = int(text, 16)
    except ValueError:
        return None
    return f"{value:0{digits}x}" if 0 <= value < 16**digits else None


def _number(text: str | None) -> int | None:
    try:
        return int(text) if text and len(text) < 12 else None
    except ValueError:
        return None


def _flag(text: str | None) -> bool | None:
    return {"0": False, "1": True}.get(text or "")
