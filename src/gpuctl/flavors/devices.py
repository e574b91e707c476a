"""The device table: ids, names, aliases."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from gpuctl.flavors.data import devices_file
from gpuctl.flavors.errors import BadCatalogue

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Device:
    """One model: ``memory`` is GiB on the card, ``address_bits`` "host" where it needs more than QEMU's 40 bits."""

    id: str
    name: str
    alias: str
    memory: int | None = None
    hide_kvm: bool = False
    sriov: bool = False
    address_bits: str | int | None = None
    functions: tuple[tuple[str, str], ...] = ()
    bars: tuple[tuple[int, int], ...] = ()  # index, MiB

    @property
    def vendor(self) -> str:
        """The vendor's id."""
        return self.id[:4]


@cache
def devices(file: Path | None = None) -> tuple[Device, ...]:
    """Return the device table."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (file or devices_file()).read_text(encoding="utf-8")
    document = yaml.load(text, loader)  # noqa: S506 - both are safe loaders
    return tuple(_device(row) for row in document["devices"])


def _device(row: dict[str, Any]) -> Device:
    more = {
        **row,
        "functions": tuple((row.get("functions") or {}).items()),
        "bars": tuple((row.get("bars") or {}).items()),
    }
    return Device(**more)


def find(model: str) -> Device | None:
    """Return the device of an id ("10de:2330"), a name or an alias, in any case; None if it is not in the table."""
    asked = model.strip().lower()
    for device in devices():
        if asked in {device.id, device.name.lower(), device.alias}:
            return device
    return None


def alias_of(model: str) -> str:
    """Return the alias of a model.

    Raises:
        BadCatalogue: the table has no such model.
    """
    device = find(model)
    if device is None:
        raise BadCatalogue(
            f"no such model: {model}",
            details="known: " + ", ".join(one.name for one in devices()),
            resolution="say `alias: NAME`, the name in Nova's [pci] alias, in place of the model",
        )
    return device.alias
