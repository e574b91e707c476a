"""The udev rules: what holds when a card comes (back) after boot, by rescan or hotplug.

At boot the early script has already done the same, before udev ran; then the rules find nothing left to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.templates import header
from gpuctl_host.templates.cards import checked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuctl_host.facts.model import Card

PATH = "/etc/udev/rules.d/10-gpuctl.rules"

# A function that comes back is probed by the kernel before udev hears of it: a driver that is loaded already has it by
# then (seen with snd_hda_intel), and vfio-pci, loaded already, would not be asked again. So on a real event it is taken
# from whoever was first; it has just appeared, nobody can be using it. On a synthetic one (`udevadm trigger`, which is
# also the cold plug) nothing is unbound: that card may be in use, and an unbind would hang.
_PROBE = (
    "RUN+=\"/bin/sh -c '[ -e /sys/bus/pci/drivers/%(driver)s/$kernel ] && exit 0; "
    "[ $${SYNTH_UUID:+set} ] || echo $kernel >/sys$devpath/driver/unbind; "
    "[ -e /sys$devpath/driver ] || echo $kernel >/sys/bus/pci/drivers_probe; "
    "[ -e /sys/bus/pci/drivers/%(driver)s/$kernel ] || echo gpuctl: $kernel is not on %(driver)s >/dev/kmsg'\""
)


def render_udev_rules(cards: Iterable[Card]) -> str:
    """Return the rules: one line a function, by address and full identity."""
    lines = [
        header(),
        "# Each line takes one PCI function, and only if it is the very card that was prepared.\n",
        "# `gpuctl=off` on the kernel command line turns them off for one boot.\n",
        'ACTION!="add", GOTO="gpuctl_end"\n',
        'SUBSYSTEM!="pci", GOTO="gpuctl_end"\n',
        'IMPORT{cmdline}="gpuctl"\n',
        'ENV{gpuctl}=="off", GOTO="gpuctl_end"\n',
    ]
    lines += [_rule(card) for card in sorted(map(checked, cards), key=lambda item: item.address)]
    return "".join((*lines, 'LABEL="gpuctl_end"\n'))


def _rule(card: Card) -> str:
    ids = {
        "vendor": card.vendor_id,
        "device": card.device_id,
        "subsystem_vendor": card.subsystem_vendor,
        "subsystem_device": card.subsystem_device,
    }
    known = "".join(f'ATTR{{{name}}}=="0x{value}", ' for name, value in ids.items() if value != "-")
    match = f'KERNEL=="{card.address}", {known}'
    if card.action == "remove":
        return f'{match}ATTR{{remove}}="1"\n'
    act = f'ATTR{{driver_override}}="{card.driver}", RUN{{builtin}}+="kmod load {card.driver}", '
    return match + act + _PROBE % {"driver": card.driver} + "\n"
