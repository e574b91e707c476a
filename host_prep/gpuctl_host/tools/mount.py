"""mount and umount: a file system looked into, read-only, for a moment."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpuctl_host.tools import QUICK, ran

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.host import Host

PLACE = "/run/gpuctl/esp"


@contextmanager
def read_only(host: Host, device: str) -> Iterator[str]:
    """Give the path where ``device`` is mounted, read-only; it is unmounted afterwards.

    Raises:
        ToolError: it could not be mounted or unmounted.
    """
    resolution = f"see `lsblk -f {device}` and `dmesg`"
    ran(
        host,
        ("mkdir", "-p", "-m", "700", PLACE),
        timeout=QUICK,
        what=f"making {PLACE}",
        resolution="see whether /run is full",
    )
    argv = ("mount", "-o", "ro,nosuid,nodev,noexec", device, PLACE)
    ran(host, argv, timeout=QUICK, what=f"looking into {device}", resolution=resolution)
    host.forget()
    try:
        yield PLACE
    finally:
        ran(host, ("umount", PLACE), timeout=QUICK, what=f"leaving {device}", resolution=f"run `umount {PLACE}`")
        host.forget()
