"""Disks that stand on another server's files: the backing and data files that qcow2 headers name.

Source: docs/interop/qcow2.txt of QEMU.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING, Callable

from gpuctl_host.data import frozen
from gpuctl_host.leftovers.folder import OPEN_FOLDER
from gpuctl_host.leftovers.names import parse_name

if TYPE_CHECKING:
    from gpuctl_host.leftovers.folder import Place

_MAGIC = b"QFI\xfb"
_HEAD = (
    64 * 1024
)  # header, extensions and the backing file's name lie in the first cluster, 64 KiB unless made otherwise
_FILES_MAX = 256  # of one folder
_DATA_FILE = 0x44415441
_FAR = 1 << 50  # no offset in a file that exists
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@frozen
class Backings:
    """What disks of the instances folder stand on.

    Attributes:
        named: (folder that the disk is in, file name that its header gives).
        unread: (folder, what of it could not be read); while there is one, no backing is proven absent.
    """

    named: tuple[tuple[str, str], ...]
    unread: tuple[tuple[str, str], ...]

    def standing_on(self, name: str) -> tuple[str, ...]:
        """Return the other folders with a disk that names the folder ``name``."""
        return tuple(dict.fromkeys(folder for folder, target in self.named if folder != name and name in target))

    def unread_beside(self, name: str) -> tuple[str, ...]:
        """Return what could not be read in the other folders; what is in ``name`` itself goes with it."""
        return tuple(what for folder, what in self.unread if folder != name)


def read_backings(place: Place) -> Backings:
    """Return what the disks of every server's folder stand on; `_base` holds no overlays."""
    named: list[tuple[str, str]] = []
    unread: list[tuple[str, str]] = []
    for folder in sorted(os.listdir(place.fd)):
        if parse_name(folder) is None:
            continue
        try:
            fd = os.open(folder, OPEN_FOLDER, dir_fd=place.fd)
        except OSError as error:
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                unread.append((folder, f"{folder}: {error.strerror}"))
            continue
        try:
            files = sorted(os.listdir(fd))
            if len(files) > _FILES_MAX:
                unread.append((folder, f"{folder}: more than {_FILES_MAX} files"))
            for file in files[:_FILES_MAX]:
                try:
                    named += [(folder, target) for target in _targets(fd, file)]
                except FileNotFoundError:
                    continue
                except OSError as error:
                    unread.append((folder, f"{folder}/{file}: {error.strerror}"))
        finally:
            os.close(fd)
    return Backings(tuple(named), tuple(unread))


def _targets(folder: int, file: str) -> list[str]:
    if not stat.S_ISREG(os.stat(file, dir_fd=folder, follow_symlinks=False).st_mode):
        return []
    fd = os.open(file, _OPEN_FILE, dir_fd=folder)
    try:
        head = os.pread(fd, _HEAD, 0)
        return parse_header(head, lambda at, size: os.pread(fd, size, at))
    finally:
        os.close(fd)


def parse_header(head: bytes, read: Callable[[int, int], bytes]) -> list[str]:
    """Return the files that a qcow2 header names; nothing for any other file.

    Args:
        head: the first 64 KiB of the file.
        read: (offset, size) -> bytes, for a name behind a large header.
    """
    if head[:4] != _MAGIC or len(head) < 72:
        return []
    version, at, size = struct.unpack_from(">IQI", head, 4)
    found = []
    if at and 0 < size <= 1023:  # QEMU's own limit
        name = head[at : at + size] if at + size <= len(head) or at > _FAR else read(at, size)
        found.append(name.decode("utf-8", "replace"))
    length = struct.unpack_from(">I", head, 100)[0] if version >= 3 and len(head) >= 104 else 72
    while length + 8 <= len(head):
        kind, extent = struct.unpack_from(">II", head, length)
        if kind == 0:
            break
        if kind == _DATA_FILE:
            found.append(head[length + 8 : length + 8 + extent].decode("utf-8", "replace"))
        length += 8 + (extent + 7) // 8 * 8
    return found
