"""What isolates devices: the live state in sysfs decides; tables, log and command line only explain it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.facts.model import Iommu

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpuctl_host.host import Host

GROUPS = "/sys/kernel/iommu_groups"
_UNITS = "/sys/class/iommu"
_TABLES = "/sys/firmware/acpi/tables"
_KINDS = (("dmar", "intel-vtd"), ("ivhd", "amd-vi"), ("smmu", "arm-smmu"), ("arm-smmu", "arm-smmu"))
_TABLE_NAMES = ("DMAR", "IVRS", "IORT", "VIOT")

# What the kernel prints when it has decided (drivers/iommu/intel/irq_remapping.c, drivers/iommu/amd/init.c). "IRQ
# remapping doesn't support X2APIC mode" is none of these: AMD prints it beside "Interrupt remapping enabled".
_REMAPPING_ON = (
    "DMAR-IR: Enabled IRQ remapping in ",
    "Enabled IRQ remapping in x2apic mode",
    "Enabled IRQ remapping in xapic mode",
    "Enabled Interrupt-remapping",
    "AMD-Vi: Interrupt remapping enabled",
)
_REMAPPING_OFF = (
    "interrupt remapping will be disabled",
    "interrupt remapping is being disabled",
    "interrupt remapping disabled",
    "irq remapping is disabled",
    "irq remapping disabled",
    "failed to enable irq remapping",
    "not enabling interrupt remapping",
    "disabling interrupt remapping",
)
_OFF_ARGUMENTS = ("intremap=off", "nointremap")


def read_iommu(host: Host, *, log: Sequence[str] | None, cmdline: Iterable[str] | None) -> Iommu:
    """Return the state of the IOMMU; `reserved_direct` is left to `reserved_regions`."""
    groups = sum(name.isascii() and name.isdigit() for name in host.names(GROUPS)) if host.is_dir(GROUPS) else None
    units = tuple(host.names(_UNITS))
    return Iommu(
        enabled=None if groups is None else groups > 0,
        kind=_kind(units),
        firmware_tables=_firmware_tables(host, log),
        interrupt_remapping=_interrupt_remapping(host, log, cmdline),
        groups=groups,
        units=units,
        reserved_direct=(),
    )


def reserved_regions(host: Host, groups: Iterable[int]) -> tuple[tuple[int, str], ...]:
    """Return (group, "start end") of each region that must stay mapped 1:1, which VFIO refuses to give away.

    `direct-relaxable` regions (graphics, USB) do no harm: Documentation/ABI/testing/sysfs-kernel-iommu_groups.
    """
    found = []
    for group in sorted(set(groups)):
        for line in (host.word(f"{GROUPS}/{group}/reserved_regions") or "").split("\n"):
            words = line.split()
            if len(words) == 3 and words[2] == "direct":
                found.append((group, f"{words[0]} {words[1]}"))
    return tuple(found)


def _kind(units: Iterable[str]) -> str | None:
    """By the names of the units: dmar0, ivhd0, smmu3.0x...; POWER's and virtio's are none of the three."""
    for unit in units:
        for start, kind in _KINDS:
            if unit.startswith(start):
                return kind
    return None


def _firmware_tables(host: Host, log: Sequence[str] | None) -> tuple[str, ...] | None:
    if host.is_dir(_TABLES):
        present = set(host.names(_TABLES))
        return tuple(name for name in _TABLE_NAMES if name in present)
    listed = {line[6:10] for line in log or () if line.startswith("ACPI: ") and line[10:13] == " 0x"}
    return tuple(name for name in _TABLE_NAMES if name in listed) if listed else None


def _interrupt_remapping(host: Host, log: Sequence[str] | None, cmdline: Iterable[str] | None) -> bool | None:
    """The I/O APIC's interrupt chip proves it; else the kernel's own words; else an argument that turns it off."""
    proven = _chips(host)
    if proven is not None:
        return proven
    said: bool | None = None
    for line in log or ():
        if "emapping" not in line:  # cheap: nearly every line
            continue
        if any(words in line for words in _REMAPPING_ON):
            said = True
        elif any(words in line.lower() for words in _REMAPPING_OFF):
            said = False
    if said is None and any(argument in _OFF_ARGUMENTS for argument in cmdline or ()):
        return False
    return said


def _chips(host: Host) -> bool | None:
    """Read the chips of the legacy interrupts (IR-IO-APIC, or IO-APIC); arm64's ITS isolates MSIs by itself."""
    for number in (9, 8, 1, 4, *range(10, 24)):
        chip = host.attributes(f"/sys/kernel/irq/{number}", ("chip_name",)).get("chip_name", "")
        if chip.startswith("IR-"):
            return True
        if chip.startswith("IO-APIC"):
            return False
        if chip.startswith("ITS-"):
            return True
    return None
