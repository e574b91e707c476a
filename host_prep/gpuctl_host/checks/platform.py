"""The machine below: the processor's virtualization, and what the firmware says of an IOMMU."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.checks import advice
from gpuctl_host.checks.answer import HOST, Answer, Check, failed, passed, skipped, warned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View

# "kvm: disabled by bios", "x86/cpu: VMX (outside TXT) disabled by BIOS"; since Linux 6.3 also "kvm_amd: SVM disabled
# (by BIOS) in MSR_VM_CR on CPU 0" and "kvm_intel: VMX not enabled (by BIOS) in MSR_IA32_FEAT_CTL on CPU 0".
_CPU_OFF = re.compile(r"(kvm|VMX|SVM).*(disabled|not enabled) (by bios|\(by BIOS\))", re.IGNORECASE)
# Both modules may be tried: "kvm: no hardware support for 'kvm_intel'", since Linux 6.3 "kvm_amd: SVM not supported by
# CPU 0, ..."; that of the other maker's processor says nothing.
_CPU_LACKS = re.compile(
    r"no hardware support for '(kvm_intel|kvm_amd)'|^(kvm_intel|kvm_amd): (?:VMX|SVM) not supported"
)
_MODULES = {"GenuineIntel": "kvm_intel", "AuthenticAMD": "kvm_amd", "HygonGenuine": "kvm_amd"}
# What it prints of a table that it has read: proof that there is one, though the tables were not seen.
_READ = re.compile(
    r"^(DMAR: (Host address width|DRHD base|RMRR base|ATSR flags|dmar\d+: reg_base_addr)"
    r"|dmar: (Host address width|DRHD base|RMRR base|ATSR flags|IOMMU \d+: reg_base_addr)"  # until Linux 4.1
    r"|(pci \S+: )?AMD-Vi: (Found IOMMU|IOMMU performance counters)|ACPI: IORT: SMMU-v3)"
)
# The kernel gave the table up (drivers/iommu/intel/dmar.c, drivers/iommu/amd/init.c). "BIOS is broken; bad RMRR" is no
# such word: it goes on without that region.
_GIVEN_UP = re.compile(
    r"(DMAR|AMD-Vi|IVRS|IORT).*(table failure|BIOS is broken(?!; bad RMRR)|returns all ones|[Cc]hecksum|failed to pars)"
    r"|BIOS is broken; DMAR"
)
# It complained; what that means, the groups tell.
_COMPLAINT = re.compile(
    r"(DMAR|AMD-Vi|IVRS|IORT).*Firmware Bug|\[Firmware Bug\].*(DMAR|AMD-Vi|IVRS|IORT|RMRR)|BIOS is broken; DMAR"
)


def cpu_virtualization(view: View) -> Iterator[Answer]:
    """The processor offers vmx or svm, and the firmware left it on."""
    system = view.facts.system
    if view.foreign_arch:
        yield skipped(
            HOST,
            f"{view.foreign_arch} has neither vmx nor svm",
            f"architecture {view.foreign_arch}: this question is about x86",
        )
        return
    if system.dom0:
        yield skipped(
            HOST, "Xen keeps the processor's virtualization to itself", "this is Xen's dom0: its flags show none"
        )
        return
    off = next((line for line in view.log_lines if _CPU_OFF.search(line) or _lacks(view, line)), None)
    loaded = bool({"kvm_intel", "kvm_amd"} & set(view.facts.kernel.modules or ()))
    if system.cpu_virtualization and not (off and not loaded):
        yield passed(
            HOST,
            f"the processor offers {system.cpu_virtualization}",
            f"/proc/cpuinfo: flag {system.cpu_virtualization}",
        )
    elif system.cpu_virtualization is None and not system.cpu_flags_seen and not off:
        yield skipped(HOST, "the processor's flags could not be read", "/proc/cpuinfo shows no flags")
    else:
        seen = "neither vmx nor svm among the flags" if system.cpu_flags_seen else "flags not seen"
        if system.cpu_virtualization:
            seen = f"flag {system.cpu_virtualization}, but kvm is not loaded"
        why = f"; kernel log: {off}" if off else ""
        fix = f"turn on in the firmware: {advice.knob(view, 'cpu')}; then switch the machine off and on"
        if view.is_guest:
            fix = "give this guest the host's CPU model with nested virtualization, or prepare the machine below it"
        yield failed(HOST, "the processor's virtualization is off", f"/proc/cpuinfo: {seen}{why}", fix)


def _lacks(view: View, line: str) -> bool:
    """Whether KVM said of this maker's processor that it has no virtualization."""
    found = _CPU_LACKS.search(line)
    return found is not None and (found[1] or found[2]) == _MODULES.get(view.facts.system.cpu_vendor or "")


def iommu_firmware(view: View) -> Iterator[Answer]:
    """The firmware describes an IOMMU, and the kernel can read what it says."""
    iommu = view.facts.iommu
    tables = iommu.firmware_tables
    log = view.log_lines
    given_up = next((line for line in log if _GIVEN_UP.search(line)), None)
    complaint = next((line for line in log if _COMPLAINT.search(line)), None)
    known = f"/sys/firmware/acpi/tables: {', '.join(tables) if tables else 'no DMAR, IVRS or IORT'}"
    seen = known if tables is not None else "the tables were not seen"
    if given_up and not iommu.enabled:
        yield failed(
            HOST,
            "the kernel cannot use the firmware's IOMMU table",
            f"{seen}; kernel log: {complaint or given_up}",
            f"bring the firmware of {_machine(view)} up to date, or boot a kernel that bears with this table",
        )
    elif complaint:
        works = f"{iommu.groups} IOMMU groups" if iommu.enabled else "no IOMMU group"
        if iommu.enabled is None:
            works = "whether the IOMMU works in spite of it could not be seen"
        yield warned(
            HOST,
            "the kernel found a fault in the firmware's IOMMU table",
            f"{works}; kernel log: {complaint}",
            f"look for newer firmware of {_machine(view)}",
        )
    elif iommu.enabled:
        yield passed(HOST, "the firmware describes an IOMMU", f"{seen}; {iommu.groups} IOMMU groups")
    elif not tables and (read := next((line for line in log if _READ.search(line)), None)):
        yield passed(HOST, "the firmware describes an IOMMU", f"{seen}; kernel log: {read}")
    elif tables is None:
        yield skipped(HOST, "the firmware's tables could not be seen", "/sys/firmware/acpi/tables cannot be read")
    elif tables:
        yield passed(HOST, "the firmware describes an IOMMU", known)
    elif view.foreign_arch and view.foreign_arch != "aarch64":
        yield skipped(
            HOST, f"{view.foreign_arch} describes its IOMMU elsewhere", f"{known}; architecture {view.foreign_arch}"
        )
    elif view.is_guest:
        yield failed(
            HOST,
            "this guest has no virtual IOMMU",
            known,
            "give the guest a virtual IOMMU with interrupt remapping (QEMU: -device intel-iommu,intremap=on), or "
            "prepare the machine below it",
        )
    else:
        yield failed(
            HOST,
            "the firmware describes no IOMMU",
            known,
            f"turn on in the firmware: {advice.knob(view, 'iommu')}; if it has no such switch, this machine cannot "
            "pass a card through",
        )


def _machine(view: View) -> str:
    system = view.facts.system
    return " ".join(part for part in (system.vendor, system.product) if part) or "this machine"


CHECKS = (
    Check(
        "cpu-virtualization",
        cpu_virtualization,
        "Does the processor offer virtualization?",
        "Fails when neither vmx nor svm is there, or the firmware switched it off. Skipped on other architectures "
        "than x86.",
        "The flags in /proc/cpuinfo; whether kvm_intel or kvm_amd is loaded where the log says 'disabled by BIOS' or "
        "'not supported'.",
        "Without it no guest runs with KVM, whatever the IOMMU does. It is a question of its own: a missing flag "
        "says nothing about the IOMMU.",
        "Turn on VT-x or SVM in the firmware, then switch the machine off and on.",
        (
            "libvirt virt-host-validate mixes both questions",
            "Linux arch/x86/kernel/cpu/feat_ctl.c",
        ),
    ),
    Check(
        "iommu-firmware",
        iommu_firmware,
        "Does the firmware describe an IOMMU?",
        "Fails when none of the ACPI tables DMAR, IVRS and IORT is there, or the kernel could not use the table. "
        "Warns when it works in spite of a fault.",
        "The names in /sys/firmware/acpi/tables; the kernel log for complaints about them.",
        "The kernel learns of the IOMMU from these tables alone. A broken one leaves it off although the command "
        "line asks for it.",
        "Turn the IOMMU on in the firmware, or bring the firmware up to date.",
        (
            "iommu mailing list 2020-02-03, 'No firmware reserved region can cover this RMRR'",
            "linuxboot/heads#286",
        ),
    ),
)
