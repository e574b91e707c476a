"""What is mounted where, and whether the file system of a folder can be seen by other hosts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.data import frozen
from gpuctl_host.leftovers.names import IN_PATH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuctl_host.host import Host

_SIZE_MAX = 8 << 20
_OCTAL = re.compile(r"\\([0-7]{3})")
_EXPORTS = ("/var/lib/nfs/etab", "/proc/fs/nfsd/exports")
# Only these are known to belong to one host; whatever is not known is not said to be private.
_PRIVATE = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "bcachefs", "tmpfs", "overlay"})
_SHARED = frozenset(
    {
        *("nfs", "nfs4", "ceph", "fuse.ceph", "glusterfs", "fuse.glusterfs", "lustre", "cifs", "smb3", "smbfs", "9p"),
        *("virtiofs", "gfs2", "ocfs2", "beegfs", "gpfs", "afs", "orangefs", "pvfs2", "fuse.sshfs", "fuse.s3fs"),
        *("fuse.juicefs", "moosefs", "fuse.mfs", "panfs", "vxfs", "acfs"),
    }
)


@frozen
class Mount:
    """One line of mountinfo; ``root`` is the part of the file system that is mounted there."""

    point: str
    root: str
    type: str
    device: str


@frozen
class Filesystem:
    """Where a folder lies; ``shared`` is None where it cannot be known."""

    type: str | None
    device: str | None
    shared: bool | None
    exported: bool = False


def parse_mounts(text: str) -> list[Mount]:
    """Return the mounts of a mountinfo file (proc_pid_mountinfo(5)), in its order, without lines that are none."""
    found = []
    for line in text.split("\n"):
        head, dash, tail = line.partition(" - ")
        fields, rest = head.split(" "), tail.split(" ")
        if dash and len(fields) >= 6 and len(rest) >= 2:
            found.append(Mount(_plain(fields[4]), _plain(fields[3]), rest[0], _plain(rest[1])))
    return found


def read_mounts(host: Host) -> list[Mount] | None:
    """Return this process's mounts, or None if they cannot be seen."""
    text = host.read("/proc/self/mountinfo", _SIZE_MAX)
    return None if text is None else parse_mounts(text)


def filesystem_of(host: Host, path: str, mounts: Iterable[Mount] | None) -> Filesystem:
    """Return the file system of ``path`` (links resolved), and whether other hosts may see it."""
    if mounts is None:
        return Filesystem(None, None, None)
    on: Mount | None = None
    for mount in mounts:  # the last of the longest: later mounts hide earlier ones
        if is_below(path, mount.point) and (on is None or len(mount.point) >= len(on.point)):
            on = mount
    if on is None:
        return Filesystem(None, None, None)
    exported = _is_exported(host, path)
    shared = True if exported or on.type in _SHARED else False if on.type in _PRIVATE else None
    return Filesystem(on.type, on.device, shared, exported)


def mounted_on(mounts: Iterable[Mount], path: str) -> str | None:
    """Return a mount point that is ``path`` or lies below it, or None."""
    return next((mount.point for mount in mounts if is_below(mount.point, path)), None)


def names_in(mounts: Iterable[Mount]) -> set[str]:
    """Return the servers' folders that a mount is made of or lies in, whatever namespace calls its parents."""
    return {name for mount in mounts for text in (mount.point, mount.root) for name in IN_PATH.findall(text)}


def is_below(path: str, folder: str) -> bool:
    """Say whether ``path`` is ``folder`` or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _is_exported(host: Host, path: str) -> bool:
    """Whether this host's NFS server gives the folder, one above it or one in it, to others."""
    for file in _EXPORTS:
        for line in (host.read(file, _SIZE_MAX) or "").split("\n"):
            point = _plain(line.split("\t")[0].split(" ")[0])
            if point.startswith("/") and (is_below(path, point) or is_below(point, path)):
                return True
    return False


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)
