"""The card's windows into memory, and its virtual functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import advice, models
from gpuctl_host.checks.answer import Answer, Check, failed, passed, skipped, warned
from gpuctl_host.checks.view import ids, sysfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View


def gpu_bars(view: View) -> Iterator[Answer]:
    """Every memory BAR of the GPU has a place."""
    for gpu in view.facts.gpus:
        path = sysfs(gpu.pci, "resource")
        own = [bar for bar in gpu.pci.bars if bar.kind == "mem" and bar.size]
        if not own:
            yield skipped(gpu.address, "the GPU's BARs could not be read", f"{path} lists none")
            continue
        homeless = [bar for bar in own if not bar.assigned]
        virtual = [bar for bar in gpu.pci.vf_bars if bar.size and not bar.assigned]
        fix = f"turn on in the firmware: {advice.knob(view, 'mmio')}"
        if view.is_guest:
            fix = (
                "give this guest a larger 64-bit PCI window (OVMF: opt/ovmf/X-PciMmio64Mb), or more physical address "
                "bits"
            )
        if homeless:
            told = view.log(gpu.address, "BAR", "no space", limit=1) or view.log(
                gpu.address, "BAR", "failed to assign", limit=1
            )
            line = (
                f"{path}: "
                + ", ".join(f"BAR {bar.index} of {_size(bar.size)}" for bar in homeless)
                + (f"; kernel log: {told[0]}" if told else "")
            )
            yield failed(gpu.address, f"{len(homeless)} of the GPU's BARs were left without a place", line, fix)
        elif virtual and gpu.pci.sriov_totalvfs:
            line = f"{path}: " + ", ".join(f"resource {bar.index} of {_size(bar.size)}" for bar in virtual)
            yield warned(
                gpu.address,
                "the BARs of the virtual functions were left without a place",
                line,
                f"turn on in the firmware: {advice.knob(view, 'sriov')}",
            )
        else:
            yield passed(
                gpu.address,
                "every BAR of the GPU has a place",
                f"{path}: " + ", ".join(f"BAR {bar.index} {_size(bar.size)}" for bar in own),
            )


def gpu_sriov(view: View) -> Iterator[Answer]:
    """What Nova will call the card: by its SR-IOV capability, not by its name."""
    for gpu in view.facts.gpus:
        total, active, path = gpu.pci.sriov_totalvfs, gpu.pci.sriov_numvfs, sysfs(gpu.pci, "sriov_totalvfs")
        if active:
            fix = (
                f"end what uses them, then `echo 0 > {sysfs(gpu.pci, 'sriov_numvfs')}`: with virtual functions on, "
                "the card itself cannot be given away"
            )
            yield failed(
                gpu.address,
                f"{active} virtual functions are enabled on the GPU",
                f"{sysfs(gpu.pci, 'sriov_numvfs')}: {active}",
                fix,
            )
        elif total:
            fix = "say `device_type: type-PF` in the card's Nova alias (gpuctl nova configure does)"
            yield warned(gpu.address, "the GPU is SR-IOV capable: Nova calls it type-PF", f"{path}: {total}", fix)
        elif gpu.pci.physfn:
            yield passed(
                gpu.address, "the GPU is a virtual function: type-VF", f"{sysfs(gpu.pci, 'physfn')} -> {gpu.pci.physfn}"
            )
        elif ids(gpu.pci) in models.SRIOV:
            said = f"{path} is not there or 0, yet cards of {ids(gpu.pci)} have SR-IOV"
            fix = f"see whether it is on in the firmware: {advice.knob(view, 'sriov')}"
            yield skipped(gpu.address, "whether Nova will call it type-PF or type-PCI could not be seen", said, fix)
        else:
            yield passed(gpu.address, "the GPU has no SR-IOV: Nova calls it type-PCI", f"{path} is not there, or 0")


def _size(size: int) -> str:
    for unit, power in (("G", 30), ("M", 20), ("K", 10)):
        if size >= 1 << power:
            return f"{size >> power}{unit}"
    return str(size)


CHECKS = (
    Check(
        "gpu-bars",
        gpu_bars,
        "Has each BAR a place?",
        "Fails when a memory BAR of the GPU was left unassigned. Warns when the windows of its virtual functions were.",
        "The file resource: a size without a start, or the flag IORESOURCE_UNSET. I/O ports and the ROM are not "
        "asked for.",
        "A card without its BAR binds, and fails in the guest: 'BAR 1: no space', RmInitAdapter failed, 0 bytes of "
        "memory.",
        "Turn on Above 4G Decoding, and raise the MMIO window where there are large cards.",
        (
            "strongtz#129 and #246, kubevirt#11093",
            "tests/cases/hosts/a100-sxm4-hgx-guest-bar-no-space.yaml",
            "Linux include/linux/ioport.h",
        ),
    ),
    Check(
        "gpu-sriov",
        gpu_sriov,
        "What does Nova call the card?",
        "Warns when the GPU is SR-IOV capable (type-PF). Fails when virtual functions are enabled on it.",
        "sriov_totalvfs, sriov_numvfs and physfn.",
        "Nova goes by the capability: an alias without device_type: type-PF finds no such card, and the server is "
        "never scheduled.",
        "Say type-PF in the alias; disable the virtual functions before the card is given away.",
        (
            "nova/pci and its libvirt driver's node device parsing",
            "DRA driver verifyDisabledVFs",
            "virt_functions in libvirt's dumps of A10 and A100",
        ),
    ),
)
