"""The domain of a server, where libvirt is in reach: by libvirt's own Python, if it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def reader(uri: str) -> Callable[[str, str], str | None]:
    """Return what reads a domain's XML by (host, domain's name); None where libvirt does not answer.

    Args:
        uri: libvirt's, with {host} where the host's name goes: qemu+ssh://root@{host}/system.
    """

    def read(host: str, domain: str) -> str | None:
        try:
            import libvirt
        except ImportError:
            return None
        try:
            connection = libvirt.openReadOnly(uri.replace("{host}", host))
        except libvirt.libvirtError:
            return None
        try:
            return str(connection.lookupByName(domain).XMLDesc(0))
        except libvirt.libvirtError:
            return None
        finally:
            connection.close()

    return read
