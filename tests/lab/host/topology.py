"""Which cards a lab machine has: a data file each, and the QEMU arguments that follow from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "topologies"


@dataclass(frozen=True, slots=True)
class Topology:
    """A machine's cards and chipset. Card N is behind its own root port, so it is bus N+1: card 0 is 0000:01:00."""

    name: str
    path: Path
    why: str
    iommu: bool
    intremap: bool
    onboard_hda: bool
    onboard_vga: bool
    old_qemu: bool
    cards: tuple[dict[str, Any], ...]

    @property
    def needs_vfio_user(self) -> bool:
        """Some function is one of ours, which only a newer QEMU can show to the guest."""
        return any("model" in function for card in self.cards for function in card["functions"])

    def functions(self) -> dict[str, str]:
        """Address -> "vendor:device" of every card function, as lspci and sysfs must show them."""
        stock = {"secondary-vga": "1234:1111", "intel-hda": "8086:2668"}
        found = {}
        for number, card in enumerate(self.cards):
            for index, spec in enumerate(card["functions"]):
                ids = stock[spec["qemu"]] if "qemu" in spec else f"{spec['vendor']}:{spec['device']}"
                found[f"0000:{number + 1:02x}:00.{index}"] = ids
        return found

    def arguments(self, sockets: Path) -> list[str]:
        """QEMU's arguments for the cards and the onboard chips; the IOMMU's must come before every PCI device's."""
        out: list[str] = []
        if self.onboard_vga:
            out += ["-device", "VGA,addr=0x1"]
        if self.onboard_hda:
            out += ["-device", "ich9-intel-hda,addr=0x1b"]
        for number, card in enumerate(self.cards):
            port = f"rp{number}"
            slot = number + 2
            out += ["-device", f"pcie-root-port,id={port},chassis={slot},slot={slot},addr={slot:#x}.0x0"]
            many = len(card["functions"]) > 1
            for index, spec in enumerate(card["functions"]):
                device: dict[str, Any] = {"bus": port, "addr": f"0x0.{index:#x}", "multifunction": many}
                if "qemu" in spec:
                    device["driver"] = spec["qemu"]
                else:
                    path = str(sockets / f"card{number}.{index}.sock")
                    device |= {"driver": "vfio-user-pci", "socket": {"type": "unix", "path": path}}
                out += ["-device", json.dumps(device)]
        return out

    def iommu_arguments(self) -> list[str]:
        """The emulated VT-d, or nothing: a machine whose firmware has it off."""
        if not self.iommu:
            return []
        return ["-device", f"intel-iommu,intremap={'on' if self.intremap else 'off'},caching-mode=on"]


def load(name: str | Path) -> Topology:
    """The topology of that name (topologies/NAME.json) or of that file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = name if isinstance(name, Path) else FOLDER / f"{name}.json"
    data = json.loads(path.read_text())
    return Topology(
        name=path.stem,
        path=path,
        why=data["why"],
        iommu=data["iommu"],
        intremap=data.get("intremap", True),
        onboard_hda=data["onboard_hda"],
        onboard_vga=data["onboard_vga"],
        old_qemu=data.get("old_qemu", False),
        cards=tuple(data["cards"]),
    )
