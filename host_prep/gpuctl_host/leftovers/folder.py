"""Nova's instances folder, opened so that nobody on the way could have put another in its place."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpuctl_host.data import frozen
from gpuctl_host.errors import Refused, UnreadableInput, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.host import Host

INSTANCES = "/var/lib/nova/instances"
KOLLA_NOVA = 42436  # the uid of nova in kolla's images; the host itself has no such user
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILES_MAX = 20_000  # an instance's folder holds a handful; more is not one that we know
DEPTH_MAX = 16
_LINKS_MAX = 40


@frozen
class Place:
    """The open instances folder.

    Attributes:
        fd: its descriptor.
        path: as the host names it, links resolved.
        device: st_dev of it.
        trusted: uids whose folders these may be: root's, Nova's.
    """

    fd: int
    path: str
    device: int
    trusted: frozenset[int]


@frozen
class Content:
    """What is in one server's folder.

    Attributes:
        inodes: (device, inode) of the folder and all below it.
        size: bytes in its files.
        linked: files that have another name as well (hard links).
        problem: why it is not a folder that may be moved as a whole; None if it is.
    """

    inodes: frozenset[tuple[int, int]]
    size: int
    linked: int
    problem: str | None


@contextmanager
def open_place(host: Host, path: str) -> Iterator[Place]:
    """Give the instances folder, opened one part of the path after the other.

    Every folder on the way belongs to root or Nova, and not everybody may write it (unless it is sticky); a link on the
    way is root's.

    Raises:
        UsageError: the path is not absolute or not plain.
        UnreadableInput: there is no such folder.
        Refused: somebody else could have put it there.
    """
    parts = _parts(path)
    trusted = frozenset({0, os.geteuid(), KOLLA_NOVA, *_nova(host)})
    fd, resolved = _walk(os.open(host.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), parts, path, trusted)
    try:
        yield Place(fd, resolved, os.fstat(fd).st_dev, trusted)
    finally:
        os.close(fd)


def _parts(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or "\0" in path or not parts or any(part in (".", "..") for part in parts):
        raise UsageError(f"not a plain absolute path: {path!r}", resolution=f"give instances_path as {INSTANCES}")
    return parts


def _walk(fd: int, parts: list[str], path: str, trusted: frozenset[int]) -> tuple[int, str]:
    """Return the last folder's descriptor and its path; the root's, ``fd``, is closed."""
    opened, done, links = [fd], [""], 0
    todo = list(reversed(parts))
    try:
        while todo:
            part = todo.pop()
            if part == "..":
                if len(opened) > 1:
                    os.close(opened.pop())
                    done.pop()
                continue
            try:
                below = os.open(part, OPEN_FOLDER, dir_fd=opened[-1])
            except OSError as error:
                target = _link(opened[-1], part, path, trusted, error)
                links += 1
                if links > _LINKS_MAX:
                    raise Refused(f"too many links on the way to {path}") from error
                if target.startswith("/"):
                    for number in opened[1:]:
                        os.close(number)
                    opened, done = opened[:1], [""]
                todo.extend(piece for piece in reversed(target.split("/")) if piece not in ("", "."))
                continue
            opened.append(below)
            done.append(part)
            _trust(os.fstat(below), "/".join(done), trusted)
        last = opened.pop()
    finally:
        for number in opened:
            os.close(number)
    return last, "/".join(done) or "/"


def _link(fd: int, part: str, path: str, trusted: frozenset[int], error: OSError) -> str:
    """Return where a link on the way leads: only root may have put it there."""
    try:
        found = os.stat(part, dir_fd=fd, follow_symlinks=False)
    except OSError:
        found = None
    if found is None or not stat.S_ISLNK(found.st_mode):
        raise UnreadableInput(
            f"{path} is no folder that can be read: {error.strerror}",
            details=f"at {part!r}",
            resolution="see [DEFAULT] instances_path in nova.conf; under kolla it is a volume: docker volume inspect",
        ) from error
    if found.st_uid not in {0, os.geteuid()} & trusted:
        raise Refused(
            f"{part}, on the way to {path}, is a link of uid {found.st_uid}",
            resolution="give the path without that link",
        ) from error
    return os.readlink(part, dir_fd=fd)


def _trust(found: os.stat_result, path: str, trusted: frozenset[int]) -> None:
    if found.st_uid not in trusted:
        raise Refused(
            f"{path} belongs to uid {found.st_uid}, neither root nor nova",
            resolution="give Nova's own instances_path",
        )
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise Refused(f"{path} may be written by everybody", resolution=f"chmod o-w {path}")


def _nova(host: Host) -> set[int]:
    """The uid of the host's user nova, if it has one."""
    for line in (host.read("/etc/passwd", 1 << 20) or "").split("\n"):
        fields = line.split(":")
        if len(fields) >= 3 and fields[0] == "nova" and fields[2].isdigit():
            return {int(fields[2])}
    return set()


def look_into(place: Place, name: str) -> Content:
    """Return what a server's folder holds; nothing of it is followed out of it, and no file is opened.

    Raises:
        OSError: it is gone, is no folder, or cannot be read.
    """
    fd = os.open(name, OPEN_FOLDER, dir_fd=place.fd)
    try:
        top = os.fstat(fd)
        inodes, size, linked = {(top.st_dev, top.st_ino)}, 0, 0
        problem = _wrong(place, fd, top)
        if problem is None:
            for state, wrong in _below(fd, top.st_dev, mount_id(fd), DEPTH_MAX):
                inodes.add((state.st_dev, state.st_ino))
                if not stat.S_ISDIR(state.st_mode):
                    size += state.st_size
                    linked += state.st_nlink > 1
                problem = wrong or (f"it holds more than {FILES_MAX} files" if len(inodes) > FILES_MAX else None)
                if problem is not None:
                    break
        return Content(frozenset(inodes), size, linked, problem)
    finally:
        os.close(fd)


def mount_id(fd: int) -> int | None:
    """Return which mount an open file is on (proc(5), fdinfo): a bind mount has its parent's st_dev, but not its id."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("mnt_id:")), None)
    except (OSError, ValueError, IndexError):
        return None


def _wrong(place: Place, fd: int, top: os.stat_result) -> str | None:
    """Why a server's folder is none to be moved; a btrfs subvolume has a device number of its own, too."""
    if top.st_dev != place.device or mount_id(fd) != mount_id(place.fd):
        return "it is another file system than its parent, or a mount"
    if top.st_uid not in place.trusted:
        return f"it belongs to uid {top.st_uid}, neither root nor nova"
    return None


def _below(fd: int, device: int, mount: int | None, depth: int) -> Iterator[tuple[os.stat_result, str | None]]:
    """Yield the state of everything below an open folder, with what is wrong with it."""
    for entry in os.listdir(fd):
        try:
            state = os.stat(entry, dir_fd=fd, follow_symlinks=False)
            below = os.open(entry, OPEN_FOLDER, dir_fd=fd) if stat.S_ISDIR(state.st_mode) else None
        except FileNotFoundError:  # it went away meanwhile
            continue
        try:
            if state.st_dev != device or (below is not None and mount_id(below) != mount):
                yield state, f"{entry!r} in it is another file system, or a mount"
            elif below is not None and depth == 0:
                yield state, f"it is deeper than {DEPTH_MAX} folders"
            else:
                yield state, None
                if below is not None:
                    yield from _below(below, device, mount, depth - 1)
        finally:
            if below is not None:
                os.close(below)


def inode_at(fd: int, name: str) -> tuple[int, int] | None:
    """Return device and inode of what has the name there, a link itself included; None if nothing has."""
    try:
        found = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError:
        return None
    return found.st_dev, found.st_ino
