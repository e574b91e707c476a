"""Which functions a prepare takes charge of, what it does with each, and by which driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.facts.model import Card

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuctl_host.changes.options import Options
    from gpuctl_host.facts.model import Facts, Gpu, PciFunction

BIND, REMOVE = "bind", "remove"
VFIO = "vfio-pci"


def choose_cards(facts: Facts, gpus: Iterable[Gpu], options: Options) -> tuple[Card, ...]:
    """Return every function to take charge of: those of ``gpus``, and those that an earlier prepare took.

    A function that was removed is not in sysfs any more; only the record remembers it, so a plan made from what is
    seen alone would let it come back at the next boot (facts/kernel-lab.md, 5b).
    """
    chosen: dict[str, Card] = {card.address: card for card in (facts.record.cards if facts.record else ())}
    for gpu in gpus:
        for role, function in (("gpu", gpu.pci), *gpu.functions):
            action = _action(role, options.audio)
            if action is None:
                chosen.pop(function.address, None)
                continue
            chosen[function.address] = _card(facts, function, action)
        for card in _removed_before(facts, gpu) if options.audio != REMOVE else ():
            # Removed before, and now to be kept: it comes back with the next boot, and is then bound or left.
            chosen.pop(card.address)
            if options.audio == BIND:
                chosen[card.address] = _again(card, BIND, VFIO)
    if options.nvswitch == "guest":
        for switch in facts.nvswitches:
            chosen[switch.address] = _card(facts, switch, BIND)
    return tuple(chosen[address] for address in sorted(chosen))


def _removed_before(facts: Facts, gpu: Gpu) -> list[Card]:
    """The functions of the card that an earlier prepare took off the bus, and that are still gone."""
    recorded = facts.record.cards if facts.record else ()
    slot = [card for card in recorded if card.address.rpartition(".")[0] == gpu.pci.slot]
    return [card for card in slot if card.action == REMOVE and facts.function(card.address) is None]


def _again(card: Card, action: str, driver: str) -> Card:
    return Card(
        card.address,
        card.vendor_id,
        card.device_id,
        card.subsystem_vendor,
        card.subsystem_device,
        action,
        driver,
        card.path,
    )


def _action(role: str, audio: str) -> str | None:
    """What is done with a function of this role; None: it stays as it is."""
    if role != "audio":
        return BIND
    return {"remove": REMOVE, "bind": BIND, "leave": None}[audio]


def _card(facts: Facts, function: PciFunction, action: str) -> Card:
    return Card(
        address=function.address,
        vendor_id=function.vendor_id or "ffff",
        device_id=function.device_id or "ffff",
        subsystem_vendor=function.subsystem_vendor or "-",
        subsystem_device=function.subsystem_device or "-",
        action=action,
        driver="-" if action == REMOVE else driver_for(facts, function),
        path=function.path,
    )


def driver_for(facts: Facts, function: PciFunction) -> str:
    """Return the VFIO driver for ``function``: the kernel's variant for this very device if it has one, else vfio-pci.

    The name is the driver's, not the module's: a variant that is already registered says its own name below
    /sys/bus/pci/drivers, and the module's name has underscores where some drivers have dashes.
    """
    variant = facts.variants.get(function.address)
    if variant is None:
        return VFIO
    return next((name for name in facts.pci_drivers if name.replace("-", "_") == variant), variant.replace("_", "-"))
