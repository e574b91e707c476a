"""Which kernel arguments the next boot needs: none where the kernel's own default is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.changes.model import Refusal

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Facts

_X86 = ("x86_64", "i386", "i686", "amd64")


def choose_arguments(facts: Facts) -> tuple[tuple[str, ...], tuple[Refusal, ...], tuple[str, ...]]:
    """Return ``(arguments to add, why it cannot be done, notes)``.

    `intel_iommu=on` undoes an earlier `intel_iommu=off` (drivers/iommu/intel/iommu.c: each word is applied in its
    turn); nothing undoes `amd_iommu=off` or `iommu=off`, so those have to be taken out by whoever wrote them.
    `iommu=pt` goes with it, so that turning the IOMMU on does not slow the host's own disks and network.
    """
    if facts.iommu.enabled:
        return (), (), ()
    if facts.iommu.enabled is None:
        return (), (), ("whether the IOMMU is on cannot be seen here: nothing is added to the command line",)
    running = facts.kernel.cmdline or ()
    planned = facts.boot.configured or ()
    standing = (*running, *planned)
    for bad in ("amd_iommu=off", "iommu=off", "iommu=soft"):
        if bad in planned or (bad in running and not planned):
            return (), (_stands(bad),), ()
    if facts.iommu.firmware_tables == ():
        return (), (_no_table(facts),), ()
    intel = _is_intel(facts)
    if intel is None:
        return (), (_unknown(facts),), ()
    if not intel:
        if any(word in running for word in ("amd_iommu=off", "iommu=off")):
            return (), (), ("the IOMMU is off by the running command line only: the next boot has it on",)
        return (), (_amd_off(facts),), ()
    if "intel_iommu=on" in running and "intel_iommu=off" not in running:
        return (), (_still_off(facts),), ()
    wish = [] if _last(planned, "intel_iommu") == "on" else ["intel_iommu=on"]
    if not any(word.partition("=")[0] == "iommu" for word in standing):
        wish.append("iommu=pt")
    return tuple(wish), (), ()


def _last(words: tuple[str, ...], key: str) -> str | None:
    values = [word.partition("=")[2] for word in words if word.partition("=")[0] == key]
    return values[-1].split(",")[0] if values else None


def _is_intel(facts: Facts) -> bool | None:
    """Whether VT-d is this host's IOMMU, by the firmware's table first and by the processor else."""
    tables = facts.iommu.firmware_tables or ()
    if "DMAR" in tables:
        return True
    if "IVRS" in tables:
        return False
    if facts.system.arch is not None and facts.system.arch not in _X86:
        return None
    vendor = (facts.system.cpu_vendor or "").lower()
    if "intel" in vendor:
        return True
    return False if "amd" in vendor or "hygon" in vendor else None


def _stands(word: str) -> Refusal:
    return Refusal(
        "iommu-cmdline",
        "host",
        f"{word} is on the kernel command line, and no other argument undoes it",
        f"take {word} out where it was put (grep -rn {word} /etc/default /etc/kernel /boot/loader), "
        "then run prepare again",
    )


def _no_table(facts: Facts) -> Refusal:
    where = (
        "the hypervisor (offer a virtual IOMMU)"
        if facts.system.hypervisor
        else "the firmware set-up (VT-d, AMD-Vi, SVM)"
    )
    return Refusal(
        "iommu-firmware",
        "host",
        "the firmware has no DMAR, IVRS or IORT table (/sys/firmware/acpi/tables): no kernel "
        "argument can turn on what is not there",
        f"turn the IOMMU on in {where}, then run prepare again",
    )


def _still_off(facts: Facts) -> Refusal:
    return Refusal(
        "iommu-enabled",
        "host",
        "intel_iommu=on is in force (/proc/cmdline), yet the kernel put no device in an IOMMU group",
        f"read the DMAR lines of the kernel log of {facts.kernel.release or 'this kernel'}; most "
        "often VT-d is off or broken in the firmware",
    )


def _amd_off(facts: Facts) -> Refusal:
    return Refusal(
        "iommu-enabled",
        "host",
        "AMD's IOMMU is on by default, yet the kernel put no device in an IOMMU group",
        f"turn IOMMU on in the firmware set-up of {facts.system.vendor or 'this machine'}, then run prepare again",
    )


def _unknown(facts: Facts) -> Refusal:
    return Refusal(
        "iommu-enabled",
        "host",
        "no device is in an IOMMU group, and gpuctl does not know how to turn the IOMMU on here "
        f"({facts.system.arch or 'unknown architecture'})",
        "turn the IOMMU (SMMU) on in the firmware, then run prepare again",
    )
