"""Who else is in the card's group, and what the firmware keeps of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks.answer import Answer, Check, failed, passed, skipped, warned
from gpuctl_host.checks.view import named, sysfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View
    from gpuctl_host.facts.model import Gpu, PciFunction

# What the kernel says of a card that it will not give away for such a region (drivers/iommu/intel/iommu.c; since 6.6
# drivers/iommu/iommu.c).
_REFUSALS = ("due to platform RMRR requirement", "requested this device have a 1:1 IOMMU mapping")
_KINDS = {"01": "disk controller", "02": "network controller", "03": "display"}


def group_isolated(view: View) -> Iterator[Answer]:
    """The group holds nothing but the card."""
    for gpu in view.facts.gpus:
        group = gpu.pci.iommu_group
        if group is None:
            yield skipped(
                gpu.address,
                "the GPU is in no group that could be judged",
                f"{sysfs(gpu.pci, 'iommu_group')} is not there",
            )
            continue
        others = [item for item in gpu.group_peers if _another_card(view, gpu, item)]
        nameless = [item for item in others if item.class_code is None and not view.host_driver(item)]
        vital = [(item, why) for item in others for why in [_vital(view, item)] if why]
        place = f"/sys/kernel/iommu_groups/{group}/devices"
        if vital:
            reasons = "; ".join(f"{item.address}: {why}" for item, why in vital)
            if view.facts.needs_unknown:
                reasons += f"; not traced to a device: {', '.join(view.facts.needs_unknown)}"
            yield failed(
                gpu.address,
                f"group {group} holds what the host itself lives on",
                f"{place}: {named(item for item, _ in vital)}; {reasons}",
                "put the card into a slot of another root port, or turn on ACS in the firmware; gpuctl never gives "
                "such a group away",
            )
        elif nameless and nameless == others:
            said = f"{place}: {named(others)}, of which no class is told"
            yield skipped(gpu.address, f"whether group {group} holds more than this card could not be seen", said)
        elif others:
            yield warned(
                gpu.address,
                f"group {group} holds more than this card",
                f"{place}: {named(others)}",
                "give the whole group to one guest, or put the card into a slot of another root port",
            )
        else:
            yield passed(
                gpu.address,
                f"group {group} holds this card alone",
                f"{place}: {named([gpu.pci, *(item for _, item in gpu.functions)])}",
            )


def _another_card(view: View, gpu: Gpu, item: PciFunction) -> bool:
    """Whether it is an endpoint that is no part of the card; host bridges and ports belong to the way there."""
    if view.is_bridge(item) or item.base_class in ("0600", "0604"):
        return False
    return gpu.address not in (item.physfn, item.address) and (gpu.pci.physfn is None or item.physfn != gpu.pci.physfn)


def _vital(view: View, item: PciFunction) -> str | None:
    """Why the host cannot do without it: by what it was seen to use, else by what it is and who drives it."""
    need = view.needs.get(item.address)
    if need:
        return f"the host's {need.why} ({need.detail})"
    kind = _KINDS.get(item.base_class[:2])
    driver = view.host_driver(item)
    if kind is None or driver is None or (kind == "display" and not item.boot_vga):
        return None
    return f"a {kind} that the host uses through {driver}"


def group_reserved_regions(view: View) -> Iterator[Answer]:
    """The firmware keeps no memory window of the group to itself."""
    iommu = view.facts.iommu
    for gpu in view.facts.gpus:
        group = gpu.pci.iommu_group
        mine = [window for number, window in iommu.reserved_direct if number == group]
        refused = [
            line
            for item in gpu.members
            for words in _REFUSALS
            for line in view.log(f"{item.address}: ", words, limit=1)
        ]
        place = f"/sys/kernel/iommu_groups/{group}/reserved_regions"
        if mine or refused:
            fix = (
                "turn off in the firmware what shares memory with this slot (HPE: conrep, RMRDS_SlotN as "
                "Endpoints_Excluded; others: a firmware update)"
            )
            yield failed(
                gpu.address,
                "the firmware reserves memory of the card's group: VFIO refuses it",
                f"{place}: direct {', '.join(mine)}" if mine else f"kernel log: {refused[0]}",
                fix,
            )
        elif group is None:
            continue
        elif group not in iommu.reserved_seen:
            title = f"what the firmware reserves of group {group} could not be seen"
            yield skipped(gpu.address, title, f"{place} cannot be read")
        else:
            yield passed(
                gpu.address, f"the firmware reserves nothing of group {group}", f"{place}: no line of type direct"
            )


CHECKS = (
    Check(
        "group-isolated",
        group_isolated,
        "Does the group hold the card alone?",
        "Warns when endpoints of another card are in the group. Fails when one of them is the host's disk, network "
        "or console.",
        "The group's members; what the host's root, swap, default route and console are on; class and driver of each "
        "member.",
        "A group goes to a guest as a whole. With the root disk in it the host dies at the guest's first start, and "
        "at every boot with autostart.",
        "Use a slot below another root port, or turn on ACS where the firmware can.",
        ("PVE-Tools-9#98", "Linux Documentation/driver-api/vfio.rst"),
    ),
    Check(
        "group-reserved-regions",
        group_reserved_regions,
        "Does the firmware keep memory of the group to itself?",
        "Fails when a non-relaxable direct region (RMRR, IVMD) is in the GPU's group.",
        "reserved_regions of the group, lines of type direct; direct-relaxable is harmless. The kernel's words when it "
        "refused the card.",
        "The kernel refuses to give such a device to a guest: 'Device is ineligible for IOMMU domain attach due to "
        "platform RMRR requirement'.",
        "Have the firmware let go of the slot; makers have switches of their own for it.",
        (
            "Linux Documentation/ABI/testing/sysfs-kernel-iommu_groups",
            "iommu 20190603065336.10524-8-eric.auger@redhat.com",
        ),
    ),
)
