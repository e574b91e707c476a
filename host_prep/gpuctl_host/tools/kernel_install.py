"""kernel-install and sdbootutil: entries of the Boot Loader Specification, written anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.tools import BUILD, ran

if TYPE_CHECKING:
    from gpuctl_host.host import Host


def argv(release: str, image: str) -> tuple[str, ...]:
    """Return the command that writes one kernel's entry anew, with /etc/kernel/cmdline as it is then."""
    return ("kernel-install", "add", release, image)


def sdbootutil_argv() -> tuple[str, ...]:
    """Return the command that writes /etc/kernel/cmdline into every entry, on openSUSE."""
    return ("sdbootutil", "update-all-entries")


def sdbootutil_images_argv() -> tuple[str, ...]:
    """Return the command that makes every kernel's image and entry anew, on openSUSE."""
    return ("sdbootutil", "mkinitrd")


def add(host: Host, release: str, image: str) -> None:
    """The entry of ``release`` is written anew.

    Raises:
        ToolError: kernel-install or one of its plug-ins failed.
    """
    ran(
        host,
        argv(release, image),
        timeout=BUILD,
        what=f"writing the boot entry of {release}",
        resolution="see whether the boot partition is mounted and has room; then run gpuctl host prepare again",
    )
