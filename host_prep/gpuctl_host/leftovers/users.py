"""Who uses a server's folder now: processes in every namespace, mounts, loop devices, swap.

Files are told by device and inode, for a container names them as it likes; and by the folder's name, which is a uuid
and means the same everywhere.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from gpuctl_host.leftovers.mounts import names_in, parse_mounts
from gpuctl_host.leftovers.names import IN_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpuctl_host.host import Host

Users = dict[str, tuple[str, ...]]  # a folder's name -> who uses it
_DEADLINE = 30.0  # seconds: a stat on a dead network file system may block
_LINKS = ("cwd", "root", "exe")


def read_users(host: Host, inodes: Mapping[tuple[int, int], str]) -> Users | None:
    """Return who uses each folder; None if it cannot be known (a captured tree, another user's processes, no answer).

    Args:
        host: the host.
        inodes: (device, inode) of a file -> the name of the server's folder that it is in.
    """
    if not host.live:
        return None
    answer: list[Users | None] = []
    proc, sys = host.real("/proc"), host.real("/sys")
    work = threading.Thread(target=lambda: answer.append(_look(proc, sys, inodes)), daemon=True)
    work.start()
    work.join(_DEADLINE)
    return answer[0] if answer else None


def _look(proc: str, sys: str, inodes: Mapping[tuple[int, int], str]) -> Users | None:
    found: dict[str, dict[str, None]] = {}
    try:
        for name, who in _processes(proc, inodes):
            found.setdefault(name, {})[who] = None
        for name, who in _kernel(proc, sys):
            found.setdefault(name, {})[who] = None
    except PermissionError:
        return None
    return {name: tuple(users) for name, users in found.items()}


def _processes(proc: str, inodes: Mapping[tuple[int, int], str]) -> Iterator[tuple[str, str]]:
    """Yield (folder, user) of every process."""
    namespaces: set[str] = set()
    for pid in os.listdir(proc):
        if not pid.isdigit():
            continue
        base = f"{proc}/{pid}"
        try:
            who = f"{_comm(base)} (pid {pid})"
            for link in _LINKS:
                yield from ((name, f"{who}: {link}") for name in _linked(f"{base}/{link}", inodes))
            for number in os.listdir(f"{base}/fd"):
                yield from ((name, f"{who}: open file") for name in _linked(f"{base}/fd/{number}", inodes))
            for name in set(IN_PATH.findall(_text(f"{base}/maps"))):
                yield name, f"{who}: mapped file"
            space = os.readlink(f"{base}/ns/mnt") if os.path.lexists(f"{base}/ns/mnt") else pid
            if space not in namespaces:
                namespaces.add(space)
                for name in names_in(parse_mounts(_text(f"{base}/mountinfo"))):
                    yield name, f"{who}: mount in its namespace"
        except PermissionError:
            raise
        except OSError:  # it has ended, or is a zombie
            continue


def _linked(path: str, inodes: Mapping[tuple[int, int], str]) -> set[str]:
    """The folders that one of a process's links leads into; a kernel thread has none."""
    try:
        target = os.readlink(path)
    except PermissionError:
        raise
    except OSError:
        return set()
    if not target.startswith("/"):  # a socket, a pipe, an anonymous inode
        return set()
    names = set(IN_PATH.findall(target))
    try:
        state = os.stat(path)
    except OSError:  # it has ended; or it is on somebody's FUSE file system, where even root may not look
        return names
    by_inode = inodes.get((state.st_dev, state.st_ino))
    return names | {by_inode} if by_inode else names


def _kernel(proc: str, sys: str) -> Iterator[tuple[str, str]]:
    """What the kernel itself has open: swap and loop devices."""
    for line in _text(f"{proc}/swaps").split("\n"):
        yield from ((name, "swap") for name in IN_PATH.findall(line.split(" ")[0]))
    try:
        blocks = os.listdir(f"{sys}/block")
    except OSError:
        blocks = []
    for block in blocks:
        if block.startswith("loop"):
            text = _text(f"{sys}/block/{block}/loop/backing_file").strip()
            yield from ((name, f"/dev/{block}") for name in IN_PATH.findall(text))


def _comm(base: str) -> str:
    return _text(f"{base}/comm").strip() or "?"


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except PermissionError:
        raise
    except OSError:  # it has ended; a zombie has no mounts (EINVAL)
        return ""
