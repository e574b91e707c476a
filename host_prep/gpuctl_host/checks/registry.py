"""Every check there is, in the order in which a person wants to read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import (
    blacklist,
    claims,
    cmdline,
    console,
    drivers,
    functions,
    groups,
    interrupts,
    iommu,
    isolation,
    kernels,
    pending,
    platform,
    power,
    recipes,
    record,
    reset,
    resources,
    use,
    vfio,
)
from gpuctl_host.checks.view import View
from gpuctl_host.finding import SKIP, WARN, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.answer import Check
    from gpuctl_host.facts.model import Facts

_MODULES = (
    *(platform, iommu, interrupts, cmdline, recipes, drivers, functions, groups, isolation, blacklist, claims),
    *(console, reset, power, resources, use, vfio, pending, record, kernels),
)
_ORDER = (
    *("cpu-virtualization", "iommu-firmware", "iommu-enabled", "iommu-cmdline", "interrupt-remapping", "acs-override"),
    *("gpu-present", "gpu-responding", "gpu-iommu-group", "group-viable", "group-isolated", "group-reserved-regions"),
    *(
        "gpu-driver",
        "audio-function",
        "companion-functions",
        "driver-blacklist",
        "vfio-ids",
        "boot-vga",
        "boot-framebuffer",
    ),
    *("gpu-reset", "gpu-power", "gpu-bars", "gpu-sriov", "gpu-in-use", "nvswitch"),
    *(
        "vfio-module",
        "vfio-permissions",
        "pending-reboot",
        "identity",
        "qemu-version",
        "drift",
        "kernel-cmdline",
        "kernel-known-bad",
    ),
)
_BY_ID = {check.id: check for module in _MODULES for check in module.CHECKS}
CHECKS: tuple[Check, ...] = tuple(_BY_ID[name] for name in _ORDER)


def run_checks(facts: Facts) -> tuple[Finding, ...]:
    """Return every check's findings, passes among them; a check that breaks becomes a warning, the rest still run."""
    view = View(facts)
    return tuple(finding for check in CHECKS for finding in _ask(check, view))


def _ask(check: Check, view: View) -> Iterator[Finding]:
    try:
        for answer in check.run(view):
            evidence = answer.evidence + (view.guest if answer.status != SKIP else "")
            yield Finding(check.id, answer.status, answer.subject, answer.title, evidence, answer.fix, check.doc)
    except Exception as error:  # noqa: BLE001 - DESIGN point 4: whatever it is, the others still run
        reason = f"the check itself failed: {type(error).__name__}: {error}"
        yield Finding(
            check.id,
            WARN,
            "host",
            "this question could not be answered",
            reason,
            "report this as a defect of gpuctl, with the output of `gpuctl host capture`",
            check.doc,
        )
