"""The card's IOMMU group: is there one, and would VFIO take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import advice
from gpuctl_host.checks.answer import Answer, Check, failed, passed, skipped
from gpuctl_host.checks.view import named, sysfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View
    from gpuctl_host.facts.model import Gpu, PciFunction


def gpu_iommu_group(view: View) -> Iterator[Answer]:
    """The GPU itself is in an IOMMU group."""
    for gpu in view.facts.gpus:
        path = sysfs(gpu.pci, "iommu_group")
        if gpu.pci.iommu_group is not None and view.facts.iommu.enabled is False:
            yield failed(
                gpu.address,
                f"the GPU's group {gpu.pci.iommu_group} is VFIO's own, without an IOMMU",
                f"/sys/kernel/iommu_groups/{gpu.pci.iommu_group}/name: vfio-noiommu",
                "turn the IOMMU on first: see iommu-enabled",
            )
        elif gpu.pci.iommu_group is not None:
            yield passed(
                gpu.address, f"the GPU is in IOMMU group {gpu.pci.iommu_group}", f"{path} -> {gpu.pci.iommu_group}"
            )
        elif view.facts.iommu.enabled is None:
            yield skipped(
                gpu.address, "the GPU's IOMMU group could not be seen", "/sys/kernel/iommu_groups is not there"
            )
        elif view.facts.iommu.enabled and view.facts.iommu.partial:
            seen = sum(item.iommu_group is not None for item in view.pci)
            yield skipped(
                gpu.address,
                "the GPU's IOMMU group is not among those that are shown",
                f"{path} is not there, nor that of most others: {seen} of {len(view.pci)} functions have it",
            )
        elif view.facts.iommu.enabled:
            fix = "see whether the firmware leaves out this slot or its root port (DMAR's device scopes), and update it"
            yield failed(
                gpu.address,
                "the GPU is in no IOMMU group, though others are",
                f"{path} is not there; the host has {view.facts.iommu.groups} groups",
                fix,
            )
        else:
            yield failed(
                gpu.address,
                "the GPU is in no IOMMU group",
                f"{path} is not there",
                "turn the IOMMU on first: see iommu-enabled",
            )


def group_viable(view: View) -> Iterator[Answer]:
    """VFIO takes the group: each of its endpoints is on a VFIO driver, or on none."""
    for gpu in view.facts.gpus:
        group = gpu.pci.iommu_group
        if group is None:
            yield skipped(
                gpu.address,
                "the GPU is in no group that could be judged",
                f"{sysfs(gpu.pci, 'iommu_group')} is not there",
            )
            continue
        if not view.facts.drivers_seen:
            yield skipped(
                gpu.address,
                f"who drives the members of group {group} could not be seen",
                "no driver link is below /sys/bus/pci/devices",
            )
            continue
        members = [
            item
            for item in (*(function for _, function in gpu.functions), *gpu.group_peers)
            if item.iommu_group == group
        ]
        culprits = [item for item in members if not view.is_bridge(item) and view.host_driver(item)]
        place = f"/sys/kernel/iommu_groups/{group}/devices"
        if culprits:
            fix = _how_viable(view, gpu, culprits)
            yield failed(
                gpu.address,
                f"group {group} is not viable: host drivers hold {len(culprits)} of its members",
                f"{place}: {named(culprits)}",
                fix,
            )
        else:
            yield passed(gpu.address, f"group {group} is viable", f"{place}: {named([gpu.pci, *members])}")


def _how_viable(view: View, gpu: Gpu, culprits: list[PciFunction]) -> str:
    """What is ours gpuctl takes; what is the host's a person must judge."""
    addresses = {item.address for item in culprits}
    if addresses <= {member.address for member in gpu.members}:
        return advice.prepare(view, gpu.address)
    if addresses <= view.selected:
        return advice.prepare(view)
    other = next(item for item in culprits if item.address not in view.selected)
    return f"free {other.address} from {other.driver} only if the host can do without it; else use another slot"


CHECKS = (
    Check(
        "gpu-iommu-group",
        gpu_iommu_group,
        "Is the GPU in an IOMMU group?",
        "Fails when the GPU has no group of its own to be given away by. Skipped where a dump shows the groups of a "
        "few functions alone.",
        "The link iommu_group of the GPU; in a dump, how many functions have it.",
        "'On' for the host is not 'on' for each device: a slot can be left out. vfio-pci then answers the bind with "
        "error -22.",
        "Turn the IOMMU on; if only this card is left out, move it or update the firmware.",
        ("harvester/harvester#9903", "tests/cases/hosts/rpi5-gtx1050ti-no-iommu-group.yaml"),
    ),
    Check(
        "group-viable",
        group_viable,
        "Would VFIO take the group?",
        "Fails when an endpoint in the GPU's group is bound to a host driver, be it the card's own audio. Bridges, "
        "driverless functions, VFIO drivers and pci-stub do no harm; a host or ISA bridge with a driver is an "
        "endpoint to VFIO.",
        "The members of /sys/kernel/iommu_groups/N/devices and the driver of each.",
        "QEMU answers with 'group N is not viable' and the guest does not start.",
        "Bind or remove the card's own functions with gpuctl; for anybody else's, choose another slot.",
        ("Linux Documentation/driver-api/vfio.rst", "measured on Linux 6.1 in QEMU"),
    ),
)
