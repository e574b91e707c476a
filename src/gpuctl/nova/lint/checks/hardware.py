"""Device specs and aliases against real hosts (`--facts`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.nova.hosts import Card, Device, Host
from gpuctl.nova.lint.answer import Answer, check, failed, warned
from gpuctl.nova.lint.objects import Item, matcher_of
from gpuctl.nova.lint.sources import Service
from gpuctl.nova.lint.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def _takes(item: Item, device: Device) -> bool:
    if "devname" in item.fields:
        return False
    found = matcher_of(item)
    return found is not None and found.takes(device)


def _listed(view: View, service: Service, host: Host) -> Iterator[tuple[Device, Item]]:
    """Yield every device of the host that nova-compute takes, with the spec that decides: the first that matches."""
    specs = view.specs(service)
    for device in host.devices:
        first = next((item for item in specs if _takes(item, device)), None)
        if first is not None:
            yield device, first


@check(
    "spec-matches-nothing",
    "Does every device spec match a device?",
    answers="With --facts, fails for a spec that matches nothing on any host it is for; a host's own file is for that "
    "host.",
    matters="The devices it is meant for are not offered: No valid host.",
    remedy="Correct ids or address; addresses change when cards are moved.",
    sources=("nova/pci/devspec.py",),
)
def matches_nothing(view: View) -> Iterable[Answer]:
    """Yield specs without a device."""
    for service in view.of("compute"):
        hosts = [host for one, host in view.on_hosts() if one is service]
        for item in view.specs(service) if hosts else ():
            if matcher_of(item) is None or "devname" in item.fields:
                continue
            if not any(_takes(item, device) for host in hosts for device in host.devices):
                evidence = f"{item.where}; looked at: {', '.join(host.name for host in hosts)}"
                yield failed(service.label, "a device spec matches nothing", evidence, "correct its ids or its address")


@check(
    "spec-matches-more",
    "Do device specs match GPUs alone?",
    answers="With --facts, fails for a device spec that takes a card's audio or USB function, an NVSwitch, or another "
    "device.",
    matters="The device goes to a guest, or blocks the GPU's group: an audio function counts as a free device of its "
    "own.",
    remedy="Give the GPU's product_id, or its address with its function.",
    sources=("nova/pci/devspec.py", "gpuctl host facts: functions, group_peers, nvswitches"),
)
def matches_more(view: View) -> Iterable[Answer]:
    """Yield devices that no spec should take."""
    for service, host in view.on_hosts():
        for device, item in _listed(view, service, host):
            if not isinstance(device, Card):
                yield failed(
                    f"{host.name}/{device.address}",
                    f"a device spec takes a {device.what}, {device.ids}",
                    f"{item.where}; driver {device.driver or 'none'}",
                    "narrow the spec: product_id, or the address with its function",
                )


@check(
    "spec-unprepared",
    "Is every card that is offered on vfio-pci?",
    answers="With --facts, fails for a card that a host driver has; warns for one without any driver.",
    matters="Nova's libvirt takes the card from its driver at a guest's start: a busy driver hangs or crashes the "
    "host.",
    remedy="Run gpuctl host prepare there, or take the card out of the list.",
    sources=("libvirt: managed='yes'", "nova/virt/libvirt/config.py"),
)
def unprepared(view: View) -> Iterable[Answer]:
    """Yield cards that are offered too early."""
    for service, host in view.on_hosts():
        for device, item in _listed(view, service, host):
            if isinstance(device, Card) and not device.prepared:
                say = failed if device.driver else warned
                yield say(
                    f"{host.name}/{device.address}",
                    f"{device.what} is offered to guests, and {device.driver or 'no driver'} has it",
                    item.where,
                    "run `gpuctl host prepare` there, or list the others by address",
                )


@check(
    "gpu-unlisted",
    "Is every prepared card offered?",
    answers="With --facts, warns for a card on vfio-pci that no device spec takes.",
    matters="It is no use to anybody: the host cannot use it, and no guest gets it.",
    remedy="Add a device spec, or give the card back to the host.",
    sources=("gpuctl",),
)
def unlisted(view: View) -> Iterable[Answer]:
    """Yield cards that wait for nothing."""
    for service, host in view.on_hosts():
        taken = {device.address for device, _ in _listed(view, service, host)}
        for card in host.cards:
            if card.prepared and card.address not in taken:
                yield warned(
                    f"{host.name}/{card.address}",
                    f"{card.what} is on {card.driver}, and no device spec takes it",
                    f"{card.ids} in {', '.join(service.files)}",
                    "add a device spec for it",
                )


@check(
    "spec-pf-and-vf",
    "Is a card offered either whole or in virtual functions?",
    answers="With --facts, fails when a card and its virtual functions are both taken and the compute reports to "
    "Placement; warns otherwise.",
    matters="With Placement nova-compute stops (PlacementPciDependentDeviceException); without it a guest may get the "
    "card from under the guests on its functions. An address that names the card takes its functions, too.",
    remedy="List either, by address or by product_id.",
    sources=("nova/compute/pci_placement_translator.py", "nova/pci/devspec.py: WhitelistPciAddress.match"),
)
def pf_and_vf(view: View) -> Iterable[Answer]:
    """Yield cards that are listed twice over."""
    for service, host in view.on_hosts():
        taken = {device.address: item for device, item in _listed(view, service, host)}
        for card in host.cards:
            if card.physfn in taken and card.address in taken:
                say = failed if view.reports(service) else warned
                yield say(
                    f"{host.name}/{card.physfn}",
                    f"this card and its virtual function {card.address} are both offered",
                    f"{taken[card.physfn].where}; {taken[card.address].where}",
                    "list the functions alone, or switch them off",
                )


@check(
    "alias-hardware",
    "Does every alias' device_type fit the cards?",
    answers="With --facts, fails for an alias whose device_type is not what the cards of its ids are.",
    matters="Nova goes by what libvirt reports: a card that can SR-IOV is type-PF, and an alias that does not say so "
    "never gets it.",
    remedy="Write the device_type that `gpuctl host facts` shows; it depends on the firmware's settings, not the "
    "model alone.",
    sources=(
        "nova/virt/libvirt/host.py: _get_device_type (34.0.0)",
        "nova/pci/stats.py: _filter_pools_for_unrequested_pfs",
        "LP 1892361: the type changes with the firmware's SR-IOV setting",
    ),
)
def alias_hardware(view: View) -> Iterable[Answer]:
    """Yield aliases of the wrong type for real cards."""
    seen = set()
    for service in view.services:
        for item in view.good_aliases(service):
            for host, card in _cards_of(view, item):
                wanted = item.fields.get("device_type")
                fits = wanted == card.device_type or (wanted is None and card.device_type != "type-PF")
                key = (item.value, card.device_type)
                if not fits and key not in seen and not _other_line(view, service, item, card):
                    seen.add(key)
                    yield failed(
                        service.label,
                        (
                            f"alias {item.fields['name']} says {wanted or 'no device_type'}, and the card is "
                            f"{card.device_type}"
                        ),
                        f"{item.where}; {host.name} {card.address} {card.what} {card.ids}",
                        f'write "device_type": "{card.device_type}"',
                    )


def _ids(item: Item) -> str | None:
    vendor, product = item.fields.get("vendor_id"), item.fields.get("product_id")
    return f"{vendor}:{product}".lower() if isinstance(vendor, str) and isinstance(product, str) else None


def _cards_of(view: View, item: Item) -> Iterator[tuple[Host, Card]]:
    for host in view.hosts or ():
        for card in host.cards:
            if card.ids == _ids(item):
                yield host, card


def _other_line(view: View, service: Service, item: Item, card: Card) -> bool:
    """Whether another alias is there for cards of that type: then each has its own, as `nova configure` writes them."""
    return any(
        other is not item and _ids(other) == card.ids and other.fields.get("device_type") == card.device_type
        for other in view.good_aliases(service)
    )


@check(
    "alias-no-device",
    "Is there a card for every alias?",
    answers="With --facts, warns for an alias whose devices no host offers.",
    matters="A flavor with it finds no valid host.",
    remedy="Correct the alias' ids, or list the devices.",
    sources=("nova/pci/stats.py",),
)
def no_device(view: View) -> Iterable[Answer]:
    """Yield aliases that nobody can be given."""
    if not view.hosts or not view.of("compute"):
        return
    offered = {device.ids for service, host in view.on_hosts() for device, _ in _listed(view, service, host)}
    seen = set()
    for service in view.services:
        for item in view.good_aliases(service):
            ids = _ids(item)
            if ids is not None and ids not in offered and item.value not in seen:
                seen.add(item.value)
                evidence = f"{item.where}; offered: {', '.join(sorted(offered)) or 'nothing'}"
                yield warned(
                    service.label,
                    f"no host offers a device for alias {item.fields['name']}",
                    evidence,
                    "correct its ids, or list the devices",
                )


CHECKS = (matches_nothing, matches_more, unprepared, unlisted, pf_and_vf, alias_hardware, no_device)
