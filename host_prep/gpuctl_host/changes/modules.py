"""Keep the host's own drivers off the cards: by blacklist where no device that the host keeps needs the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Card, Facts, PciFunction

# Drivers that would take a card's function at boot, by vendor and class of the function. Only these are ever
# blacklisted: host-wide drivers (xhci_hcd, ...) never, override alone keeps them away.
# nova_core is the kernel's new Rust driver for NVIDIA cards (6.15 and later).
_DISPLAY = {
    "10de": ("nouveau", "nvidia", "nvidia_drm", "nvidia_modeset", "nvidiafb", "nova_core"),
    "1002": ("amdgpu", "radeon"),
    "8086": ("i915", "xe"),
}
_SOUND = ("snd_hda_intel",)
_UCSI = {"10de": ("i2c_nvidia_gpu",)}


def rivals(vendor: str | None, base_class: str) -> tuple[str, ...]:
    """Return the drivers of the host that would take a function of this vendor and class at boot."""
    if base_class[:2] == "03" or base_class in ("1200", "0680"):
        return _DISPLAY.get(vendor or "", ())
    if base_class == "0403":
        return _SOUND
    if base_class == "0c80":
        return _UCSI.get(vendor or "", ())
    return ()


def choose_modules(facts: Facts, cards: tuple[Card, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return ``(blacklist, softdep)``: drivers that nothing else needs, and drivers that shall load after vfio-pci."""
    taken = {card.address for card in cards}
    wanted: dict[str, None] = {}
    for card in cards:
        function = facts.function(card.address)
        # A function that was removed earlier is not to be seen; what is removed is an audio function.
        base = function.base_class if function else "0403" if card.action == "remove" else ""
        for driver in rivals(card.vendor_id, base):
            wanted[driver] = None
    kept = [item for item in facts.pci or () if item.address not in taken]
    needed = {driver for item in kept for driver in _needs(facts, item)}
    blacklist = tuple(driver for driver in wanted if driver not in needed)
    softdep = tuple(driver for driver in wanted if driver in needed)
    return blacklist, softdep


def _needs(facts: Facts, item: PciFunction) -> set[str]:
    """The drivers that a device which the host keeps may want: bound now, by alias, or by its class."""
    found = {driver.replace("-", "_") for driver in (item.driver,) if driver}
    found.update(facts.claims.get(item.address, ()))
    found.update(rivals(item.vendor_id, item.base_class))
    if item.driver == "nvidia-nvswitch":  # a part of nvidia.ko
        found.add("nvidia")
    return found
