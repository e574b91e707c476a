"""IOMMU arguments that do not do what they look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import advice
from gpuctl_host.checks.answer import HOST, Answer, Check, passed, skipped, warned
from gpuctl_host.checks.arguments import bounces
from gpuctl_host.checks.kernels import version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.arguments import Argument
    from gpuctl_host.checks.view import View

# What the kernel's own parsers know (Documentation/admin-guide/kernel-parameters.txt, with what older releases had).
_INTEL = frozenset(
    [
        "on",
        "off",
        "igfx_off",
        "forcedac",
        "strict",
        "sp_off",
        "sm_on",
        "sm_off",
        "tboot_noforce",
        "pasid_off",
        "recoverable_fault",
    ]
)
_AMD = frozenset(
    [
        "fullflush",
        "off",
        "isolate",
        "share",
        "force_isolation",
        "force_enable",
        "pgtbl_v1",
        "pgtbl_v2",
        "irtcachedis",
        "nohugepages",
        "v2_pgsizes_only",
    ]
)
_X86 = frozenset(
    [
        "off",
        "force",
        "noforce",
        "biomerge",
        "panic",
        "nopanic",
        "merge",
        "nomerge",
        "soft",
        "pt",
        "nopt",
        "usedac",
        "nodac",
        "forcesac",
        "allowdac",
        "memaper",
        "noagp",
        "noaperture",
        "fullflush",
        "nofullflush",
        "leak",
        "allowed",
        "allocate",
    ]
)
_NAMES = frozenset(
    ["intel_iommu", "amd_iommu", "iommu", "amd_iommu_dump", "amd_iommu_intr", "omap_iommu", "s390_iommu", "mtk_iommu"]
)
# What switches it off for good: no later value clears the flag (arch/x86/kernel/pci-dma.c, drivers/iommu/amd/init.c);
# intel_iommu=off is undone by a later intel_iommu=on.
_STICKY = ("iommu", "amd_iommu")
_APART = ("iommu=pt", "iommu=force", "iommu=nopt")  # arguments of their own, often written behind a comma
_MEANT = {
    "iommu_intel": "intel_iommu=on",
    "intel_immu": "intel_iommu=on",
    "intel_iomu": "intel_iommu=on",
    "inteliommu": "intel_iommu=on",
}


def iommu_cmdline(view: View) -> Iterator[Answer]:
    """Every IOMMU argument does what whoever wrote it wanted."""
    lines = view.command_lines()
    if not lines:
        yield skipped(HOST, "the kernel's command line could not be read", "/proc/cmdline is not there")
        return
    seen: set[str] = set()
    for where, line in lines:
        last = {item.name: item for item in line if _decides(item)}
        for item in line:
            later = last.get(item.name, item)
            wrong = _wrong(view, item, overruled=later is not item and _decides(item))
            if wrong and item.text not in seen:
                seen.add(item.text)
                title, fix = wrong
                yield warned(HOST, title, f"{where}: {item.text}", fix or advice.drop_argument(view, item.text))
    if not seen:
        about = [item.text for item in lines[0][1] if "iommu" in item.name and "." not in item.name]
        yield passed(HOST, "the IOMMU arguments are in order", f"{lines[0][0]}: {' '.join(about) or 'none'}")


def _decides(item: Argument) -> bool:
    """Say whether it takes an earlier one's effect; those of intel_iommu add up, but on and off undo each other."""
    return item.name != "intel_iommu" or bool({"on", "off"} & set(item.values))


def _wrong(view: View, item: Argument, *, overruled: bool) -> tuple[str, str] | None:
    """Return (what is true of it, what to do; empty: take it out), or None if it is in order."""
    if item.name == "noiommu":
        return f"{item.text} turns the IOMMU off", ""
    if "." in item.name or ("iommu" not in item.name and item.name not in _MEANT):
        return None
    spelled = item.text.partition("=")[0]
    if item.name == "intel_iommu" and "-" in spelled:
        # Kernels since 3.2 forgive the hyphen (parameqn); GRUB helpers, grubby and other people's checks do not.
        return (
            f"{item.text} is not how the argument is written",
            f"write {item.text.replace('-', '_', 1)} in its place",
        )
    if item.name not in _NAMES:
        meant = _MEANT.get(item.name) or ("intel_iommu=on" if "intel" in item.name else None)
        how = (
            f"write {meant} in its place, if iommu-enabled says that the IOMMU is off; else take it out"
            if meant
            else ""
        )
        return f"{item.text} does nothing: no kernel has such an argument", how
    if "off" in item.values and (item.name in _STICKY or (item.name == "intel_iommu" and not overruled)):
        return f"{item.text} turns the IOMMU off", ""
    if item.name == "iommu" and not view.foreign_arch:
        return _wrong_of_x86(view, item)  # all of them are read: none overrules another
    if overruled:
        return None
    cpu, kind = view.facts.system.cpu_vendor or "", view.facts.iommu.kind
    if item.name == "amd_iommu":
        unknown = [value for value in item.values if value not in _AMD]
        if unknown:
            return f"{item.text} does nothing: AMD's IOMMU is on by default, and amd_iommu knows no {unknown[0]!r}", ""
    if item.name == "intel_iommu":
        unknown = [value for value in item.values if value not in _INTEL]
        if unknown or not item.values:
            known = ",".join(value for value in item.values if value in _INTEL)
            apart = " ".join([f"intel_iommu={known or 'on'}", *(value for value in unknown if value in _APART)])
            return (
                f"{item.text} does not do what it looks like: intel_iommu knows no {(unknown or [''])[0]!r}",
                f"write {apart} in its place",
            )
        vtd = kind == "intel-vtd" or "DMAR" in (view.facts.iommu.firmware_tables or ())
        if ("AMD" in cpu or kind == "amd-vi") and not vtd and not view.foreign_arch:
            return f"{item.text} does nothing on an AMD machine", ""
    return None


def _wrong_of_x86(view: View, item: Argument) -> tuple[str, str] | None:
    """Judge iommu=, which is the business of arch/x86/kernel/pci-dma.c."""
    if item.value and item.value.isdigit():
        return f"{item.text} does nothing: a number is a size for the GART of old AMD processors", ""
    unknown = [
        value.partition("=")[0] for value in item.values if value.partition("=")[0] not in _X86 and not value.isdigit()
    ]
    if unknown:
        return f"{item.text} does nothing: iommu knows no {unknown[0]!r}", ""
    if not view.facts.iommu.enabled and bounces(item, version(view.facts.kernel.release)):
        return f"{item.text} keeps the kernel from using the IOMMU, until Linux 5.17", ""
    return None


CHECKS = (
    Check(
        "iommu-cmdline",
        iommu_cmdline,
        "Do the IOMMU arguments do what they look like?",
        "Warns about an argument that does nothing (iommu_intel=on, intel-iommu=on, amd_iommu=on, iommu=on, "
        "iommu=1) or that turns the IOMMU off (iommu=soft too, until Linux 5.17).",
        "The running, the next and the configured command line, by the kernel's own rules: '-' and '_' in names are "
        "equal, the last one holds (of iommu= each), '--' ends it.",
        "Recipes are copied with their slips. A dead argument gives a false sense of having done it, and hides the "
        "real cause.",
        "Take it out, or write the one that was meant. Where the kernel's default is right already, none is needed.",
        (
            "Linux Documentation/admin-guide/kernel-parameters.txt",
            "measured on Linux 6.1 in QEMU: iommu_intel=on measured",
            "Linux kernel/params.c, parameqn: since 3.2 the kernel itself takes intel-iommu=on; other tools do not",
        ),
    ),
)
