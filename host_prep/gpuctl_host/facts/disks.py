"""Which PCI devices carry the file systems and the swap that the host runs on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.facts.topology import with_physical

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuctl_host.host import Host

_ESSENTIAL = ("/", "/usr", "/boot", "/boot/efi", "/efi", "/boot/firmware", "/var", "/etc")
_NO_DEVICE = (
    "squashfs",
    "iso9660",
    "tmpfs",
    "ramfs",
    "devtmpfs",
    "rootfs",
    "nfs",
    "nfs4",
    "9p",
    "virtiofs",
    "cifs",
    "ceph",
)
_MOUNTS_MAX = 4096
_DEPTH = 8  # LUKS on LVM on md on multipath is four
_ZPOOL_DEVICE = rb"/dev/[\w/.:+-]{1,250}"


class Mount:
    """One mount: where, of which block device ("259:2"), which type, from which source."""

    def __init__(self, point: str, number: str, kind: str, source: str) -> None:
        self.point, self.number, self.kind, self.source = point, number, kind, source


def read_mounts(host: Host) -> list[Mount] | None:
    """Return the mounts, "/" first; None if they cannot be seen."""
    text = host.read("/proc/self/mountinfo", 4 << 20)
    if text is not None:
        mounts = [mount for line in text.split("\n")[:_MOUNTS_MAX] if (mount := _from_mountinfo(line))]
    else:
        text = host.read("/proc/mounts", 4 << 20)
        if text is None:
            return None
        rows = [line.split() for line in text.split("\n")[:_MOUNTS_MAX]]
        mounts = [Mount(_unescaped(row[1]), "", row[2], _unescaped(row[0])) for row in rows if len(row) >= 3]
    return sorted(mounts, key=lambda mount: (mount.point not in _ESSENTIAL, mount.point))


def _from_mountinfo(line: str) -> Mount | None:
    """proc_pid_mountinfo(5): id parent major:minor root point options [tags] - type source options."""
    head, dash, tail = line.partition(" - ")
    fields, rest = head.split(), tail.split()
    if not dash or len(fields) < 5 or len(rest) < 2:
        return None
    return Mount(_unescaped(fields[4]), fields[2], rest[0], _unescaped(rest[1]))


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text) if "\\" in text else text


def disk_needs(host: Host, mounts: Iterable[Mount]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return (address, "/ on nvme0n1p2") of each device, and what could not be traced to one."""
    found: list[tuple[str, str]] = []
    unknown: list[str] = []
    for mount in mounts:
        if mount.kind in _NO_DEVICE or (
            mount.number.startswith("0:") and not mount.source.startswith("/dev/") and mount.kind != "zfs"
        ):
            if mount.point == "/" and mount.kind in ("overlay", "fuse", "aufs"):
                unknown.append(f"/ on {mount.kind}")
            continue
        devices = _devices(host, mount)
        traced = [
            (address, f"{mount.point} on {_name(path)}") for path in devices for address in with_physical(host, path)
        ]
        found += traced
        if not traced and mount.point in _ESSENTIAL:
            unknown.append(f"{mount.point} on {mount.kind} {mount.source}")
    for line in (host.read("/proc/swaps", 65536) or "").split("\n")[1:]:
        words = line.split()
        if len(words) >= 2 and words[1] == "partition":
            for path in _carriers(host, _named(host, _unescaped(words[0]))):
                found += [(address, f"swap on {_name(path)}") for address in with_physical(host, path)]
    return found, unknown


def _devices(host: Host, mount: Mount) -> list[str]:
    """The sysfs paths of the hardware below a mount."""
    if mount.kind == "zfs":
        return _zfs(host)
    start = None
    if mount.number and not mount.number.startswith("0:"):
        start = _existing(host, f"/sys/dev/block/{mount.number}")
    start = start or _named(host, mount.source)
    if mount.kind == "btrfs" and start:
        return [path for one in _btrfs(host, start) for path in _carriers(host, one)]
    return _carriers(host, start)


def _carriers(host: Host, path: str | None, depth: int = _DEPTH) -> list[str]:
    """Follow a block device down its slaves (dm, md, bcache, multipath) to devices that are no longer virtual."""
    if path is None or depth == 0:
        return []
    if (
        "/virtual/nvme-subsystem/" in path
    ):  # native multipath: the disk hangs on the subsystem, its controllers beside it
        subsystem = "/".join(path.split("/")[:6])
        links = [name for name in host.names(subsystem) if re.fullmatch(r"nvme\d+", name)]
        return [host.resolve(f"{subsystem}/{name}") for name in links]
    if "/virtual/" not in path:
        return [path]
    found: list[str] = []
    for folder in (path, path.rpartition("/")[0]):  # a partition's slaves are its disk's
        for name in host.names(f"{folder}/slaves")[:64]:
            found += _carriers(host, host.resolve(f"{folder}/slaves/{name}"), depth - 1)
        if found:
            break
    return found


def _named(host: Host, device: str) -> str | None:
    """The sysfs path of /dev/sda2, /dev/mapper/name, /dev/disk/by-id/...; None if there is no such block device."""
    if not device.startswith("/dev/"):
        return None
    if device.startswith("/dev/mapper/"):
        wanted = device.rpartition("/")[2]
        for name in host.names("/sys/class/block"):
            if name.startswith("dm-") and host.word(f"/sys/class/block/{name}/dm/name") == wanted:
                return _existing(host, f"/sys/class/block/{name}")
    direct = _existing(host, f"/sys/class/block/{device[5:].replace('/', '!')}")
    return direct or _existing(host, f"/sys/class/block/{host.resolve(device).rpartition('/')[2]}")


def _existing(host: Host, path: str) -> str | None:
    return host.resolve(path) if host.exists(path) else None


def _btrfs(host: Host, path: str) -> list[str]:
    """Every device of the btrfs that ``path`` is one of (/sys/fs/btrfs/<uuid>/devices)."""
    for uuid in host.names("/sys/fs/btrfs"):
        names = host.names(f"/sys/fs/btrfs/{uuid}/devices")
        if path.rpartition("/")[2] in names:
            paths = (_existing(host, f"/sys/class/block/{name}") for name in names)
            return [one for one in paths if one]
    return [path]


def _zfs(host: Host) -> list[str]:
    """The devices of all imported pools: their names stand as text in the cache file (an nvlist)."""
    data = host.read_bytes("/etc/zfs/zpool.cache", 1 << 20) or b""
    names = dict.fromkeys(name.decode("ascii", "replace") for name in re.findall(_ZPOOL_DEVICE, data))
    return [path for name in list(names)[:256] for path in _carriers(host, _named(host, name))]


def _name(path: str) -> str:
    return path.rpartition("/")[2]
