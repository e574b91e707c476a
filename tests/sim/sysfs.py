"""The files that the kernel shows of one PCI function (Documentation/ABI/testing/sysfs-bus-pci), and of the machine."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .tree import Tree

if TYPE_CHECKING:
    from .parts import Function

DEVICES = "/sys/bus/pci/devices"
DRIVERS = "/sys/bus/pci/drivers"
GROUPS = "/sys/kernel/iommu_groups"
WRITE_ONLY, READ_WRITE, READ_ONLY = 0o200, 0o644, 0o444


def config_space(function: Function) -> bytes:
    """Return the first 256 bytes of the function's configuration space."""
    space = bytearray(256)
    space[0:4] = struct.pack("<HH", int(function.vendor, 16), int(function.device, 16))
    space[4:8] = struct.pack("<HH", 0x0107, 0x0010)
    space[8] = int(function.revision, 16)
    space[9:12] = bytes.fromhex(function.cls)[::-1]
    space[0x0E] = (1 if function.is_bridge else 0) | (0x80 if function.multifunction else 0)
    if not function.is_bridge:
        space[0x2C:0x30] = struct.pack("<HH", int(function.subvendor, 16), int(function.subdevice, 16))
    space[0x34] = 0x40
    space[0x40:0x44] = struct.pack("<BBH", 0x01, 0x00, 0x0003)  # power management, the last capability
    return bytes(space)


def resource_lines(function: Function, base: int) -> str:
    """Return the `resource` file: start, end and flags of BAR 0-5, the ROM and four bridge windows (zeros when unused)."""
    lines = []
    for index in range(13):
        size, flags = function.bars[index] if index < len(function.bars) else (0, 0)
        if not size:
            lines.append("0x0000000000000000 0x0000000000000000 0x0000000000000000")
            continue
        start = 0x6000 if flags & 0x100 else (base + size - 1) // size * size
        lines.append(f"0x{start:016x} 0x{start + size - 1:016x} 0x{flags:016x}")
        if not flags & 0x100:
            base = start + size
    return "\n".join(lines) + "\n"


def show_function(tree: Tree, function: Function, path: str, base: int) -> None:
    """The function's folder has what a kernel puts there at enumeration: no driver, no override, no group yet."""
    files = [
        ("vendor", f"0x{function.vendor}\n", READ_ONLY),
        ("device", f"0x{function.device}\n", READ_ONLY),
        ("subsystem_vendor", f"0x{function.subvendor}\n", READ_ONLY),
        ("subsystem_device", f"0x{function.subdevice}\n", READ_ONLY),
        ("class", f"0x{function.cls}\n", READ_ONLY),
        ("revision", f"0x{function.revision}\n", READ_ONLY),
        ("modalias", f"{function.modalias}\n", READ_ONLY),
        ("numa_node", f"{function.numa}\n", READ_WRITE),
        ("enable", "0\n", READ_WRITE),
        ("irq", "11\n", READ_ONLY),
        ("resource", resource_lines(function, base), READ_ONLY),
        ("driver_override", "(null)\n", READ_WRITE),
        ("d3cold_allowed", "1\n", READ_WRITE),
        ("power_state", "D0\n", READ_ONLY),
        ("power/control", "on\n", READ_WRITE),
        ("power/runtime_status", "active\n", READ_ONLY),
        ("remove", "", WRITE_ONLY),
        ("rescan", "", WRITE_ONLY),
        (
            "uevent",
            (
                f"PCI_CLASS={function.cls.lstrip('0').upper()}\nPCI_ID={function.vendor.upper()}:{function.device.upper()}\n"
                f"PCI_SUBSYS_ID={function.subvendor.upper()}:{function.subdevice.upper()}\n"
                f"PCI_SLOT_NAME={function.address}\nMODALIAS={function.modalias}\n"
            ),
            READ_WRITE,
        ),
    ]
    if function.reset_methods:
        files.append(("reset_method", f"{function.reset_methods}\n", READ_WRITE))
        files.append(("reset", "", WRITE_ONLY))
    if function.cls.startswith("0300"):
        files.append(("boot_vga", f"{int(function.boot_vga)}\n", READ_ONLY))
    if function.sriov_totalvfs:
        files += [
            ("sriov_totalvfs", f"{function.sriov_totalvfs}\n", READ_ONLY),
            ("sriov_numvfs", "0\n", READ_WRITE),
            ("sriov_drivers_autoprobe", "1\n", READ_WRITE),
        ]
    for name, text, mode in files:
        tree.write(f"{path}/{name}", text, mode)
    tree.write(f"{path}/config", config_space(function), READ_WRITE)
    tree.link(f"{path}/subsystem", "/sys/bus/pci")
    tree.link(f"{DEVICES}/{function.address}", path)


def show_users(tree: Tree, function: Function, path: str, *, shown: bool, number: int) -> None:
    """The block device, interface or DRM card (of that number) that exists while a host's driver has the function."""
    if function.disk:
        _show_disk(tree, function.disk, path, shown=shown)
    if function.net:
        where = f"{path}/net/{function.net}"
        if shown:
            tree.write(f"{where}/operstate", "up\n")
            tree.write(f"{where}/address", "52:54:00:00:00:01\n")
            tree.link(f"{where}/device", path)
            tree.link(f"/sys/class/net/{function.net}", where)
        else:
            tree.remove(f"{path}/net")
            tree.remove(f"/sys/class/net/{function.net}")
    if function.cls.startswith("0403"):  # FINDINGS (viii): sound lets its function sleep, nobody else does
        tree.write(f"{path}/power/control", "auto\n" if shown else "on\n")
        tree.write(f"{path}/power/runtime_status", "suspended\n" if shown else "active\n", 0o444)
        tree.write(f"{path}/power_state", "D3hot\n" if shown else "D0\n", 0o444)
    if function.cls.startswith("03"):
        where = f"{path}/drm/card{number}"
        if shown:
            tree.write(f"{where}/dev", f"226:{number}\n")
            tree.link(f"{where}/device", path)
            tree.link(f"/sys/class/drm/card{number}", where)
        else:
            tree.remove(f"{path}/drm")
            tree.remove(f"/sys/class/drm/card{number}")


def _show_disk(tree: Tree, disk: str, path: str, *, shown: bool) -> None:
    middle = "nvme/nvme0" if disk.startswith("nvme") else "ata1/host0/target0:0:0/0:0:0:0/block"
    where = f"{path}/{middle}/{disk}"
    parts = [f"{disk}p{number}" if disk.startswith("nvme") else f"{disk}{number}" for number in (1, 2)]
    if shown:
        tree.write(f"{where}/dev", "259:0\n")
        tree.link(f"{where}/device", path)
        tree.link(f"/sys/block/{disk}", where)
        tree.link(f"/sys/class/block/{disk}", where)
        tree.link("/sys/dev/block/259:0", where)
        for number, part in enumerate(parts, 1):
            tree.write(f"{where}/{part}/partition", f"{number}\n")
            tree.write(f"{where}/{part}/dev", f"259:{number}\n")
            tree.link(f"/sys/class/block/{part}", f"{where}/{part}")
            tree.link(f"/sys/dev/block/259:{number}", f"{where}/{part}")
    else:
        tree.remove(f"{path}/{middle.split('/', maxsplit=1)[0]}")
        tree.remove(f"/sys/block/{disk}")
        for name in (disk, *parts):
            tree.remove(f"/sys/class/block/{name}")


def acpi_table(signature: str, *, intremap: bool = True) -> bytes:
    """Return a DMAR, IVRS or IORT table: header, and for DMAR the width, flags (bit 0: INTR_REMAP) and one DRHD."""
    if signature == "DMAR":
        body = struct.pack("<BB10x", 45, int(intremap)) + struct.pack("<HHBBHQ", 0, 16, 1, 0, 0, 0xFBFFC000)
    else:
        body = struct.pack("<I8x", 0)
    header = struct.pack(
        "<4sIBB6s8sI4sI", signature.encode(), 36 + len(body), 1, 0, b"SIMUL ", b"SIMTABLE", 1, b"SIM ", 1
    )
    raw = bytearray(header + body)
    raw[9] = -sum(raw) & 0xFF
    return bytes(raw)
