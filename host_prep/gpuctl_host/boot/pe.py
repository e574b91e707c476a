"""Sections of a PE file: where a unified kernel image keeps its command line (systemd-stub(7))."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl_host.host import Host

_HEAD = 1 << 16
_SECTION_MAX = 1 << 20


def read_sections(host: Host, path: str, names: tuple[str, ...]) -> dict[str, str] | None:
    """Return the text of the named sections that are there, or None if it is no PE file or cannot be read."""
    try:
        with open(host.real(path), "rb") as file:
            head = file.read(_HEAD)
            found = {}
            for name, size, offset in _table(head):
                if name in names:
                    file.seek(offset)
                    found[name] = file.read(min(size, _SECTION_MAX)).decode("utf-8", "replace")
            return found
    except (OSError, struct.error, ValueError):
        return None


def _table(head: bytes) -> list[tuple[str, int, int]]:
    """Return (name, size, offset) of each section; the size is the virtual one if that is smaller."""
    if head[:2] != b"MZ":
        raise ValueError("no PE file")
    (start,) = struct.unpack_from("<I", head, 0x3C)
    if head[start : start + 4] != b"PE\0\0":
        raise ValueError("no PE file")
    count, optional = struct.unpack_from("<H12xH", head, start + 6)
    first = start + 24 + optional
    found = []
    for index in range(count):
        name, virtual, size, offset = struct.unpack_from("<8sI4xII", head, first + 40 * index)
        found.append((name.rstrip(b"\0").decode("ascii", "replace"), min(virtual, size) or size, offset))
    return found
