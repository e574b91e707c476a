"""The files that every host gets, whatever makes its images and whatever loads its kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot.planning import Leave
from gpuctl_host.templates import cards, modprobe, udev

if TYPE_CHECKING:
    from gpuctl_host.changes.model import Wish

PATHS = (cards.PATH, udev.PATH, modprobe.PATH)


def leaves(wish: Wish, *, vfio_builtin: bool) -> tuple[Leave, ...]:
    """Return the record, the udev rules and modprobe's file."""
    return (
        Leave(
            cards.PATH,
            cards.render_record(wish.cards),
            "the record of the cards, by identity: everything else acts by it",
        ),
        Leave(udev.PATH, udev.render_udev_rules(wish.cards), "so that it holds after a rescan or a hotplug too"),
        Leave(
            modprobe.PATH,
            modprobe.render_modprobe(wish, vfio_builtin=vfio_builtin),
            "so that no other driver loads first",
        ),
    )
