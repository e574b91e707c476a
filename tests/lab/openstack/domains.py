"""Reads the fake libvirt's domains, as `virsh dumpxml` would show them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain of a host."""

    name: str
    uuid: str
    running: bool
    #: PCI addresses of its host devices, as 0000:04:00.0
    hostdevs: tuple[str, ...]
    #: <kvm><hidden state='on'/></kvm> is among its features
    hides_kvm: bool
    xml: str


def read(folder: Path) -> list[Domain]:
    """The domains whose files lie in the folder."""
    found: list[Domain] = []
    for path in sorted(folder.glob("*.xml")):
        try:
            text = path.read_text(encoding="utf-8")
            running = path.with_suffix(".state").read_text(encoding="utf-8") == "running"
        except FileNotFoundError:
            continue  # undefined meanwhile
        found.append(_parse(text, running=running))
    return found


def _parse(text: str, *, running: bool) -> Domain:
    root = ET.fromstring(text)  # noqa: S314  # Nova's own
    hidden = root.find("features/kvm/hidden")
    addresses = root.findall("devices/hostdev[@type='pci']/source/address")
    return Domain(
        name=root.findtext("name", ""),
        uuid=root.findtext("uuid", ""),
        running=running,
        hostdevs=tuple(_address(element) for element in addresses),
        hides_kvm=hidden is not None and hidden.get("state") == "on",
        xml=text,
    )


def _address(element: ET.Element) -> str:
    numbers = [int(element.get(key, "0"), 16) for key in ("domain", "bus", "slot", "function")]
    return "{:04x}:{:02x}:{:02x}.{:x}".format(*numbers)
