"""Streams taken apart by the host's own zstd, lz4 or lzop: Python 3.9 has none of them.

The one place beside Host that starts a process, because Host.run speaks text and this is hundreds of megabytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.host import Host

_COMMANDS = {
    "zstd": (("zstd", "-dcq"), ("unzstd", "-cq"), ("zstdcat",)),
    "lz4": (("lz4", "-dcq"), ("lz4cat",)),
    "lzo": (("lzop", "-dcq"),),
}
_BLOCK = 1 << 18


def argv(host: Host, kind: str) -> tuple[str, ...] | None:
    """Return the filter for ``kind`` ("zstd", "lz4", "lzo"), or None if the host has none or is a captured tree."""
    if not host.live or host.root != "/":
        return None
    for words in _COMMANDS.get(kind, ()):
        found = host.which(words[0])
        if found:
            return (found, *words[1:])
    return None


def stream(host: Host, kind: str, path: str, offset: int) -> Iterator[bytes]:
    """Yield the content of the file ``path`` from ``offset`` on, decompressed; memory stays at one block.

    The filter is killed when the caller stops early. It reads and writes only, so that it cannot hang on a device.

    Raises:
        ToolError: there is no such filter, or it could not read the stream.
    """
    import subprocess

    words = argv(host, kind)
    if words is None:
        raise ToolError(f"nothing here reads {kind}", resolution=f"install {kind}")
    with open(host.real(path), "rb") as source:
        source.seek(offset)
        child = subprocess.Popen(words, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            while child.stdout is not None and (block := child.stdout.read(_BLOCK)):
                yield block
            if child.wait(60):
                raise ToolError(
                    f"{words[0]} could not read {path}", details=f"status {child.returncode}, from byte {offset}"
                )
        finally:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
