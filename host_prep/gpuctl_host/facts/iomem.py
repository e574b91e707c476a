"""/proc/iomem: who has claimed which physical addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl_host.host import Host


def read_iomem(host: Host) -> tuple[tuple[int, int, int, str], ...] | None:
    """Return (depth, start, end, name) of each line; None if it cannot be read, or shows only zeros (not root)."""
    text = host.read("/proc/iomem", 4 << 20)
    if text is None:
        return None
    found = []
    for line in text.split("\n"):
        span, colon, name = line.partition(" : ")
        first, dash, last = span.strip().partition("-")
        if not (colon and dash):
            continue
        try:
            start, end = int(first, 16), int(last, 16)
        except ValueError:
            continue
        found.append(((len(span) - len(span.lstrip(" "))) // 2, start, end, name.strip()))
    if not any(end for _, _, end, _ in found):
        return None
    return tuple(found)
