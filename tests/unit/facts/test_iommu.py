"""The state in sysfs decides; log lines and arguments are colour."""

from __future__ import annotations

import pytest

from tests.unit.facts.trees import Tree, gtx1080

_NOISE = "[    0.1] DMAR: IOMMU enabled\n[    0.2] AMD-Vi: AMD IOMMUv2 functionality not available on this system\n"


def test_groups_decide_whatever_the_log_says(tree: Tree) -> None:
    tree.write("/var/log/dmesg", _NOISE).write("/proc/cmdline", "intel_iommu=on\n")
    assert tree.facts().iommu.enabled is None
    assert tree.facts().iommu.groups is None
    tree.folder("/sys/kernel/iommu_groups")
    iommu = tree.facts().iommu
    assert (iommu.enabled, iommu.groups, iommu.kind) == (False, 0, None)
    gtx1080(tree)
    assert tree.facts().iommu.enabled is True


@pytest.mark.parametrize(
    ("unit", "kind"),
    [
        ("dmar0", "intel-vtd"),
        ("ivhd0", "amd-vi"),
        ("smmu3.0x0000000009050000", "arm-smmu"),
        ("iommu-phb0030", None),
        ("virtio0", None),
    ],
)
def test_the_kind_is_by_the_units_name(tree: Tree, unit: str, kind: str | None) -> None:
    tree.folder(f"/sys/class/iommu/{unit}")
    assert tree.facts().iommu.kind == kind


@pytest.mark.parametrize(
    ("lines", "groups", "kind"),
    [
        ("DMAR: Intel(R) Virtualization Technology for Directed I/O\n", True, "intel-vtd"),
        ("PCI-DMA: Intel(R) Virtualization Technology for Directed I/O\n", True, "intel-vtd"),
        ("AMD-Vi: Found IOMMU at 0000:00:00.2 cap 0x40\n", True, "amd-vi"),
        ("pci 0000:00:00.2: AMD-Vi: Found IOMMU cap 0x40\nAMD-Vi: Interrupt remapping enabled\n", True, "amd-vi"),
        ("AMD-Vi: Found IOMMU at 0000:00:00.2 cap 0x40\n", False, None),
        (_NOISE, True, None),
    ],
)
def test_the_kind_is_by_what_its_driver_said_at_work(tree: Tree, lines: str, groups: bool, kind: str | None) -> None:
    tree.write("/var/log/dmesg", lines)
    if groups:
        gtx1080(tree)
    assert tree.facts().iommu.kind == kind


@pytest.mark.parametrize(
    ("tables", "units", "groups", "kind"),
    [
        (("DMAR",), (), True, "intel-vtd"),
        (("IVRS",), (), True, "amd-vi"),
        (("IORT",), (), True, "arm-smmu"),
        (("DMAR", "IVRS"), (), True, None),
        (("VIOT",), (), True, None),
        (("DMAR",), (), False, None),
        (("DMAR",), ("virtio0",), True, None),
    ],
)
def test_the_kind_is_by_the_only_table_where_units_are_not_shown(
    tree: Tree, tables: tuple[str, ...], units: tuple[str, ...], groups: bool, kind: str | None
) -> None:
    for name in tables:
        tree.write(f"/sys/firmware/acpi/tables/{name}", name)
    for unit in units:
        tree.folder(f"/sys/class/iommu/{unit}")
    if groups:
        gtx1080(tree)
    assert tree.facts().iommu.kind == kind


@pytest.mark.parametrize(
    ("log", "tables"),
    [
        ("ACPI: RSDP 00000000000f4f00 00024 (v02 HP    )\nACPI: DMAR 00000000bddad200 00662 (v01 HP)", ("DMAR",)),
        ("ACPI: Reserving DMAR table memory at [mem 0x3f7c1000-0x3f7c1087]", ("DMAR",)),
        ("ACPI: XSDT 0x0000000097AE7728 0000F4\nACPI: FACP 0x0000000097ADC000 000114", ()),
        # what is loaded later is printed alike: this is no whole list
        ("ACPI: Dynamic OEM Table Load:\nACPI: SSDT 0xFFFF8881003C7000 0001CB (v02 PmRef  Cpu0Psd)", None),
        ("ACPI: PM-Timer IO Port: 0x1808\nACPI: Core revision 20210730", None),
        ("[Firmware Bug]: DMAR is not ACPI: DMAR 0x0000000000000000", None),
    ],
)
def test_tables_in_the_words_of_all_kernels(tree: Tree, log: str, tables: tuple[str, ...] | None) -> None:
    tree.write("/var/log/dmesg", "".join(f"[    0.000000] {line}\n" for line in log.split("\n")))
    assert tree.facts().iommu.firmware_tables == tables


def test_firmware_tables_by_name_else_by_the_log(tree: Tree) -> None:
    assert tree.facts().iommu.firmware_tables is None
    tree.write("/var/log/dmesg", "[    0.0] ACPI: DMAR 0x000000 0000A8 (v01 INTEL)\n[    0.0] ACPI: FACP 0x0\n")
    assert tree.facts().iommu.firmware_tables == ("DMAR",)
    tree.write("/sys/firmware/acpi/tables/IVRS", b"IVRS")
    assert tree.facts().iommu.firmware_tables == ("IVRS",)


@pytest.mark.parametrize(
    ("log", "cmdline", "chip", "remapping"),
    [
        ("", "", "", None),
        ("DMAR-IR: Enabled IRQ remapping in x2apic mode", "", "", True),
        ("AMD-Vi: Interrupt remapping enabled", "", "", True),
        ("AMD-Vi: Interrupt remapping enabled\nx2apic: IRQ remapping doesn't support X2APIC mode", "", "", True),
        ("x2apic: IRQ remapping doesn't support X2APIC mode", "", "", None),
        ("DMAR-IR: ioapic 0 has no mapping iommu, interrupt remapping will be disabled", "", "", False),
        ("vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param", "", "", False),
        ("vfio-pci 0000:01:00.0: No interrupt remapping for this device. Use the module param", "", "", False),
        ("MSI interrupts are not secure. Check that interrupt remapping is enabled.", "", "", False),
        ("DMAR-IR: Enabled IRQ remapping in x2apic mode\nx: No interrupt remapping support.", "", "", False),
        ("", "quiet intremap=off", "", False),
        ("", "intremap=no_x2apic_optout,off", "", False),
        ("", "intremap=off intremap=on", "", None),
        ("", "intremap=no_x2apic_optout", "", None),
        ("DMAR-IR: Enabled IRQ remapping in xapic mode", "", "IO-APIC", False),
        ("", "intremap=off", "IR-IO-APIC", True),
    ],
)
def test_interrupt_remapping(tree: Tree, log: str, cmdline: str, chip: str, remapping: bool | None) -> None:
    tree.write("/var/log/dmesg", "".join(f"[    0.5] {line}\n" for line in log.split("\n")))
    tree.write("/proc/cmdline", cmdline)
    if chip:
        tree.write("/sys/kernel/irq/9/chip_name", f"{chip}\n")
    assert tree.facts().iommu.interrupt_remapping is remapping


def test_only_regions_that_must_stay_are_reported(tree: Tree) -> None:
    gtx1080(tree, group=7)
    rows = "0x00000000d0000000 0x00000000dfffffff direct\n0x1000 0x1fff direct-relaxable\n0xfee00000 0xfeefffff msi\n"
    tree.write("/sys/kernel/iommu_groups/7/reserved_regions", rows)
    tree.write("/sys/kernel/iommu_groups/8/reserved_regions", rows)  # nobody's card
    assert tree.facts().iommu.reserved_direct == ((7, "0x00000000d0000000 0x00000000dfffffff"),)
    assert tree.facts().iommu.reserved_seen == (7,)
