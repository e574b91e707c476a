"""newc archives for tests, made as initramfs builders make them."""

from __future__ import annotations

from collections.abc import Iterable

Entry = tuple  # (name, data) or (name, data, {"mode": ..., "inode": ..., "links": ...})


def newc(entries: Iterable[tuple[str, bytes] | tuple[str, bytes, dict[str, int]]]) -> bytes:
    """Return one archive with its trailer."""
    out = bytearray()
    for number, entry in enumerate([*entries, ("TRAILER!!!", b"")], 1):
        name, data = entry[0], entry[1]
        extra = entry[2] if len(entry) > 2 else {}
        fields = [
            extra.get("inode", number),
            extra.get("mode", 0o100644),
            0,
            0,
            extra.get("links", 1),
            0,
            len(data),
            0,
            0,
            0,
            0,
            len(name.encode()) + 1,
            0,
        ]
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4)
        out += data + b"\0" * (-len(data) % 4)
    return bytes(out)


def padded(archive: bytes, block: int = 512) -> bytes:
    """Return the archive filled up with zeros, as cpio does."""
    return archive + b"\0" * (-len(archive) % block)
