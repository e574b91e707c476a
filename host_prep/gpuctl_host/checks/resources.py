"""The card's windows into memory, and its virtual functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.checks import advice, models
from gpuctl_host.checks.answer import Answer, Check, failed, passed, skipped, warned
from gpuctl_host.checks.view import ids, sysfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View
    from gpuctl_host.facts.model import PciFunction

# The kernel's words for a memory BAR, until Linux 6.8 and since (drivers/pci/setup-res.c); the number is the row's.
_NO_PLACE = re.compile(
    r"(\S+): BAR ([0-5])(?:: (?:no space for|failed to assign) \[mem"
    r"| \[mem [^]]*\]: (?:can't assign; no space|failed to assign))"
)
# nvidia's own: "NVRM: BAR1 is 0M @ 0x0 (PCI:0000:0b:00.0)". It counts BARs without the upper halves of 64-bit ones.
_NVIDIA_EMPTY = re.compile(r"NVRM: BAR([0-2]) is 0M @ 0x0 \(PCI:([0-9a-f:.]+)\)")
_NVIDIA_ROWS = (0, 1, 3)
_ROWS = 6  # of memory and I/O; behind them the ROM and the windows of virtual functions
_WIDE = 0x100000  # IORESOURCE_MEM_64


def gpu_bars(view: View) -> Iterator[Answer]:
    """Every memory BAR of the GPU has a place."""
    for gpu in view.facts.gpus:
        path = sysfs(gpu.pci, "resource")
        own = [bar for bar in gpu.pci.bars if bar.kind == "mem" and bar.size]
        lost = _lost(view, gpu.pci)
        if not own and not lost:
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
        elif lost:
            line = f"{path} has no BAR {', '.join(map(str, lost))}; {next(iter(lost.values()))}"
            yield failed(gpu.address, f"{len(lost)} of the GPU's BARs were left without a place", line, fix)
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


def _lost(view: View, pci: PciFunction) -> dict[int, str]:
    """Return what tells of each memory BAR that `resource` lists no more: a log line, or the rows around it.

    Where the kernel finds no place for a BAR it forgets its size too: the row is all zeros, as of a BAR that the card
    has not (drivers/pci/setup-bus.c, reset_resource).
    """
    shown = {bar.index for bar in pci.bars if bar.kind == "mem" and bar.size}
    missing = _window_row(pci)
    found = {} if missing is None else {missing: "the rows behind it are there, and every such card has it"}
    told: dict[int, str] = {}
    for line in view.log_lines:
        if pci.address not in line:
            continue
        by_kernel, by_nvidia = _NO_PLACE.search(line), _NVIDIA_EMPTY.search(line)
        if by_kernel and by_kernel[1] == pci.address:
            index = int(by_kernel[2])
        elif by_nvidia and by_nvidia[2] == pci.address:
            index = _NVIDIA_ROWS[int(by_nvidia[1])]
        else:
            continue
        if index not in shown:
            told.setdefault(index, f"kernel log: {line}")
    return {**found, **told}


def _window_row(pci: PciFunction) -> int | None:
    """Return the row of the window into the card's memory if it is the one that lacks; rows behind it must be shown.

    NVIDIA's is behind the registers, row 1 or (where those are 64 bits wide) row 2; AMD's is row 0.
    """
    rows = {bar.index: bar for bar in pci.bars if bar.size and bar.index < _ROWS}
    if pci.vendor_id == "10de" and 0 in rows:
        window, behind = (2, {4}) if rows[0].flags & _WIDE else (1, {3, 5})
    elif pci.vendor_id == "1002":
        window, behind = 0, {2, 5}
    else:
        return None
    return window if window not in rows and behind & set(rows) else None


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
        "The file resource: a size without a start, the flag IORESOURCE_UNSET, or a row of zeros where the rows "
        "around it or the kernel log tell of a BAR. I/O ports and the ROM are not asked for.",
        "A card without its BAR binds, and fails in the guest: 'BAR 1: no space', RmInitAdapter failed, 0 bytes of "
        "memory.",
        "Turn on Above 4G Decoding, and raise the MMIO window where there are large cards.",
        (
            "strongtz#129 and #246, kubevirt#11093",
            "tests/cases/hosts/a100-sxm4-hgx-guest-bar-no-space.yaml",
            "Linux include/linux/ioport.h, drivers/pci/setup-bus.c",
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
