"""What an earlier prepare left: is it still the same card, are the files still ours?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import advice
from gpuctl_host.checks.answer import HOST, Answer, Check, failed, passed, skipped, warned
from gpuctl_host.checks.view import sysfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View
    from gpuctl_host.facts.model import Card, PciFunction

_CARDS = "/etc/gpuctl/cards"


def identity(view: View) -> Iterator[Answer]:
    """The card at each prepared address is the card that was prepared."""
    if view.facts.record is None or not view.cards:
        yield skipped(HOST, "no card was prepared on this host", f"{_CARDS} is not there, or names none")
        return
    if view.facts.pci is None:
        yield skipped(HOST, "the PCI devices could not be seen", "/sys/bus/pci/devices is not there")
        return
    same = 0
    for card in view.cards.values():
        item = view.functions.get(card.address)
        was = f"{_CARDS}: {card.vendor_id}:{card.device_id} subsystem {card.subsystem_vendor}:{card.subsystem_device}"
        if item is None:
            if card.action == "bind":
                yield failed(
                    HOST,
                    f"the card prepared at {card.address} is not there",
                    f"{was}; {sysfs(card.address)} is not there",
                    _moved(view, card),
                )
            else:
                same += 1
            continue
        wrong = list(_differs(card, item))
        if wrong:
            yield failed(
                card.address,
                f"the card at {card.address} is not the card that was prepared",
                f"{was}; now {', '.join(wrong)}",
                _moved(view, card),
            )
        else:
            same += 1
    if same == len(view.cards):
        yield passed(
            HOST,
            "each prepared card is where it was",
            f"{_CARDS}: {same} functions compared by vendor, device, subsystem and path",
        )


def _differs(card: Card, item: PciFunction) -> Iterator[str]:
    pairs = (
        ("vendor", card.vendor_id, item.vendor_id),
        ("device", card.device_id, item.device_id),
        ("subsystem_vendor", card.subsystem_vendor, item.subsystem_vendor),
        ("subsystem_device", card.subsystem_device, item.subsystem_device),
        ("path", card.path, item.path),
    )
    for name, was, now in pairs:
        if was not in ("", "-") and now and was != now:
            yield f"{name} {now}"


def _moved(view: View, card: Card) -> str:
    """Where the card went, if exactly one unclaimed function has its identity."""
    wanted = (card.vendor_id, card.device_id, card.subsystem_vendor, card.subsystem_device)
    found = [
        item.address
        for item in view.pci
        if (item.vendor_id, item.device_id, item.subsystem_vendor, item.subsystem_device) == wanted
        and item.address not in view.cards
    ]
    if len(found) == 1:
        return f"the card may have moved from {card.address} to {found[0]}: run `gpuctl host prepare` to take it there"
    return (
        "see what was moved or exchanged, then run `gpuctl host prepare`: nothing is bound to an address whose card "
        "is another"
    )


def drift(view: View) -> Iterator[Answer]:
    """Every managed file is ours still, and every installed kernel is prepared."""
    record = view.facts.record
    if record is None:
        yield skipped(HOST, "no prepare has run on this host", f"{_CARDS} is not there")
        return
    again = advice.prepare(view)
    if record.unprepared:
        kernels = ", ".join(record.unprepared)
        yield warned(
            HOST,
            "an installed kernel has no prepared initramfs",
            f"images without our files: {kernels}",
            f"run `{advice.rebuild(view)}`",
        )
    if record.edited:
        yield warned(
            HOST,
            "a managed file was edited by somebody else",
            ", ".join(record.edited),
            f"keep the edit elsewhere, then {again}",
        )
    if record.missing:
        yield warned(HOST, "a managed file is gone", ", ".join(record.missing), again)
    if record.group_changes:
        yield warned(
            HOST,
            "the IOMMU groups of prepared cards changed",
            "; ".join(record.group_changes),
            "see group-isolated for what is in them now, before a guest starts",
        )
    if not (record.unprepared or record.edited or record.missing or record.group_changes):
        yield passed(
            HOST,
            "nothing changed since the last prepare",
            f"run {record.run or 'unknown'}: files, images and groups compared",
        )


CHECKS = (
    Check(
        "identity",
        identity,
        "Is it still the same card?",
        "Fails when the card at a prepared address is another one, or gone.",
        "/etc/gpuctl/cards against vendor, device, subsystem and path of what is at each address now.",
        "Addresses move: a card more, a firmware update, another riser. What binds by address alone takes the wrong "
        "device, a disk controller perhaps.",
        "Run gpuctl host prepare again; it binds nothing that it cannot recognise.",
        ("QubesOS#7792, #8127 and #8681", "xcp#412"),
    ),
    Check(
        "drift",
        drift,
        "Did anything change since the last prepare?",
        "Warns when a kernel that was installed later has no prepared initramfs, a managed file was edited or is "
        "gone, or groups changed.",
        "The content of our files, of every image, and the groups as they were.",
        "Upgrades bring kernels whose image nobody prepared; the card is then nouveau's after the next boot.",
        "Rebuild the images, or run gpuctl host prepare again.",
        ("GPUPM PR#49", "xcp#414", "harvester#10499"),
    ),
)
