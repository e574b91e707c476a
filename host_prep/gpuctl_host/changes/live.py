"""The steps that take hold at once, on the running kernel; what is not safe to do there waits for the reboot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.changes.model import BIND, MODULE, NONE, OVERRIDE, REMOVE, SERVICE, UNBIND, Change

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Card, Facts, PciFunction


def plan_live(
    facts: Facts, cards: tuple[Card, ...], reboot_first: str | None
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """Return ``(steps for the running kernel, why a reboot is needed)``.

    Args:
        facts: what is there now.
        cards: what shall be.
        reboot_first: why nothing can be done before a reboot (the IOMMU is off), or None.
    """
    open_cards = [card for card in cards if not _holds(facts, card)]
    if not open_cards:
        return (), ()
    if reboot_first:
        return (), (reboot_first,)
    if facts.iommu.enabled is not True:
        return (), ("the cards go to vfio-pci at the next boot: whether the IOMMU is on now cannot be seen",)
    waiting = {card.address.rpartition(".")[0]: why for card in open_cards for why in [_unsafe(facts, card)] if why}
    steps: list[Change] = []
    for module in sorted({card.driver for card in open_cards if card.action == "bind"}):
        name = module.replace("-", "_")
        if facts.software.vfio_pci == "builtin" and name == "vfio_pci":
            continue
        if name not in (facts.kernel.modules or ()):
            steps.append(Change(MODULE, name, None, name, "the driver that gives a card to a guest", NONE))
    for card in open_cards:
        if card.address.rpartition(".")[0] not in waiting:
            steps.extend(_steps(facts, card))
    if waiting and not any(step.kind != MODULE for step in steps):
        steps = []
    return tuple(steps), tuple(f"{slot}: {why}" for slot, why in sorted(waiting.items()))


def _holds(facts: Facts, card: Card) -> bool:
    """Whether the running kernel is already as the card wants it."""
    function = facts.function(card.address)
    if card.action == "remove":
        return function is None
    return function is not None and function.driver == card.driver and function.driver_override in (card.driver, None)


def _unsafe(facts: Facts, card: Card) -> str | None:
    """Why this function is better left alone until the reboot; None if it can be changed now."""
    function = facts.function(card.address)
    if function is None:
        return f"{card.address} was removed earlier; it comes back, to be bound, at the next boot"
    if function.boot_vga:
        return "the firmware chose it as the console; its driver is not taken away from under a running console"
    if _framebuffer(facts, function):
        return "a boot framebuffer holds its memory until the reboot"
    if function.driver in ("nvidia", "amdgpu", "radeon", "i915", "xe", "nouveau", "nova_core"):
        # Unbinding a display driver can block in the kernel for ever, or take the console along (host-field.md 59, 60).
        return f"it is on {function.driver}, which does not let go of a card reliably while the host runs"
    return None


def _framebuffer(facts: Facts, function: PciFunction) -> bool:
    names = ("BOOTFB", "simplefb", "simpledrm", "efifb", "vesafb")
    ranges = [(start, end) for _, start, end, name in facts.iomem or () if name in names]
    return any(
        bar.kind == "mem" and bar.size and bar.start <= start < bar.start + bar.size
        for bar in function.bars
        for start, _ in ranges
    )


def _steps(facts: Facts, card: Card) -> list[Change]:
    function = facts.function(card.address)
    if function is None:  # _unsafe() has said so
        return []
    if card.action == "remove":
        ids = f"{function.vendor_id}:{function.device_id}"
        why = f"the audio function of the card ({ids}): nobody may bind it, and the group needs no driver for it"
        return [Change(REMOVE, card.address, function.driver, None, why, SERVICE if function.driver else NONE)]
    steps = []
    if function.driver_override != card.driver:
        steps.append(
            Change(
                OVERRIDE,
                card.address,
                function.driver_override,
                card.driver,
                "only this driver may take this function",
                NONE,
            )
        )
    if function.driver and function.driver != card.driver:
        steps.append(Change(UNBIND, card.address, function.driver, None, f"taken from {function.driver}", SERVICE))
    if function.driver != card.driver:
        steps.append(Change(BIND, card.address, None, card.driver, "ready for a guest", NONE))
    return steps
