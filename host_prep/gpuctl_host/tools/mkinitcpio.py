"""mkinitcpio: Arch's images, by preset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.tools import BUILD, ran

if TYPE_CHECKING:
    from gpuctl_host.host import Host


def argv(preset: str) -> tuple[str, ...]:
    """Return the command that makes every image of one preset anew."""
    return ("mkinitcpio", "-p", preset)


def build(host: Host, preset: str) -> None:
    """The images of ``preset`` are made anew.

    Raises:
        ToolError: it failed.
    """
    ran(
        host,
        argv(preset),
        timeout=BUILD,
        what=f"making the initramfs of preset {preset}",
        resolution="see whether /boot is full or read-only; then run gpuctl host prepare again",
    )
