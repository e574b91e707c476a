"""Plan a prepare: from what a host is, to what it shall be. Pure: the same facts give the same plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot.registry import plan_boot
from gpuctl_host.changes.arguments import choose_arguments
from gpuctl_host.changes.cards import choose_cards
from gpuctl_host.changes.fingerprint import fingerprint
from gpuctl_host.changes.guards import guard
from gpuctl_host.changes.live import plan_live
from gpuctl_host.changes.model import Plan, Refusal, Wish
from gpuctl_host.changes.modules import choose_modules
from gpuctl_host.facts.select import select_gpus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuctl_host.changes.options import Options
    from gpuctl_host.facts.model import Facts
    from gpuctl_host.finding import Finding


def plan_prepare(facts: Facts, findings: Iterable[Finding], options: Options) -> Plan:
    """Return what has to change so that the selected cards are ready for guests, or why that is refused.

    Args:
        facts: a deep reading of the host (images included).
        findings: what the checks say of these facts.
        options: what the user asked for.

    Raises:
        UsageError: a selector means nothing on this host, or more than one device.
    """
    gpus = select_gpus(facts, options.gpus or ("all",))
    notes: list[str] = []
    if not gpus:
        return _refused(facts, Wish(()), (_no_gpu(facts),))
    cards = choose_cards(facts, gpus, options)
    arguments, refusals, said = choose_arguments(facts)
    notes.extend(said)
    refusals = (*guard(facts, findings, gpus, cards, options), *refusals)
    blacklist, softdep = choose_modules(facts, cards)
    wish = Wish(
        cards=cards,
        arguments=arguments,
        blacklist=blacklist,
        softdep=softdep,
        driver_modules=tuple(sorted({card.driver.replace("-", "_") for card in cards if card.action == "bind"})),
        kernels=facts.kernel.installed,
    )
    if refusals:
        return _refused(facts, wish, refusals)
    changes, manual = plan_boot(facts, wish)
    reboot: list[str] = []
    if arguments:
        reboot.append(f"the IOMMU is off in the running kernel; {' '.join(arguments)} takes effect at the next boot")
    elif facts.iommu.enabled is False:
        reboot.append("the IOMMU is off in the running kernel, and on at the next boot")
    if facts.iommu.enabled is False:
        notes.append(
            "the IOMMU groups are not known before it is on: whether a card shares its group with something that "
            "the host needs is for `gpuctl host check` to say after the reboot"
        )
    if manual and not changes:
        # Only a person can make the next boot right: then nothing is changed, the running kernel neither.
        reboot = []
    elif options.live:
        live, waiting = plan_live(facts, cards, reboot[0] if reboot else None)
        changes = (*changes, *live)
        reboot.extend(why for why in waiting if why not in reboot)
    elif changes:
        reboot.append(
            "this is a tree, not a running host: what is written holds once the host boots from it, "
            "with its images rebuilt"
        )
    if facts.nvswitches and options.nvswitch == "leave":
        notes.append(
            f"{len(facts.nvswitches)} NVSwitches stay with the host: guests need a fabric manager there "
            "(--nvswitch guest gives all of them to one guest, with all the GPUs)"
        )
    if facts.boot.kdump:
        notes.append("kdump is set up: rebuild its image too, and try a crash dump once the host is prepared")
    return Plan(
        "prepare",
        facts.system.boot_id,
        fingerprint(facts),
        wish,
        tuple(changes),
        (),
        manual,
        tuple(reboot),
        tuple(notes),
    )


def _refused(facts: Facts, wish: Wish, refusals: tuple[Refusal, ...]) -> Plan:
    return Plan("prepare", facts.system.boot_id, fingerprint(facts), wish, (), refusals)


def _no_gpu(facts: Facts) -> Refusal:
    if facts.pci is None:
        return Refusal(
            "gpu-present", "host", "/sys/bus/pci/devices cannot be read", "run gpuctl on the host itself, as root"
        )
    whose = ", ".join(facts.vendors)
    return Refusal(
        "gpu-present",
        "host",
        f"no display or accelerator function (class 0300, 0302, 0380, 1200) of vendor {whose} among "
        f"{len(facts.pci)} PCI functions",
        "see that the cards are seated and powered (gpuctl host facts); for other vendors' cards say --vendor",
    )
