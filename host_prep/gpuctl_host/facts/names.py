"""What a device is called: our own small table, then what the host has (pci.ids, udev's database), else its ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.facts.device_names import DEVICES, VENDORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuctl_host.facts.model import PciFunction
    from gpuctl_host.host import Host

_PCI_IDS = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids", "/var/lib/pciutils/pci.ids")
_PCI_IDS_MAX = 8 << 20
_UDEV_DATA = "/run/udev/data/+pci:"  # udev's record of a device, names from its hwdb among it (E:KEY=VALUE lines)


class Names:
    """The names of devices on one host; files are read at most once, and only if a device is not in our table."""

    def __init__(self, host: Host, learned: Mapping[str, object]) -> None:
        self._host = host
        noted = learned.get("names")
        self._noted: dict[object, object] = noted if isinstance(noted, dict) else {}
        self._text: bytes | None = None

    def of(self, function: PciFunction) -> str:
        """Return "NVIDIA GP104 [GeForce GTX 1080]"; "10de:1b80" if nobody knows it; "unknown device" without ids."""
        vendor, device = function.vendor_id, function.device_id
        if vendor is None:
            return "unknown device"
        maker = VENDORS.get(vendor)
        if device is None:
            return f"{maker or vendor} device"
        noted = self._noted.get(f"{vendor}:{device}")
        if isinstance(noted, str):
            return noted
        known = DEVICES.get(f"{vendor}:{device}") or self._from_pci_ids(vendor, device) or self._from_udev(function)
        if known is None:
            return f"{vendor}:{device}"
        return f"{maker} {known}" if maker else known

    def _from_pci_ids(self, vendor: str, device: str) -> str | None:
        """Look the device up in pci.ids: a vendor's line, then its devices, each after one tab."""
        if self._text is None:
            texts = (self._host.read_bytes(path, _PCI_IDS_MAX) for path in _PCI_IDS)
            self._text = b"\n" + (next((text for text in texts if text), b""))
        start = self._text.find(f"\n{vendor}  ".encode())
        if start < 0:
            return None
        at = self._text.find(f"\n\t{device}  ".encode(), start)
        if at < 0:
            return None
        lines = self._text[start + 1 : at + 1].split(b"\n")
        if any(line[:1] not in (b"\t", b"#", b"") for line in lines[1:]):
            return None  # it belongs to a later vendor
        end = self._text.find(b"\n", at + 1)
        line = self._text[at : end if end > 0 else len(self._text)]
        return line.decode("utf-8", "replace").strip()[4:].strip() or None

    def _from_udev(self, function: PciFunction) -> str | None:
        for line in (self._host.read(f"{_UDEV_DATA}{function.address}", 65536) or "").split("\n"):
            if line.startswith("E:ID_MODEL_FROM_DATABASE="):
                return line.partition("=")[2].strip() or None
        return None
