"""dracut: images of the RHEL family, SUSE, and Debian where it was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.tools import BUILD, ran

if TYPE_CHECKING:
    from gpuctl_host.host import Host


def argv(image: str, release: str) -> tuple[str, ...]:
    """Return the command that makes one kernel's image anew in place."""
    return ("dracut", "--force", image, release)


def build(host: Host, image: str, release: str) -> None:
    """The image of ``release`` is made anew.

    Raises:
        ToolError: it failed; dracut leaves the old image then.
    """
    ran(
        host,
        argv(image, release),
        timeout=BUILD,
        what=f"making the initramfs of {release}",
        resolution="see whether /boot is full or read-only; then run gpuctl host prepare again",
    )
