"""update-initramfs: Debian's and Ubuntu's images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.tools import BUILD, ran

if TYPE_CHECKING:
    from gpuctl_host.host import Host


def argv(release: str) -> tuple[str, ...]:
    """Return the command that makes one kernel's image anew; its post-update hooks tell the boot loader."""
    return ("update-initramfs", "-u", "-k", release)


def update(host: Host, release: str) -> None:
    """The image of ``release`` is made anew.

    Raises:
        ToolError: it failed; the old image is in place (mkinitramfs writes beside it, then renames).
    """
    ran(
        host,
        argv(release),
        timeout=BUILD,
        what=f"making the initramfs of {release}",
        resolution="see whether /boot is full or read-only; then run gpuctl host prepare again",
    )
