"""What prepare refuses: whatever would hurt the host, or could not hold afterwards. Nothing is touched then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.changes.model import Refusal
from gpuctl_host.finding import FAIL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpuctl_host.changes.options import Options
    from gpuctl_host.facts.model import Card, Facts, Gpu
    from gpuctl_host.finding import Finding

# A failing check with one of these ids is no state to build on: each says of itself why and what to do.
REFUSING = ("iommu-firmware", "group-isolated", "gpu-sriov", "gpu-in-use", "gpu-responding", "identity")


def guard(
    facts: Facts, findings: Iterable[Finding], gpus: Sequence[Gpu], cards: Sequence[Card], options: Options
) -> tuple[Refusal, ...]:
    """Return every reason not to go on; empty means that nothing speaks against it."""
    # A whole card is what goes to a guest, so a finding about any of its functions, or about the host, counts.
    subjects = {"host", *(item.address for gpu in gpus for item in gpu.members), *(card.address for card in cards)}
    refusals = [
        Refusal(item.id, item.subject, item.evidence, item.fix)
        for item in findings
        if item.status == FAIL and item.id in REFUSING and item.subject in subjects and not _known_off(facts, item)
    ]
    refusals += _needed(facts, cards)
    refusals += _shared_groups(facts, gpus, cards)
    refusals += _virtual(gpus)
    refusals += _unknown_holders(gpus, options)
    refusals += _foreign(facts, cards)
    seen: dict[tuple[str, str], Refusal] = {}
    for item in refusals:
        seen.setdefault((item.id, item.subject), item)
    return tuple(seen.values())


def _known_off(facts: Facts, item: Finding) -> bool:
    """A table that cannot be found proves nothing where devices are in groups: the live state decides."""
    return item.id == "iommu-firmware" and facts.iommu.enabled is True


def _needed(facts: Facts, cards: Iterable[Card]) -> list[Refusal]:
    """A device that the host lives on, taken itself or in the group of one that is taken."""
    groups = _groups(facts)
    refusals = []
    for need in facts.needs or ():
        for card in cards:
            function = facts.function(card.address)
            mates = groups.get(function.iommu_group, ()) if function and function.iommu_group is not None else ()
            if need.address == card.address:
                refusals.append(
                    Refusal(
                        "boot-vga" if need.why == "console" else "group-isolated",
                        card.address,
                        f"{need.address} is the host's {need.why}: {need.detail}",
                        "choose other cards with --gpu, or give the host another "
                        + (
                            "console (make the BMC's display primary in the firmware)"
                            if need.why == "console"
                            else need.why
                        ),
                    )
                )
            elif need.address in mates and _is_endpoint(facts, need.address):
                refusals.append(
                    Refusal(
                        "group-isolated",
                        card.address,
                        f"{need.address}, the host's {need.why} ({need.detail}), is in the same IOMMU "
                        f"group {function.iommu_group}"
                        if function
                        else f"{need.address}, the host's {need.why}, is in the same IOMMU group",
                        "put the card into another slot, or choose other cards with --gpu; gpuctl "
                        "never takes it and never splits the group",
                    )
                )
    return refusals


def _groups(facts: Facts) -> dict[int | None, tuple[str, ...]]:
    groups: dict[int | None, tuple[str, ...]] = {}
    for item in facts.pci or ():
        if item.iommu_group is not None:
            groups[item.iommu_group] = (*groups.get(item.iommu_group, ()), item.address)
    return groups


def _is_endpoint(facts: Facts, address: str) -> bool:
    function = facts.function(address)
    return function is not None and not function.is_bridge


def _shared_groups(facts: Facts, gpus: Iterable[Gpu], cards: Iterable[Card]) -> list[Refusal]:
    """A group that stays unusable: another endpoint of it keeps a driver of the host (vfio.rst)."""
    taken = {card.address for card in cards}
    refusals = []
    for gpu in gpus:
        own = {item.address for item in gpu.members}
        for peer in gpu.group_peers:
            if peer.is_bridge or peer.address in taken or peer.address in own or not peer.driver:
                continue
            if "vfio" in peer.driver or peer.driver == "pci-stub":
                continue
            also = " (it is a GPU: select it too)" if any(other.address == peer.address for other in facts.gpus) else ""
            refusals.append(
                Refusal(
                    "group-viable",
                    gpu.address,
                    f"{peer.address} {peer.vendor_id}:{peer.device_id} shares IOMMU group "
                    f"{gpu.pci.iommu_group} and is on {peer.driver}{also}",
                    f"free {peer.address} from {peer.driver}, or put the card into a slot with a group of its own: "
                    "VFIO gives out whole groups only",
                )
            )
    return refusals


def _virtual(gpus: Iterable[Gpu]) -> list[Refusal]:
    return [
        Refusal(
            "gpu-sriov",
            gpu.address,
            f"{gpu.address} is a virtual function of {gpu.pci.physfn}: it is made anew at every boot "
            "by the driver of the whole card",
            f"select the whole card ({gpu.pci.physfn}) with no virtual functions enabled, or leave "
            "its functions to the vendor's driver",
        )
        for gpu in gpus
        if gpu.pci.physfn is not None
    ]


def _unknown_holders(gpus: Iterable[Gpu], options: Options) -> list[Refusal]:
    """On a live host, not knowing who uses a card is no reason to think that nobody does."""
    if not options.live:
        return []
    return [
        Refusal(
            "gpu-in-use",
            gpu.address,
            "who uses the card could not be looked at (/proc/*/fd)",
            "run gpuctl as root, in the host's own PID namespace",
        )
        for gpu in gpus
        if gpu.holders is None
    ]


def _foreign(facts: Facts, cards: Iterable[Card]) -> list[Refusal]:
    """Somebody else's configuration binds the same function to something else at every boot."""
    return [
        Refusal(
            "drift",
            card.address,
            f"{claim.path}: {claim.what}",
            f"take {card.address} out of {claim.path} first; two tools that bind one device fight at every boot",
        )
        for card in cards
        for claim in facts.foreign
        if card.address in claim.addresses and "vfio" not in claim.what and card.action == "bind"
    ]
