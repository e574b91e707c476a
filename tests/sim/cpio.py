"""An initramfs image: a newc archive, compressed with gzip (initramfs buffer format of the kernel's documentation)."""

from __future__ import annotations

import gzip
import stat

Entry = tuple[int, bytes]  # st_mode, content (a link's target for a link)


def pack(entries: dict[str, Entry], stamp: int = 0) -> bytes:
    """Return the image that holds ``entries`` (names without a leading slash), folders added.

    Args:
        stamp: modification time of every entry: two builds of a real tool differ in nothing else (FINDINGS vii).
    """
    whole: dict[str, Entry] = {}
    for name in sorted(entries):
        parts = name.split("/")
        for depth in range(1, len(parts)):
            whole.setdefault("/".join(parts[:depth]), (stat.S_IFDIR | 0o755, b""))
        whole[name] = entries[name]
    out = bytearray()
    for number, (name, (mode, data)) in enumerate(whole.items(), 1):
        out += _record(number, name, mode, data, stamp)
    out += _record(0, "TRAILER!!!", 0, b"", 0)
    out += bytes(-len(out) % 512)
    return gzip.compress(bytes(out), 1, mtime=0)


def _record(number: int, name: str, mode: int, data: bytes, stamp: int) -> bytes:
    raw = name.encode() + b"\0"
    head = "070701" + "".join(
        f"{value:08X}" for value in (number, mode, 0, 0, 1, stamp, len(data), 0, 0, 0, 0, len(raw), 0)
    )
    body = head.encode() + raw
    body += bytes(-len(body) % 4) + data
    return body + bytes(-len(body) % 4)


def unpack(image: bytes) -> dict[str, Entry]:
    """Return what an image of `pack` holds."""
    raw = gzip.decompress(image)
    found: dict[str, Entry] = {}
    at = 0
    while raw[at : at + 6] == b"070701":
        fields = [int(raw[at + 6 + 8 * index : at + 14 + 8 * index], 16) for index in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = raw[at + 110 : at + 110 + length - 1].decode()
        start = (at + 110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            break
        found[name] = (mode, raw[start : start + size])
        at = (start + size + 3) // 4 * 4
    return found
