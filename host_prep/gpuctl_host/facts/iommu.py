"""What isolates devices: the live state in sysfs decides; tables, log and command line only explain it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.facts.model import Iommu

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpuctl_host.facts.model import PciFunction
    from gpuctl_host.host import Host

GROUPS = "/sys/kernel/iommu_groups"
_UNITS = "/sys/class/iommu"
_TABLES = "/sys/firmware/acpi/tables"
_KINDS = (("dmar", "intel-vtd"), ("ivhd", "amd-vi"), ("smmu", "arm-smmu"), ("arm-smmu", "arm-smmu"))
# Xen keeps the DMAR to itself: its dom0 finds the table renamed (xen/drivers/passthrough/vtd/dmar.c, acpi_dmar_zap).
_TABLE_NAMES = ("DMAR", "IVRS", "IORT", "VIOT", "XMAR")
_KIND_OF_TABLE = {"DMAR": "intel-vtd", "IVRS": "amd-vi", "IORT": "arm-smmu"}
# drivers/iommu/intel/iommu.c (before Linux 4.2 as PCI-DMA:), drivers/iommu/amd/init.c
_AT_WORK = (
    (": Intel(R) Virtualization Technology for Directed I/O", "intel-vtd"),
    ("AMD-Vi: Found IOMMU ", "amd-vi"),
    ("AMD-Vi: Interrupt remapping enabled", "amd-vi"),
)
# Where a table lies, as drivers/acpi/tables.c prints it (before Linux 4.5 without the 0x), and that it is kept
# (since 5.12). Tables that are loaded later are printed alike: only a list that began at the root table is whole.
_LISTED = re.compile(r"ACPI: ([A-Z0-9]{4}) (?:0x)?[0-9A-Fa-f]{6,16}\b|ACPI: Reserving ([A-Z0-9]{4}) table memory")
_ROOT_TABLES = frozenset(("RSDP", "RSDT", "XSDT", "FACP"))

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
    "this system bios has enabled interrupt remapping",  # the first of that message's five lines, all that grep shows
    "interrupt remapping disabled",
    "irq remapping is disabled",
    "irq remapping disabled",
    "failed to enable irq remapping",
    "not enabling interrupt remapping",
    "disabling interrupt remapping",
    # VFIO and iommufd, of a card that they refuse (drivers/vfio/vfio_iommu_type1.c, drivers/iommu/iommufd/device.c)
    "no interrupt remapping support",
    "no interrupt remapping for this device",
    "msi interrupts are not secure",
)


def read_iommu(host: Host, *, log: Sequence[str] | None, cmdline: Iterable[str] | None) -> Iommu:
    """Return the state of the IOMMU; `reserved_direct` is left to `reserved_regions`."""
    names = [name for name in host.names(GROUPS) if name.isascii() and name.isdigit()]
    groups = len(names) if host.is_dir(GROUPS) else None
    units = tuple(host.names(_UNITS))
    tables = _firmware_tables(host, log)
    return Iommu(
        enabled=None if groups is None else any(_is_real(host, name) for name in names),
        kind=_kind(units) if units or not groups else _kind_by_table(tables) or _kind_by_log(log),
        firmware_tables=tables,
        interrupt_remapping=_interrupt_remapping(host, log, cmdline),
        groups=groups,
        units=units,
        reserved_direct=(),
    )


def reserved_regions(host: Host, groups: Iterable[int]) -> tuple[tuple[tuple[int, str], ...], tuple[int, ...]]:
    """Return what must stay mapped 1:1, which VFIO refuses to give away, and the groups of which that was read.

    The first is (group, "start end") of each such region. `direct-relaxable` ones (graphics, USB) do no harm:
    Documentation/ABI/testing/sysfs-kernel-iommu_groups.
    """
    found: list[tuple[int, str]] = []
    seen = []
    for group in sorted(set(groups)):
        text = host.word(f"{GROUPS}/{group}/reserved_regions")
        if text is None:
            continue
        seen.append(group)
        for line in text.split("\n"):
            words = line.split()
            if len(words) == 3 and words[2] == "direct":
                found.append((group, f"{words[0]} {words[1]}"))
    return tuple(found), tuple(seen)


def groups_in_part(host: Host, pci: Sequence[PciFunction]) -> bool:
    """Say whether the groups of most functions are just not told, as in a dump of a few of them.

    A folder with `uevent` is a real kernel's, so that what is missing there is meant.
    """
    grouped = sum(item.iommu_group is not None for item in pci)
    return 0 < grouped < len(pci) - grouped and not any(host.exists(f"{item.path}/uevent") for item in pci[:1])


def _is_real(host: Host, group: str) -> bool:
    """Whether an IOMMU is behind a group: VFIO makes some without, where enable_unsafe_noiommu_mode is set."""
    return host.word(f"{GROUPS}/{group}/name") != "vfio-noiommu"


def _kind(units: Iterable[str]) -> str | None:
    """By the names of the units: dmar0, ivhd0, smmu3.0x...; POWER's and virtio's are none of the three."""
    for unit in units:
        for start, kind in _KINDS:
            if unit.startswith(start):
                return kind
    return None


def _kind_by_table(tables: Iterable[str] | None) -> str | None:
    """What the groups of this host must come from: the one table there is, where the units are not shown."""
    kinds = [_KIND_OF_TABLE[name] for name in tables or () if name in _KIND_OF_TABLE]
    return kinds[0] if len(kinds) == 1 else None


def _kind_by_log(log: Sequence[str] | None) -> str | None:
    """What a driver said once it had its units running, where neither these nor the one table are shown."""
    kinds = {kind for line in log or () for words, kind in _AT_WORK if words in line}
    return kinds.pop() if len(kinds) == 1 else None


def _firmware_tables(host: Host, log: Sequence[str] | None) -> tuple[str, ...] | None:
    if host.is_dir(_TABLES):
        present = set(host.names(_TABLES))
        return tuple(name for name in _TABLE_NAMES if name in present)
    lines = (_LISTED.match(line) for line in log or () if line.startswith("ACPI: "))
    listed = {line[1] or line[2] for line in lines if line}
    found = tuple(name for name in _TABLE_NAMES if name in listed)
    return found if found or listed & _ROOT_TABLES else None


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
    if said is None:
        asked = [word for word in cmdline or () if word == "nointremap" or word.startswith("intremap=")]
        if asked and (asked[-1] == "nointremap" or "off" in asked[-1][9:].split(",")):
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
