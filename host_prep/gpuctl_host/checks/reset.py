"""Whether the card answers, and can be reset between two guests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import models
from gpuctl_host.checks.answer import Answer, Check, failed, passed, skipped, warned
from gpuctl_host.checks.view import ids, sysfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View

_LINES = 50  # of one card


def gpu_responding(view: View) -> Iterator[Answer]:
    """The card answers on the bus."""
    for gpu in view.facts.gpus:
        dead = [item for item in gpu.members if item.config_dead]
        if dead:
            told = view.log(dead[0].address, "power state", limit=1) or view.log(dead[0].address, "reset", limit=1)
            line = f"{sysfs(dead[0], 'config')} reads all ones" + (f"; kernel log: {told[0]}" if told else "")
            fix = (
                "switch the machine off and on (a warm reboot may not do); then see gpu-power and gpu-reset for what "
                "put it there"
            )
            yield failed(gpu.address, f"{dead[0].address} does not answer on the bus any more", line, fix)
        elif gpu.pci.header_type is None:
            yield skipped(
                gpu.address, "whether the card answers could not be seen", f"{sysfs(gpu.pci, 'config')} cannot be read"
            )
        else:
            yield passed(
                gpu.address, "the card answers", f"{sysfs(gpu.pci, 'config')}: header type {gpu.pci.header_type}"
            )


def gpu_reset(view: View) -> Iterator[Answer]:
    """The kernel can reset the card alone between two guests."""
    attribute = any(item.reset_methods is not None for item in view.pci)
    for gpu in view.facts.gpus:
        path, methods = sysfs(gpu.pci, "reset_method"), gpu.pci.reset_methods
        shown = (
            f"{path}: {' '.join(methods)}"
            if methods
            else f"{path} is empty"
            if methods is not None
            else f"{path} is not there"
        )
        sharers = [
            item.address
            for item in view.by_bus.get(gpu.address.rpartition(":")[0], ())
            if item not in gpu.members and item.physfn != gpu.address
        ]
        cold = "power the whole machine off between two guests, or use this card for one guest only"
        lost = next(
            (
                line
                for item in gpu.members
                for line in view.log(item.address, "not ready", "giving up", limit=_LINES)
                if "after resume" not in line  # gpu-power's business
            ),
            None,
        )
        if lost:
            yield warned(gpu.address, "the card did not come back from a reset", f"kernel log: {lost}; {shown}", cold)
        elif methods is None and not attribute:
            yield skipped(
                gpu.address,
                "how the card can be reset could not be seen",
                f"{path} is not there (it came with Linux 5.15)",
            )
        elif not methods:
            yield warned(gpu.address, "the kernel has no way to reset the card", shown, cold)
        elif ids(gpu.pci) in models.RESET_BUG and not {"flr", "device_specific"} & set(methods):
            fix = (
                "try a second start of a guest before tenants do; the vendor-reset module knows this model, but "
                "taints the kernel"
            )
            yield warned(
                gpu.address,
                "this model is known not to come back from a bus reset",
                f"{shown}; {ids(gpu.pci)} is in vendor-reset's table",
                fix,
            )
        elif set(methods) <= {"bus", "cxl_bus"} and sharers:
            fix = f"give {', '.join(sharers[:3])} to the same guest, or to none: a reset of the bus resets them too"
            yield warned(
                gpu.address,
                "a reset of the card resets its neighbours on the bus",
                f"{shown}; on the same bus: {', '.join(sharers)}",
                fix,
            )
        else:
            yield passed(gpu.address, "the card can be reset alone", shown)


CHECKS = (
    Check(
        "gpu-responding",
        gpu_responding,
        "Does the card answer?",
        "Fails when the configuration space of the GPU or of one of its functions reads all ones.",
        "The file config of each function.",
        "The card fell off the bus: after a failed reset, from D3cold, or by a fault. Binding still works; nothing "
        "else does.",
        "Switch the machine off and on, then look for the cause.",
        (
            "tests/cases/hosts/mi300x-mi355x-pf-dead-after-vfio-reset.yaml",
            "tests/cases/hosts/nuc13-arc-a770-d3cold-vfio.yaml ('Unknown header type 7f')",
        ),
    ),
    Check(
        "gpu-reset",
        gpu_reset,
        "Can the card be reset alone?",
        "Warns when there is no reset method, only a bus reset on a shared bus, the model is known not to come back, "
        "or this card did not.",
        "reset_method, and who else is on the same bus; the log for 'not ready ... giving up' after a reset.",
        "Between two guests the card must be reset: else one reads what the other left, or the second guest does not "
        "start.",
        "Give what shares the bus to the same guest; try a second start before tenants do.",
        (
            "Linux Documentation/ABI/testing/sysfs-bus-pci, reset_method",
            "gnif/vendor-reset",
        ),
    ),
)
