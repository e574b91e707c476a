"""A host's tree, built entry by entry: what the tests of facts/ read instead of a machine."""

from __future__ import annotations

import os
from pathlib import Path

from gpuctl_host.facts.model import Facts
from gpuctl_host.facts.reader import read_facts
from gpuctl_host.host import Host

ROOT_BUS = "/sys/devices/pci0000:00"
_CONFIG = bytes(14)


class Tree:
    """Files and links below ``root``, by the paths that the host itself would use."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)

    def write(self, path: str, content: str | bytes) -> Tree:
        real = self.root + path
        os.makedirs(os.path.dirname(real), exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        with open(real, "wb") as stream:
            stream.write(data)
        return self

    def link(self, path: str, target: str) -> Tree:
        """A relative link to ``target``, as sysfs has them."""
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        os.symlink(os.path.relpath(self.root + target, os.path.dirname(self.root + path)), self.root + path)
        return self

    def folder(self, path: str) -> Tree:
        os.makedirs(self.root + path, exist_ok=True)
        return self

    def function(
        self,
        address: str,
        ids: str,
        code: str,
        *,
        under: str = ROOT_BUS,
        driver: str | None = None,
        group: int | None = None,
        subsystem: str = "10de:119e",
        bars: tuple[tuple[int, int, int], ...] = (),
        uevent: bool = True,
        config: bytes | None = None,
        **files: str,
    ) -> str:
        """One PCI function as a kernel shows it (``uevent=False``: as an old dump does); return its /sys/devices path."""
        path = f"{under}/{address}"
        vendor, device = ids.split(":")
        subvendor, subdevice = subsystem.split(":")
        if uevent:
            lines = [f"DRIVER={driver}"] if driver else []
            lines += [
                f"PCI_CLASS={int(code, 16):04X}",
                f"PCI_ID={ids.upper()}",
                f"PCI_SUBSYS_ID={subsystem.upper()}",
                f"PCI_SLOT_NAME={address}",
                f"MODALIAS=pci:v0000{vendor.upper()}d0000{device.upper()}",
            ]
            self.write(f"{path}/uevent", "\n".join(lines) + "\n")
        single = {"vendor": vendor, "device": device, "subsystem_vendor": subvendor, "subsystem_device": subdevice}
        for name, value in {**single, "class": code}.items():
            self.write(f"{path}/{name}", f"0x{value}\n")
        for name, value in files.items():
            self.write(f"{path}/{name}", f"{value}\n")
        if bars:
            rows = {index: (start, start + size - 1, 0x40200) for index, start, size in bars}
            text = "".join("0x{:016x} 0x{:016x} 0x{:016x}\n".format(*rows.get(row, (0, 0, 0))) for row in range(13))
            self.write(f"{path}/resource", text)
        header = b"\x01" if code.startswith("0604") else b"\x80"
        self.write(f"{path}/config", _CONFIG + header + bytes(49) if config is None else config)
        self.link(f"/sys/bus/pci/devices/{address}", path)
        if driver:
            self.folder(f"/sys/bus/pci/drivers/{driver}")
            self.link(f"{path}/driver", f"/sys/bus/pci/drivers/{driver}")
        if group is not None:
            self.folder(f"/sys/kernel/iommu_groups/{group}/devices")
            self.link(f"/sys/kernel/iommu_groups/{group}/devices/{address}", path)
            self.link(f"{path}/iommu_group", f"/sys/kernel/iommu_groups/{group}")
        return path

    def host(self) -> Host:
        return Host(self.root)

    def facts(self, *vendors: str, deep: bool = False) -> Facts:
        return read_facts(self.host(), vendors or ("10de",), deep=deep)


def gtx1080(tree: Tree, bus: str = "01", *, group: int = 1, driver: str = "nouveau", **files: str) -> str:
    """A GTX 1080 with its audio function behind a root port in the same group."""
    port = tree.function(f"0000:00:{bus}.0", "8086:1901", "060400", driver="pcieport", group=group)
    bars = ((0, 0xF6000000, 16 << 20), (1, 0xE0000000, 256 << 20), (3, 0xF0000000, 32 << 20))
    path = tree.function(
        f"0000:{bus}:00.0", "10de:1b80", "030000", under=port, driver=driver, group=group, bars=bars, **files
    )
    tree.function(f"0000:{bus}:00.1", "10de:10f0", "040300", under=port, driver="snd_hda_intel", group=group)
    return path
