"""Who can take the card first at the next boot, and what a blacklist takes away besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import advice, arguments, models
from gpuctl_host.checks.answer import HOST, Answer, Check, passed, skipped, warned
from gpuctl_host.checks.view import named, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View
    from gpuctl_host.facts.model import Gpu, PciFunction

_RECORD = "/etc/gpuctl/cards"
# Drivers that take no card with modeset=0, or where nomodeset stands and no modeset of their own
# (nouveau_drm.c, amdgpu_drv.c, radeon_drv.c, i915_module.c, xe_module.c); NVIDIA's own driver does not ask.
_DRM = ("nouveau", "amdgpu", "radeon", "i915", "xe")


def driver_blacklist(view: View) -> Iterator[Answer]:
    """No host driver can take the card first, and no blacklist takes what the host needs."""
    kept = _kept_away(view)
    away = {**_idle(view), **kept}
    for gpu in view.facts.gpus:
        yield _first(view, gpu, away)
    yield from _too_much(view, kept)


def _kept_away(view: View) -> dict[str, str]:
    """Return module -> what keeps it from loading before vfio-pci."""
    builtin = set(view.facts.kernel.builtin or ())
    kept: dict[str, str] = {}
    for rule in view.facts.modprobe or ():
        module = plain(rule.module)
        never = rule.command == "install" and rule.rest.split()[:1] in (
            ["/bin/false"],
            ["/bin/true"],
            ["/usr/bin/false"],
            ["/usr/bin/true"],
        )
        later = rule.command == "softdep" and "vfio" in rule.rest.partition("post:")[0]
        away = rule.command == "alias" and rule.rest.split()[:1] == ["off"]
        if module not in builtin and (rule.command == "blacklist" or never or later or away):
            kept.setdefault(
                module,
                f"{rule.path}:{rule.line}: {rule.command} {rule.module}" + (f" {rule.rest}" if rule.rest else ""),
            )
    for module, item in arguments.blacklisted(_line(view)):
        if module not in builtin or item.name == "module_blacklist":
            kept.setdefault(module, f"kernel command line: {item.text}")
    return kept


def _idle(view: View) -> dict[str, str]:
    """Return module -> what makes it take no card, though it loads."""
    line = _line(view)
    found: dict[str, str] = {}
    for module in _DRM:
        asked = arguments.last(line, f"{module}.modeset") or arguments.last(line, "nomodeset")
        if asked:
            if asked.name == "nomodeset" or asked.value == "0":
                found[module] = f"kernel command line: {asked.text}"
            continue
        for rule, option in view.module_options(module):
            if option.name == "modeset" and module not in (view.facts.kernel.builtin or ()):
                found.pop(module, None)  # the last one holds
                if option.value == "0":
                    found[module] = f"{rule.path}:{rule.line}: options {rule.module} {rule.rest}"
    return found


def _line(view: View) -> tuple[arguments.Argument, ...]:
    return view.next if view.next_entry and view.next_entry.cmdline is not None else view.running


def _first(view: View, gpu: Gpu, kept: dict[str, str]) -> Answer:
    """Whether a host driver can still be first at this card."""
    audio = next((item for role, item in gpu.functions if role == "audio"), None)
    claims = [
        item.path
        for item in view.facts.foreign
        if gpu.address in item.addresses and "driverctl" in item.path + item.what
    ]
    card = view.cards.get(gpu.address)
    if card and card.action == "bind":
        return passed(
            gpu.address,
            "the card is taken in the initramfs, before any driver loads",
            f"{_RECORD}: {card.address} {card.action} {card.driver}",
        )
    if claims:
        return passed(gpu.address, "driverctl keeps host drivers away", f"{claims[0]} names {gpu.address}")
    rivals = _rivals(view, gpu.pci) + (["snd_hda_intel"] if audio else [])
    free = [name for name in rivals if name not in kept]
    if not free:
        said = "; ".join(kept[name] for name in rivals) or f"no known host driver for vendor {gpu.pci.vendor_id}"
        return passed(gpu.address, "host drivers are kept away at boot", said)
    if view.facts.modprobe is None:
        return skipped(gpu.address, "what keeps host drivers away could not be seen", "/etc/modprobe.d is not there")
    said = "; ".join(kept[name] for name in rivals if name in kept)
    evidence = f"/etc/modprobe.d and the command line: no blacklist or softdep for {', '.join(free)}, no {_RECORD}" + (
        f"; there is {said}" if said else ""
    )
    return warned(
        gpu.address,
        f"{' and '.join(free)} can take the card first at the next boot",
        evidence,
        advice.prepare(view, gpu.address),
    )


def _rivals(view: View, function: PciFunction) -> list[str]:
    """Return the host drivers for it: the kernel's own always, the others where this host shows them."""
    names = models.HOST_DRIVERS.get(function.vendor_id or "", ())
    found = [name for index, name in enumerate(names) if index == 0 or name in view.drivers_here]
    host = view.host_driver(function)
    if host and plain(host) not in found:
        found.append(plain(host))
    return found


def _too_much(view: View, kept: dict[str, str]) -> Iterator[Answer]:
    """What a blacklist takes that the host keeps: another card's sound, the console's display."""
    hard = {name: why for name, why in kept.items() if "softdep" not in why}
    if "snd_hda_intel" in hard:
        sound = [item for item in view.pci if item.base_class == "0403" and item.address not in view.selected]
        if sound:
            title = "the blacklist of snd_hda_intel takes the host's own sound too"
            yield warned(
                HOST,
                title,
                f"{hard['snd_hda_intel']}; {named(sound)}",
                "take the line out after `gpuctl host prepare`: it keeps the card's function away by address",
            )
    for item in view.pci:
        if not item.base_class.startswith("03") or item.address in view.selected:
            continue
        console = item.boot_vga or (item.address in view.needs and view.needs[item.address].why == "console")
        lost = [name for name in _rivals(view, item) if name in hard]
        if console and lost:
            fix = "take the line out after `gpuctl host prepare`, unless the host is meant to be without a display"
            yield warned(
                HOST,
                f"the blacklist of {lost[0]} takes the host's console",
                f"{hard[lost[0]]}; the console is {named([item])}",
                fix,
            )


CHECKS = (
    Check(
        "driver-blacklist",
        driver_blacklist,
        "Who takes the card at the next boot?",
        "Warns when nouveau, nvidia, amdgpu, i915 or snd_hda_intel can still load before vfio-pci, and when a "
        "blacklist takes a device that the host needs.",
        "blacklist, install, softdep and alias lines of modprobe's configuration; modprobe.blacklist= and "
        "module_blacklist=; nomodeset and modeset=0; modules.builtin; "
        "our own record of cards; driverctl's overrides.",
        "A card that is on vfio-pci today can be on nouveau tomorrow. And a blacklist acts by driver: it takes "
        "onboard sound, and every other card of that driver.",
        "gpuctl host prepare takes the card by address in the initramfs, and blacklists only what no kept device "
        "needs.",
        (
            "measured on Linux 6.1 in QEMU: which pieces matter",
            "bryansteiner#22, openshift-docs#106357",
            "kmod modprobe.d(5): blacklist only stops loading by alias",
        ),
    ),
)
