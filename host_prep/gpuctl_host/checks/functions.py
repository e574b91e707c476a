"""The card's other functions: audio, USB, UCSI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import advice
from gpuctl_host.checks.answer import Answer, Check, failed, passed, skipped, warned
from gpuctl_host.checks.view import named, sysfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View
    from gpuctl_host.facts.model import Gpu, PciFunction


def audio_function(view: View) -> Iterator[Answer]:
    """The card's audio function is on vfio-pci, or gone."""
    for gpu in view.facts.gpus:
        audio = [item for role, item in gpu.functions if role == "audio"]
        if not audio:
            removed = [
                card.address
                for card in view.cards.values()
                if card.action == "remove" and card.address.rpartition(".")[0] == gpu.pci.slot
            ]
            if removed:
                said = f"/etc/gpuctl/cards removes {', '.join(removed)}, and /sys/bus/pci/devices has it no more"
                yield passed(gpu.address, "the audio function is removed", said)
            else:
                yield passed(
                    gpu.address, "the card shows no audio function", f"{sysfs(gpu.pci.slot)}.*: none of class 0403"
                )
        for item in audio:
            path = sysfs(item, "driver")
            host = view.host_driver(item)
            if not view.facts.drivers_seen:
                yield skipped(
                    item.address,
                    "who drives the audio function could not be seen",
                    "no driver link is below /sys/bus/pci/devices",
                )
            elif host:
                yield failed(
                    item.address,
                    f"the audio function is on {host}",
                    f"{path} -> {host}; it belongs to {gpu.address}",
                    advice.prepare(view, gpu.address),
                )
            elif item.driver:
                yield passed(item.address, f"the audio function is on {item.driver}", f"{path} -> {item.driver}")
            elif item.driver_override:
                yield passed(
                    item.address,
                    "the audio function is free, and kept",
                    f"{path} is not there; driver_override is {item.driver_override}",
                )
            else:
                title = "nobody drives the audio function, and nothing keeps snd_hda_intel from it"
                yield warned(
                    item.address, title, f"{path} is not there; no driver_override", advice.prepare(view, gpu.address)
                )


def companion_functions(view: View) -> Iterator[Answer]:
    """The card's USB and UCSI functions go with it."""
    for gpu in view.facts.gpus:
        others = [(role, item) for role, item in gpu.functions if role != "audio"]
        if not others:
            yield passed(gpu.address, "the card has no USB or UCSI function", f"{sysfs(gpu.pci.slot)}.*: none")
        elif not view.facts.drivers_seen:
            yield skipped(
                gpu.address,
                "who drives the card's other functions could not be seen",
                "no driver link is below /sys/bus/pci/devices",
            )
        else:
            yield from _companions(view, gpu, others)


def _companions(view: View, gpu: Gpu, others: list[tuple[str, PciFunction]]) -> Iterator[Answer]:
    fine = True
    for role, item in others:
        host = view.host_driver(item)
        if host is None:
            continue
        fine = False
        name = {"usb": "USB", "ucsi": "UCSI"}.get(role, "other")
        text = f"the card's {name} function is on {host}"
        where = f"{sysfs(item, 'driver')} -> {host}; it belongs to {gpu.address}"
        if role in ("usb", "ucsi"):
            yield failed(item.address, text, where, advice.prepare(view, gpu.address))
        else:
            fix = (
                "see whether it is a part of the card at all: a processor's own graphics share their slot with parts "
                "the host needs"
            )
            yield warned(item.address, text, where, fix)
    if fine:
        yield passed(
            gpu.address, "the card's other functions are not on a host driver", named(item for _, item in others)
        )


CHECKS = (
    Check(
        "audio-function",
        audio_function,
        "Where is the card's audio function?",
        "Fails when it is on a host driver; passes when removed or on vfio-pci. Warns when nobody has it and nothing "
        "keeps it.",
        "Functions of class 0403 in the card's slot; Arc's behind the card's own switch; /etc/gpuctl/cards.",
        "In the GPU's group it makes the group not viable; in a group of its own (AMD with ACS) it still shares the "
        "card's reset.",
        "gpuctl host prepare removes it (default), binds it, or leaves it, as --audio says.",
        ("bryansteiner#22 and #32, quickpassthrough#22", "tests/cases/hosts/gtx860m-audio-left-on-snd-hda.yaml"),
    ),
    Check(
        "companion-functions",
        companion_functions,
        "Where are the card's USB and UCSI functions?",
        "Fails when one of them is on a host driver. Warns about other functions in the slot.",
        "Functions of class 0c03 and 0c80 in the card's slot, and who drives them.",
        "Turing cards have four functions. Tools that bind .0 and .1 leave .2 and .3 on xhci_hcd and nvidia-gpu: the "
        "group is not viable.",
        "gpuctl host prepare takes every function of the card.",
        ("gpu-operator#1328, go-nvlib#115", "tests/cases/hosts/z370-2080ti-2060-same-group-wrong-ids.yaml"),
    ),
)
