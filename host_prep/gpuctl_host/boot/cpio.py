"""What is inside an initramfs, read as the kernel unpacks it (init/initramfs.c): archives one after the other.

An image is a row of newc archives, each plain or compressed, with zeros between them; the first, plain, often holds
nothing but microcode. Everything streams: memory stays at a few blocks, whatever the image's size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.data import frozen
from gpuctl_host.errors import GpuctlError, ToolError
from gpuctl_host.tools import decompress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuctl_host.host import Host

_BLOCK = 1 << 18
_NAME_MAX = 4096  # N_ALIGN(PATH_MAX) in init/initramfs.c
_MAGICS = (b"070701", b"070702")
_KINDS = (
    (b"\x1f\x8b", "gzip"),
    (b"\x1f\x9e", "gzip"),
    (b"BZh", "bzip2"),
    (b"\x5d\x00\x00", "lzma"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x89LZO", "lzo"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)


class UnreadableImage(GpuctlError):
    """An initramfs is damaged, or packed in a way that nothing here can read."""

    code = "unreadable-image"


@frozen
class Member:
    """One name in the image."""

    name: str  # without a leading "./" or "/"
    mode: int  # st_mode, file type included
    size: int
    data: bytes | None  # only where it was asked for


class _Source:
    """Bytes from blocks, with a look ahead and a count."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._held = b""
        self.offset = 0

    def peek(self, count: int) -> bytes:
        while len(self._held) < count:
            block = next(self._blocks, None)
            if block is None:
                break
            self._held += block
        return self._held[:count]

    def take(self, count: int) -> bytes:
        found = self.peek(count)
        if len(found) < count:
            raise UnreadableImage("the image ends in the middle of an archive")
        self._held = self._held[count:]
        self.offset += count
        return found

    def skip(self, count: int) -> None:
        while count:
            if not self.peek(1):
                raise UnreadableImage("the image ends in the middle of an archive")
            part = min(count, len(self._held))
            self._held = self._held[part:]
            self.offset += part
            count -= part

    def block(self) -> bytes:
        """Return some bytes, whatever there is."""
        return self.take(len(self.peek(1) and self._held) or 1)

    def give_back(self, data: bytes) -> None:
        """Put bytes back in front."""
        self._held = data + self._held
        self.offset -= len(data)

    def drop(self) -> None:
        """Forget the rest."""
        self._blocks, self._held = iter(()), b""

    def zeros(self) -> None:
        """Pass over the padding between two archives."""
        while self.peek(1) == b"\0":
            stripped = self._held.lstrip(b"\0")
            self.offset += len(self._held) - len(stripped)
            self._held = stripped


def read_members(host: Host, path: str, want: Callable[[str], bool]) -> Iterator[Member]:
    """Yield every name inside the image at ``path``, with the content of those that ``want`` says yes to.

    Raises:
        UnreadableImage: it is no initramfs, is cut off, or is packed by what neither Python nor the host can read.
    """
    try:
        file = open(host.real(path), "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UnreadableImage(f"{path} cannot be read: {error.strerror}") from error
    with file:
        source = _Source(iter(lambda: file.read(_BLOCK), b""))
        yield from _archives(host, path, source, want, depth=0)


def _archives(host: Host, path: str, source: _Source, want: Callable[[str], bool], *, depth: int) -> Iterator[Member]:
    while True:
        source.zeros()
        start = source.peek(6)
        if not start:
            return
        if start in _MAGICS:
            yield from _archive(source, want)
            continue
        kind = next((name for magic, name in _KINDS if start.startswith(magic)), None)
        if kind is None or depth:
            raise UnreadableImage(f"{path} is no initramfs at byte {source.offset}", details=start.hex())
        inner = _Source(_unpacked(host, path, source, kind))
        yield from _archives(host, path, inner, want, depth=1)


def _archive(source: _Source, want: Callable[[str], bool]) -> Iterator[Member]:
    """Yield the members of one newc archive; its trailer is read, not yielded."""
    pending: dict[tuple[int, int, int], list[tuple[str, int]]] = {}  # hard links: only the last one carries the data
    while True:
        head = source.take(110)
        if head[:6] not in _MAGICS:
            raise UnreadableImage("an archive inside the image is damaged", details=head[:16].hex())
        try:
            field = [int(head[index : index + 8], 16) for index in range(6, 110, 8)]
        except ValueError as error:
            raise UnreadableImage("an archive inside the image is damaged") from error
        inode, mode, links, size, name_size = field[0], field[1], field[4], field[6], field[11]
        if not 0 < name_size <= _NAME_MAX:
            raise UnreadableImage("an archive inside the image is damaged: a name of no possible length")
        name = source.take(name_size + -(110 + name_size) % 4)[: name_size - 1].decode("utf-8", "replace")
        if name == "TRAILER!!!":
            source.skip(size + -size % 4)
            return
        name = name[2:] if name.startswith("./") else name.lstrip("/")
        key = (inode, field[7], field[8])
        if links > 1 and not size and mode & 0o170000 == 0o100000:
            pending.setdefault(key, []).append((name, mode))
            continue
        names = [*pending.pop(key, ()), (name, mode)]
        data = None
        if size and size <= 1 << 20 and any(want(each) for each, _ in names):
            data = source.take(size)
            source.skip(-size % 4)
        else:
            source.skip(size + -size % 4)
        for each, its_mode in names:
            yield Member(each, its_mode, size, data if size else b"")


def _unpacked(host: Host, path: str, source: _Source, kind: str) -> Iterator[bytes]:
    """Yield one compressed stream unpacked; for Python's own formats ``source`` goes on right behind it."""
    if kind not in ("zstd", "lz4", "lzo"):
        yield from _by_python(path, source, kind)
        return
    offset = source.offset
    source.drop()  # the filter reads to the end of the file by itself
    try:
        yield from decompress.stream(host, kind, path, offset)
    except ToolError as error:
        raise UnreadableImage(f"{path} is packed with {kind}: {error.brief}", resolution=error.resolution) from error


def _by_python(path: str, source: _Source, kind: str) -> Iterator[bytes]:
    """Yield a stream in blocks of bounded size, even where a few bytes unpack to gigabytes."""
    import bz2
    import lzma
    import zlib

    try:
        if kind == "gzip":
            gzip = zlib.decompressobj(31)
            while not gzip.eof:
                yield gzip.decompress(gzip.unconsumed_tail or source.block(), _BLOCK)
            source.give_back(gzip.unused_data)
            return
        engine = bz2.BZ2Decompressor() if kind == "bzip2" else lzma.LZMADecompressor(memlimit=1 << 28)
        while not engine.eof:
            yield engine.decompress(source.block() if engine.needs_input else b"", _BLOCK)
        source.give_back(engine.unused_data)
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise UnreadableImage(f"{path} cannot be unpacked as {kind}: {error}") from error
