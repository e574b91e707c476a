"""ids= lists: whom they really take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.checks import advice
from gpuctl_host.checks.answer import HOST, Answer, Check, passed, skipped, warned
from gpuctl_host.checks.view import ids, named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View
    from gpuctl_host.facts.model import PciFunction

# vfio_pci.c parses each entry with %x:%x:%x:%x:%x:%x and wants at least two of them.
_ENTRY = re.compile(r"(?:0x)?([0-9a-f]{1,8}):(?:0x)?([0-9a-f]{1,8})((?::(?:0x)?[0-9a-f]{1,8}){0,4})", re.IGNORECASE)


def vfio_ids(view: View) -> Iterator[Answer]:
    """Each ids= list takes the selected cards whole, and nothing else."""
    facts = view.facts
    lists = list(_lists(view))
    if facts.modprobe is None and not view.command_lines():
        yield skipped(HOST, "no configuration could be read", "neither /etc/modprobe.d nor a command line is there")
        return
    if not lists:
        yield passed(HOST, "no ids= list", "no ids= for vfio-pci in modprobe's configuration or on a command line")
        return
    bad = False
    for where, value, from_modprobe in lists:
        for answer in _judge(view, where, value, from_modprobe=from_modprobe):
            bad = True
            yield answer
    if not bad:
        yield passed(
            HOST,
            "ids= takes the selected cards and nothing else",
            "; ".join(f"{where}: ids={value}" for where, value, _ in lists),
        )


def _lists(view: View) -> Iterator[tuple[str, str, bool]]:
    """Yield (place, value, whether modprobe's configuration gives it)."""
    seen = set()
    for where, line in view.command_lines():
        for item in line:
            if item.name == "vfio_pci.ids" and item.value and item.value not in seen:
                seen.add(item.value)
                yield where, item.value, False
    for rule, option in view.module_options("vfio_pci"):
        if option.name == "ids" and option.value:
            yield f"{rule.path}:{rule.line}", option.value, True


def _judge(view: View, where: str, value: str, *, from_modprobe: bool) -> Iterator[Answer]:
    """Say what is wrong with one list."""
    said = f"{where}: ids={value}"
    by_address = "run `gpuctl host prepare`, which binds by address, and take the ids= list out"
    if from_modprobe and view.facts.software.vfio_pci == "builtin":
        yield warned(
            HOST,
            "vfio-pci is built in: options in /etc/modprobe.d are not read",
            said,
            advice.add_argument(view, f"vfio-pci.ids={value}"),
        )
    taken: dict[str, PciFunction] = {}
    dead = []
    for entry in value.split(","):
        found = _ENTRY.fullmatch(entry.strip())
        if not found:
            yield warned(
                HOST,
                f"ids= holds {entry!r}, which is no vendor:device",
                said,
                "write ids=vendor:device[,vendor:device...], four hex digits each",
            )
            continue
        name = f"{int(found[1], 16):04x}:{int(found[2], 16):04x}"
        hits = [item for item in view.pci if ids(item) == name]
        taken.update((item.address, item) for item in hits)
        if not hits:
            dead.append(name)
    whole = view.facts.pci is not None and all(item.vendor_id and item.device_id for item in view.pci)
    if dead and whole:
        yield warned(HOST, f"ids= names {', '.join(dead)}, and no device has that id", said, by_address)
    left = [
        item
        for gpu in view.facts.gpus
        if any(member.address in taken for member in gpu.members)
        for item in gpu.members
        if item.address not in taken
    ]
    if left:
        yield warned(HOST, "ids= takes a card in part", f"{said}; left out: {named(left)}", by_address)
    strays = [
        item
        for item in taken.values()
        if item.address not in view.selected and not item.is_bridge and item not in view.facts.nvswitches
    ]
    vital = [item for item in taken.values() if item.address in view.needs]
    if vital:
        yield warned(HOST, "ids= takes a device that the host lives on", f"{said}; {named(vital)}", by_address)
    elif strays and view.facts.gpus:
        yield warned(HOST, "ids= takes devices that are no selected card", f"{said}; {named(strays)}", by_address)
    kept = [
        item
        for item in taken.values()
        if view.host_driver(item) and any(is_on(item, other) for other in taken.values())
    ]
    if kept:
        yield warned(
            HOST,
            "ids= will take twins too: a card with the same id is still the host's",
            f"{said}; {named(kept)}",
            by_address,
        )


def is_on(item: PciFunction, other: PciFunction) -> bool:
    """Whether ``other`` is a twin of ``item`` (same id, other address) that a VFIO driver has."""
    return ids(other) == ids(item) and other.address != item.address and "vfio" in (other.driver or "")


CHECKS = (
    Check(
        "vfio-ids",
        vfio_ids,
        "Whom does ids= take?",
        "Warns when an ids= list is malformed, names nothing, takes a card in part, takes a twin that the host uses, "
        "or is not read at all.",
        "vfio-pci.ids= on the command lines, `options vfio-pci ids=` in modprobe's configuration, and every device "
        "that has such an id.",
        "ids= acts on a model, not on a card: twins go along, and a slip in one digit leaves the audio function with "
        "the host.",
        "gpuctl host prepare binds by address with driver_override; then no list is needed.",
        (
            "truenas/middleware#11397, quickpassthrough#10",
            "macOS-Simple-KVM#23: ids=8086:5917,1=8086:9d71",
            "clayfreeman#3: vfio-pci built in",
            "tests/cases/hosts/z370-2080ti-2060-same-group-wrong-ids.yaml",
        ),
    ),
)
