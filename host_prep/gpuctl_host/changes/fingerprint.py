"""What a plan rests on, as one hash: the same host gives the same, whatever the time and the load."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from gpuctl_host.changes.past import image_of
from gpuctl_host.data import plain

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Facts, PciFunction

# What moves by itself on a host that nobody touches (runtime power management), or is only there to be shown.
_RESTLESS = {"power_state", "power_control", "bars", "reset_methods", "numa_node", "modalias"}


def digest(value: object) -> str:
    """Return the sha256 of a JSON value; the order of an object's keys does not count."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def fingerprint(facts: Facts) -> str:
    """Return the sha256 over what a plan rests on: boot, devices, users, files and what boots next."""
    return digest(
        {
            "boot_id": facts.system.boot_id,
            "kernel": [facts.kernel.release, plain(facts.kernel.cmdline), plain(facts.kernel.installed)],
            "iommu": [facts.iommu.enabled, facts.iommu.kind, facts.iommu.interrupt_remapping],
            "pci": None if facts.pci is None else [_function(item) for item in facts.pci],
            "gpus": [[gpu.address, _holders(gpu.holders)] for gpu in facts.gpus],
            "boot": plain(facts.boot),
            "modprobe": plain(facts.modprobe),
            "needs": plain(facts.needs),
            "foreign": plain(facts.foreign),
            "record": plain(facts.record),
            "vfio": facts.software.vfio_pci,
            "files": {path: plain(image_of(state)) for path, state in facts.files.items()},
        }
    )


def _function(item: PciFunction) -> dict[str, Any]:
    return {key: value for key, value in plain(item).items() if key not in _RESTLESS}


def _holders(holders: Any) -> Any:  # noqa: ANN401 - records in, JSON out
    """Who uses a card, without the pids that change from one reading to the next."""
    return (
        None if holders is None else sorted({(item.kind, item.pid is None and item.name) for item in holders}, key=str)
    )
