"""`--gpu`: which of the host's GPUs are meant. A full address, a short one, vendor:device, or all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.errors import UsageError
from gpuctl_host.facts.pci import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl_host.facts.model import Facts, Gpu

_SHORT = re.compile(r"[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")
_IDS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")
_GRAMMAR = (
    "give a full address (0000:42:00.0), a short one if only one device has it (42:00.0), "
    "vendor:device (10de:1b80), or all"
)


def select_gpus(facts: Facts, selectors: Sequence[str]) -> tuple[Gpu, ...]:
    """Return the GPUs that ``selectors`` name, each once, in the order of their addresses; no selector means all.

    Raises:
        UsageError: a selector is malformed, names nothing, or names more than one device by a short address.
    """
    chosen: dict[str, Gpu] = {}
    for selector in selectors or ("all",):
        for gpu in _select(facts, selector.strip().lower()):
            chosen[gpu.address] = gpu
    return tuple(gpu for gpu in facts.gpus if gpu.address in chosen)


def _select(facts: Facts, selector: str) -> list[Gpu]:
    if selector == "all":
        return list(facts.gpus)
    if ADDRESS.fullmatch(selector):
        return [_at(facts, selector)]
    if _SHORT.fullmatch(selector):
        return [_at(facts, _lengthened(facts, selector))]
    if _IDS.fullmatch(selector):
        found = [gpu for gpu in facts.gpus if f"{gpu.pci.vendor_id}:{gpu.pci.device_id}" == selector]
        if not found:
            raise UsageError(
                f"--gpu {selector}: no GPU here has these ids", details=_listed(facts), resolution=_hint(facts)
            )
        return found
    raise UsageError(f"--gpu {selector!r} is no selector", details=_listed(facts), resolution=_GRAMMAR)


def _at(facts: Facts, address: str) -> Gpu:
    for gpu in facts.gpus:
        if gpu.address == address:
            return gpu
    owner = next((gpu for gpu in facts.gpus if address in (item.address for item in gpu.members)), None)
    if owner is not None:
        raise UsageError(
            f"--gpu {address} is a function of the card {owner.address}, not its GPU",
            resolution=f"say --gpu {owner.address}: its other functions go with it",
        )
    function = facts.function(address)
    if function is None:
        raise UsageError(f"--gpu {address}: no PCI device is there", details=_listed(facts), resolution=_hint(facts))
    raise UsageError(
        f"--gpu {address} ({function.vendor_id}:{function.device_id}, class {function.base_class or 'unknown'}) "
        f"is no GPU of {', '.join(facts.vendors)}",
        details=_listed(facts),
        resolution=f"if it is one, add --vendor {function.vendor_id}" if function.vendor_id else _hint(facts),
    )


def _lengthened(facts: Facts, short: str) -> str:
    """The one full address that ends so, among all devices: a short address in two domains is never guessed."""
    full = [item.address for item in facts.pci or () if item.address.partition(":")[2] == short]
    if not full:
        raise UsageError(f"--gpu {short}: no PCI device is there", details=_listed(facts), resolution=_hint(facts))
    if len(full) > 1:
        raise UsageError(
            f"--gpu {short}: {len(full)} devices have this address: {', '.join(full)}",
            resolution="say which, by its full address",
        )
    return full[0]


def _listed(facts: Facts) -> str:
    return "\n".join(f"{gpu.address} {gpu.pci.vendor_id}:{gpu.pci.device_id} {gpu.name}" for gpu in facts.gpus)


def _hint(facts: Facts) -> str:
    if not facts.gpus:
        return f"this host shows no GPU of {', '.join(facts.vendors)}; another vendor's need --vendor"
    return f"one of {', '.join(gpu.address for gpu in facts.gpus)}, or all"
