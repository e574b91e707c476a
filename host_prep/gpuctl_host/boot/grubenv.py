"""GRUB's environment block: 1024 bytes of `name=value` lines, filled up with `#` (grub-core/lib/envblk.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl_host.host import Host

PATHS = ("/boot/grub2/grubenv", "/boot/grub/grubenv")


def find(host: Host) -> str | None:
    """Return where the block really is (at Fedora's a link into the ESP), or None."""
    return next((host.resolve(path) for path in PATHS if host.exists(path)), None)


def read(host: Host) -> dict[str, str]:
    """Return the variables; empty where there is no block."""
    path = find(host)
    text = (host.read(path, 65536) if path else None) or ""
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.replace("\\\\", "\\") for name, equals, value in pairs if equals}
