"""The IOMMU as the running kernel has it: groups, and whether they are real. Not log lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import advice, arguments
from gpuctl_host.checks.answer import HOST, Answer, Check, failed, passed, skipped, warned
from gpuctl_host.checks.kernels import version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.arguments import Argument
    from gpuctl_host.checks.view import View

_OFF = {"intel_iommu": "off", "amd_iommu": "off", "iommu": "off"}


def iommu_enabled(view: View) -> Iterator[Answer]:
    """The kernel put devices into IOMMU groups."""
    iommu = view.facts.iommu
    if iommu.enabled:
        units = f"; /sys/class/iommu: {', '.join(iommu.units[:4])}" if iommu.units else ""
        yield passed(HOST, "the IOMMU is on", f"/sys/kernel/iommu_groups: {iommu.groups} groups{units}")
    elif iommu.enabled is None:
        yield skipped(HOST, "whether the IOMMU is on could not be seen", "/sys/kernel/iommu_groups is not there")
    else:
        told = next(
            (
                line
                for words in (("DMAR:", "failure"), ("DMAR: IOMMU",), ("AMD-Vi:",))
                for line in view.log(*words, limit=1)
            ),
            None,
        )
        said = f"; the kernel log's {told!r} is no proof that it is on" if told and "enabled" in told else ""
        asked = [item.text for item in view.running if item.name in _OFF]
        line = (
            f"; /proc/cmdline: {' '.join(asked) or 'no IOMMU argument'}"
            if view.facts.kernel.cmdline is not None
            else ""
        )
        seen = "/sys/kernel/iommu_groups is empty"
        if iommu.groups:
            seen = (
                f"/sys/kernel/iommu_groups/*/name: vfio-noiommu, so the {iommu.groups} groups have no IOMMU behind them"
            )
        yield failed(
            HOST,
            "the IOMMU is off: no device is in a group",
            f"{seen}{line}{said}",
            _how_on(view),
        )


def _turns_off(view: View, item: Argument) -> bool:
    return (
        item.name == "noiommu"
        or _OFF.get(item.name) in item.values
        or arguments.bounces(item, version(view.facts.kernel.release))
    )


def _how_on(view: View) -> str:
    """The one thing that turns it on: which depends on what keeps it off."""
    iommu, cpu = view.facts.iommu, view.facts.system.cpu_vendor or ""
    off = next((item for item in view.running if _turns_off(view, item)), None)
    if off:
        return advice.drop_argument(view, off.text)
    if view.facts.system.dom0:
        return (
            "boot this machine without Xen: the IOMMU is Xen's there, and VFIO has none; Xen lends cards by its own "
            "means, pciback"
        )
    if view.is_guest and not {"DMAR", "IVRS"} & set(iommu.firmware_tables or ()):
        return (
            "give this guest a virtual IOMMU (QEMU: -device intel-iommu,intremap=on,caching-mode=on), or prepare the "
            "machine below it"
        )
    if view.foreign_arch:
        return (
            "see in the machine's manual whether its PCI buses are behind an IOMMU at all: nothing on this side can "
            "add one"
        )
    if iommu.firmware_tables == ():
        return f"turn on in the firmware: {advice.knob(view, 'iommu')}"
    intel = "Intel" in cpu or "DMAR" in (iommu.firmware_tables or ()) or iommu.kind == "intel-vtd"
    asked = any(item.name == "intel_iommu" and "on" in item.values for item in view.running)
    if intel and not asked:
        return advice.add_argument(view, "intel_iommu=on")
    if view.log("DMAR:", "failure", limit=1):
        return "bring the machine's firmware up to date, or boot a kernel that bears with its table: see iommu-firmware"
    return f"turn on in the firmware: {advice.knob(view, 'iommu')}"


def acs_override(view: View) -> Iterator[Answer]:
    """The groups are what the hardware isolates, not what an argument claims."""
    patched = view.log("PCIe ACS overrides enabled", limit=1)
    unknown = view.log("Unknown kernel command line parameters", "pcie_acs_override", limit=1)
    lines = view.command_lines()
    for where, line in lines:
        found = arguments.last(line, "pcie_acs_override")
        if found is None:
            continue
        if unknown:
            title = "this kernel does not know pcie_acs_override: the groups are real, the argument is dead weight"
            yield warned(
                HOST,
                title,
                f"{where}: {found.text}; kernel log: {unknown[0]}",
                advice.drop_argument(view, found.text),
            )
            return
        yield failed(
            HOST,
            "pcie_acs_override makes groups that the hardware does not isolate",
            f"{where}: {found.text}" + (f"; kernel log: {patched[0]}" if patched else ""),
            advice.drop_argument(view, found.text) + "; then judge the groups that are left",
        )
        return
    if patched:
        yield failed(
            HOST,
            "the ACS override is in force",
            f"kernel log: {patched[0]}",
            "boot without pcie_acs_override, then judge the groups that are left",
        )
    elif not lines:
        yield skipped(HOST, "the kernel's command line could not be read", "/proc/cmdline is not there")
    else:
        yield passed(HOST, "no ACS override", f"{lines[0][0]}: no pcie_acs_override")


CHECKS = (
    Check(
        "iommu-enabled",
        iommu_enabled,
        "Is the IOMMU on?",
        "Fails when the kernel put no device into an IOMMU group.",
        "/sys/kernel/iommu_groups and /sys/class/iommu. The kernel log is quoted, never believed.",
        "VFIO gives a guest a group, nothing less. A log line such as 'DMAR: IOMMU enabled' is printed for the "
        "argument, before the kernel even tries.",
        "Turn it on in the firmware; on Intel, where the kernel's default is off, with intel_iommu=on.",
        (
            "harvester/harvester#9903 and #7541",
            "measured on Linux 6.1 in QEMU: the log lines with the IOMMU off",
            "Linux Documentation/driver-api/vfio.rst",
        ),
    ),
    Check(
        "acs-override",
        acs_override,
        "Are the IOMMU groups real?",
        "Fails when pcie_acs_override is in force. Warns when the kernel does not know the argument, so that it does "
        "nothing.",
        "The running, the next and the configured command line; the kernel log.",
        "The patch declares devices isolated that can still reach each other's memory: a guest may read or write "
        "another's.",
        "Take it out. If the groups are then too large, use another slot, or give a whole group to one guest.",
        ("lf-edge/eve#5969", "coreos/coreos-overlay#3393"),
    ),
)
