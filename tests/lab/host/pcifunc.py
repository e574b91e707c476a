"""One made-up PCI function: its configuration space, and as much of its registers as the Linux driver wants to bind.

Nothing here computes, draws or plays. Sources: PCI Local Bus 3.0 (header, power management, MSI), PCI Express 3.0
(capability 0x10), Intel HDA 1.0a, xHCI 1.1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

CONFIG_SIZE = 4096
PAGE = 4096
MIB = 1 << 20

# index -> (size in bytes, flag bits in the BAR: 0 = 32 bit, 0xC = 64 bit prefetchable, 1 = I/O ports)
BARS: dict[str, dict[int, tuple[int, int]]] = {
    "gpu": {0: (16 * MIB, 0x0), 1: (256 * MIB, 0xC), 3: (32 * MIB, 0xC), 5: (128, 0x1)},
    "hda": {0: (16384, 0x0)},
    "xhci": {0: (256 << 10, 0xC)},
    "plain": {0: (4096, 0x0)},
}

# configuration bytes that software may change: command, cache line, latency, interrupt line, power state, device and
# link control; BARs and MSI are kept by QEMU itself
PM, MSI, PCIE = 0x60, 0x68, 0x78
WRITABLE = {0x04: 0x07, 0x05: 0x04, 0x0C: 0xFF, 0x0D: 0xFF, 0x3C: 0xFF, PM + 4: 0x03}
WRITABLE |= dict.fromkeys([PCIE + 8, PCIE + 9, PCIE + 16, PCIE + 17], 0xFF)
WRITABLE |= dict.fromkeys(range(0x10, 0x28), 0xFF) | dict.fromkeys(range(MSI + 2, MSI + 16), 0xFF)


@dataclass(slots=True)
class Bar:
    """Memory that is zero until written, and zero again after a reset, pages made as they are touched."""

    size: int
    pages: dict[int, bytearray] = field(default_factory=dict)

    def read(self, offset: int, count: int) -> bytes:
        """The bytes last written there, or zeros."""
        out = bytearray()
        while count:
            page, at = divmod(offset, PAGE)
            step = min(count, PAGE - at)
            held = self.pages.get(page)
            out += held[at : at + step] if held else bytes(step)
            offset, count = offset + step, count - step
        return bytes(out)

    def write(self, offset: int, data: bytes) -> None:
        """The bytes are there for the next read."""
        while data:
            page, at = divmod(offset, PAGE)
            step = min(len(data), PAGE - at)
            self.pages.setdefault(page, bytearray(PAGE))[at : at + step] = data[:step]
            offset, data = offset + step, data[step:]


class Function:
    """A function made from a topology's entry (see topology.py): model, vendor, device, class, subsystem."""

    def __init__(self, spec: dict[str, Any], *, index: int, alone: bool) -> None:
        """The function is as after power-on."""
        self.model: str = spec["model"]
        self.spec = spec
        self.index = index
        self.alone = alone
        self.bars = {n: Bar(size) for n, (size, _) in BARS[self.model].items()}
        self.config = bytearray()
        self.reset()

    def reset(self) -> None:
        """Registers and configuration are as after power-on; old register contents would confuse the next driver."""
        self.config = self._config()
        for bar in self.bars.values():
            bar.pages.clear()
        if self.model == "xhci":
            self._xhci_registers()

    def region_size(self, index: int) -> int:
        """Bytes of a VFIO region: 0-5 BARs, 7 configuration space; 0 for those that are not there."""
        if index == 7:
            return CONFIG_SIZE
        return self.bars[index].size if index in self.bars else 0

    def read(self, region: int, offset: int, count: int) -> bytes:
        """What a load from there gives; zeros where nothing is."""
        if region == 7:
            return bytes(self.config[offset : offset + count]).ljust(count, b"\0")
        bar = self.bars.get(region)
        return bar.read(offset, count) if bar else bytes(count)

    def write(self, region: int, offset: int, data: bytes) -> None:
        """A store has had its effect."""
        if region == 7:
            for at, value in enumerate(data, offset):
                mask = WRITABLE.get(at, 0)
                self.config[at] = (self.config[at] & ~mask) | (value & mask)
            return
        bar = self.bars.get(region)
        if bar is None:
            return
        bar.write(offset, data)
        if region == 0 and self.model == "hda":
            self._hda_written(bar)
        elif region == 0 and self.model == "xhci":
            self._xhci_written(bar)

    def _config(self) -> bytearray:
        spec, config = self.spec, bytearray(CONFIG_SIZE)
        class_code = int(spec["class"], 16)
        sub_vendor, sub_device = (int(part, 16) for part in spec.get("subsystem", "0000:0000").split(":"))
        struct.pack_into("<HHHH", config, 0, int(spec["vendor"], 16), int(spec["device"], 16), 0, 0x0010)
        struct.pack_into("<I", config, 8, class_code << 8 | int(spec.get("revision", "a1"), 16))
        # header type 0; the multifunction bit on every function: one that comes back alone after a removal then
        # rejoins its card's IOMMU group
        config[0x0E] = 0x00 if self.alone else 0x80
        for number, (_, flags) in BARS[self.model].items():
            struct.pack_into("<I", config, 0x10 + 4 * number, flags)
        struct.pack_into("<HH", config, 0x2C, sub_vendor, sub_device)
        config[0x34] = PM
        config[0x3D] = 1 + self.index % 4  # INTA..INTD
        # power management 3: no soft reset, so D3hot and back is no reset; PME from nowhere
        struct.pack_into("<BBHH", config, PM, 0x01, MSI, 0x0003, 0x0008)
        struct.pack_into("<BBH", config, MSI, 0x05, PCIE, 0x0080)
        # PCIe v2 endpoint, no FLR (no GeForce has it), link 8 GT/s x16
        struct.pack_into("<BBHI", config, PCIE, 0x10, 0x00, 0x0002, 0x00008001)
        struct.pack_into("<IHH", config, PCIE + 12, 0x0000_0103, 0, 0x1103)
        return config

    def _hda_written(self, bar: Bar) -> None:
        # write-1-to-clear status registers never hold anything: STATESTS, INTSTS, RIRBSTS, CORBSTS, SDnSTS
        bar.write(0x0E, b"\0\0")
        bar.write(0x24, bytes(4))
        bar.write(0x4D, b"\0")
        bar.write(0x5D, b"\0")
        for stream in range(30):
            bar.write(0x80 + 0x20 * stream + 3, b"\0")

    def _xhci_registers(self) -> None:
        # CAPLENGTH 0x20, version 1.1, 32 slots, 1 interrupter, 2 ports, doorbells 0x3000, runtime 0x2000
        words = struct.pack("<IIIIIII", 0x0110_0020, 0x0200_0120, 0, 0, 0x0400_0001, 0x3000, 0x2000)
        self.bars[0].write(0, words)
        # extended capabilities at 0x400 dwords, without which there is no root hub: port 1 is USB 2.0, port 2 USB 3.0
        usb2 = struct.pack("<I4sII", 0x0200_0402, b"USB ", 0x0101, 0)
        usb3 = struct.pack("<I4sII", 0x0300_0002, b"USB ", 0x0102, 0)
        self.bars[0].write(0x1000, usb2 + usb3)
        self.bars[0].write(0x24, struct.pack("<II", 0x1, 0x1))  # USBSTS halted; PAGESIZE 4 KiB

    def _xhci_written(self, bar: Bar) -> None:
        command = struct.unpack("<I", bar.read(0x20, 4))[0]
        if command & 0x2:  # host controller reset: done at once
            bar.pages.clear()
            self._xhci_registers()
            return
        bar.write(0x24, struct.pack("<I", 0x0 if command & 0x1 else 0x1))
