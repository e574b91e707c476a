"""Hosts as `gpuctl host facts -f json` describes them: the cards, and what else a device spec must not take."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuctl.facts_files import documents
from gpuctl.nova.problem import Problem

SCHEMA = "gpuctl.host.facts/1"
# Names, addresses and ids become file names, comments and shell words: what has another form is not taken.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_ID = re.compile(r"[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class Device:
    """A PCI function, as far as Nova looks at it.

    Attributes:
        address: dddd:bb:dd.f.
        vendor_id: four hex digits.
        device_id: four hex digits; Nova calls it product_id.
        driver: what is bound; None where nothing is, or it is not known.
        physfn: the physical function that this virtual one belongs to.
        what: what a person calls it.
    """

    address: str
    vendor_id: str
    device_id: str
    driver: str | None
    physfn: str | None = None
    what: str = "device"

    @property
    def ids(self) -> str:
        """vendor:device."""
        return f"{self.vendor_id}:{self.device_id}"


@dataclass(frozen=True, slots=True)
class Card(Device):
    """A GPU.

    Attributes:
        device_type: what libvirt calls it, read from the host's sriov_totalvfs: type-PCI, type-PF or type-VF.
        numvfs: how many virtual functions are enabled on it.
    """

    device_type: str = "type-PCI"
    numvfs: int = 0

    @property
    def prepared(self) -> bool:
        """Whether vfio-pci, or a variant of it, has the card."""
        return self.driver is not None and "vfio" in self.driver

    @property
    def domain_too_high(self) -> bool:
        """Whether Nova skips it: it takes PCI domains up to ffff (22 and later; nova/pci/manager.py)."""
        return int(self.address.split(":", 1)[0], 16) > 0xFFFF


@dataclass(frozen=True, slots=True)
class Host:
    """One host: its GPUs, and the other devices that its facts name."""

    name: str
    cards: tuple[Card, ...]
    others: tuple[Device, ...]

    @property
    def devices(self) -> tuple[Device, ...]:
        """Everything that is known of: GPUs first."""
        return (*self.cards, *self.others)


def read_hosts(files: Iterable[str]) -> tuple[Host, ...]:
    """Return the hosts described in these files, in order.

    A file may hold one document, a JSON list of them, or one document a line (what `gpuctl fleet facts` writes).

    Raises:
        FactsUnreadable: a file cannot be read.
        Problem: it holds no such document, or two of them describe a host of the same name.
    """
    hosts: dict[str, tuple[Host, str]] = {}
    for file in files:
        for document in documents(file):
            host = host_of(document, origin=file)
            if host.name in hosts:
                raise Problem(
                    f"two hosts are called {host.name}",
                    details=f"{hosts[host.name][1]}\n{file}",
                    resolution="give each host's facts once; a capture without a name can be named in its file's "
                    "`host` key",
                )
            hosts[host.name] = (host, file)
    return tuple(host for host, _ in hosts.values())


def host_of(document: Any, *, origin: str) -> Host:  # noqa: ANN401 - whatever a file holds
    """Return the host of one facts document.

    Raises:
        Problem: it is no gpuctl.host.facts/1 document.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, Mapping) else type(document).__name__
        raise Problem(
            f"{origin} is not a facts document",
            details=f"schema: {found}; expected {SCHEMA}",
            resolution="give the output of `gpuctl host facts -f json`",
        )
    try:
        cards = tuple(_card(gpu) for gpu in document["gpus"])
        others = {item.address: item for gpu in document["gpus"] for item in _around(gpu)}
        others |= {item["address"]: _device(item, "NVSwitch") for item in document.get("nvswitches") or ()}
        name = document["host"] or Path(origin).stem
        known = {card.address for card in cards}
        _formed(_NAME, name, "host")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Problem(
            f"{origin} is not a whole facts document",
            details=f"{type(error).__name__}: {error}",
            resolution="write it anew with `gpuctl host facts -f json`",
        ) from error
    return Host(name, cards, tuple(item for address, item in others.items() if address not in known))


def _formed(form: re.Pattern[str], value: Any, key: str) -> str:  # noqa: ANN401 - whatever a file holds
    """Return the text if it has the form; raise a ValueError that names the key if not."""
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ValueError(f"{key}: {value!r}")
    return value


def _card(gpu: Mapping[str, Any]) -> Card:
    vfs = int(gpu.get("sriov_totalvfs") or 0)
    return Card(
        address=_formed(_ADDRESS, gpu["address"], "address"),
        vendor_id=_formed(_ID, gpu["vendor_id"], "vendor_id"),
        device_id=_formed(_ID, gpu["device_id"], "device_id"),
        driver=gpu.get("driver"),
        physfn=gpu.get("physfn"),
        what=str(gpu.get("name") or "GPU"),
        device_type=gpu.get("nova_device_type") or ("type-PF" if vfs else "type-PCI"),
        numvfs=int(gpu.get("sriov_numvfs") or 0),
    )


def _device(item: Mapping[str, Any], what: str) -> Device:
    # Captures of other tools do not always tell the ids of what is not a GPU: those match no spec by id.
    return Device(
        _formed(_ADDRESS, item["address"], "address"),
        str(item.get("vendor_id") or "?"),
        str(item.get("device_id") or "?"),
        item.get("driver"),
        what=what,
    )


def _around(gpu: Mapping[str, Any]) -> Iterable[Device]:
    """The card's other functions, and what shares its IOMMU group; bridges are never given to a guest."""
    own = set()
    for item in gpu.get("functions") or ():
        own.add(item["address"])
        yield _device(item, f"{item['role']} function")
    for item in gpu.get("group_peers") or ():
        if not item.get("bridge") and item["address"] not in own:
            yield _device(item, f"class {item.get('class') or 'unknown'}")
