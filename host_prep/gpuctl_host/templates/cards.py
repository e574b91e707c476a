"""The record of the cards, /etc/gpuctl/cards: what every other file of ours acts by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.errors import Refused
from gpuctl_host.templates import header

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuctl_host.facts.model import Card

PATH = "/etc/gpuctl/cards"

_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_ID = re.compile(r"[0-9a-f]{4}")
_DRIVER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_PATH = re.compile(r"/[^\s\"'`$\\]*")


def checked(card: Card) -> Card:
    """Return ``card`` if each field is of its form: what goes into scripts that root runs is never taken on trust.

    Raises:
        Refused: a field is not.
    """
    ids = (card.vendor_id, card.device_id)
    subsystem = (card.subsystem_vendor, card.subsystem_device)  # "-": a tree that does not tell; then not compared
    driver = bool(_DRIVER.fullmatch(card.driver)) if card.action == "bind" else card.driver == "-"
    if (
        not _ADDRESS.fullmatch(card.address)
        or not all(_ID.fullmatch(item or "") for item in ids)
        or not all(item == "-" or _ID.fullmatch(item or "") for item in subsystem)
        or card.action not in ("bind", "remove")
        or not driver
        or not _PATH.fullmatch(card.path)
    ):
        raise Refused(
            f"the identity of {card.address!r} is not complete",
            details=repr(card),
            resolution="see what /sys/bus/pci/devices shows of it: without all its ids nothing is bound",
        )
    return card


def render_record(cards: Iterable[Card]) -> str:
    """Return the record: one line a function, ordered by address."""
    lines = [header(), "# address vendor device subvendor subdevice action driver path\n"]
    for card in sorted(map(checked, cards), key=lambda item: item.address):
        fields = (
            card.address,
            card.vendor_id,
            card.device_id,
            card.subsystem_vendor,
            card.subsystem_device,
            card.action,
            card.driver,
            card.path,
        )
        lines.append(" ".join(fields) + "\n")
    return "".join(lines)
