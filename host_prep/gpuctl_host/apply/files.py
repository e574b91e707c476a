"""Files below the host's root: read exactly, replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from gpuctl_host.apply.disk import Disk
from gpuctl_host.changes.past import Image, Seen
from gpuctl_host.errors import GpuctlError
from gpuctl_host.facts.model import FileState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gpuctl_host.host import Host

BLOCK = 1 << 20
STATE_MAX = 64 * 1024 * 1024
# A dot first and .tmp last: no reader of a *.d folder takes it, nor does a shell's `*` (initramfs-tools' hooks).
TEMP_PREFIX, TEMP_SUFFIX = ".gpuctl-", ".tmp"

_ADVICE = {
    errno.ENOSPC: "make room there, then run the same command again",
    errno.EDQUOT: "raise the quota there, then run the same command again",
    errno.EROFS: "the file system is read-only: see why (dmesg), remount it read-write, then run it again",
    errno.EACCES: "run it as root; under SELinux or AppArmor see the audit log",
    errno.EPERM: "run it as root; `lsattr` shows whether the file is immutable",
    errno.EIO: "the disk reports an error: see dmesg and the disk's health before anything else",
}


class DiskFailed(GpuctlError):
    """The file system did not do what was asked; the file is as it was before."""

    code = "disk"

    def __init__(self, brief: str, *, errno: int = 0, details: str = "", resolution: str = "") -> None:
        super().__init__(brief, details=details, resolution=resolution)
        self.errno = errno


class Files:
    """The files of one host.

    Args:
        host: says where each path really is.
        disk: the system calls.
    """

    def __init__(self, host: Host, disk: Disk | None = None) -> None:
        self.host = host
        self.disk = disk or Disk()
        # Only root may give files away; a tree of somebody else's keeps its own owner.
        self.owns = os.geteuid() == 0
        self._modeless: set[str] = set()

    # ---- reading

    def state(self, path: str) -> FileState | None:
        """Return the file or link at ``path`` with its content, or None if nothing is there.

        Raises:
            DiskFailed: something is there that is no file or link, is too big to hold, or cannot be read.
        """
        with told("read", path):
            real = self.host.real(path, follow=False)
            found = _lstat(real)
            if found is None:
                return None
            mode, uid, gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
            if stat.S_ISLNK(found.st_mode):
                return FileState(os.fsencode(os.readlink(real)), mode, uid, gid, is_link=True)
            _regular(path, found)
            if found.st_size > STATE_MAX:
                raise DiskFailed(f"{path} is too big for a file that is changed whole: {found.st_size} bytes")
            return FileState(b"".join(_blocks(real)), mode, uid, gid)

    def seen(self, path: str) -> Seen:
        """Return the file or link at ``path`` by its hash, read in blocks.

        Raises:
            DiskFailed: something is there that is no file or link, or it cannot be read.
        """
        with told("read", path):
            real = self.host.real(path, follow=False)
            found = _lstat(real)
            if found is None:
                return Seen(None)
            content, size = sha256(), 0
            is_link = stat.S_ISLNK(found.st_mode)
            if not is_link:
                _regular(path, found)
            for block in [os.fsencode(os.readlink(real))] if is_link else _blocks(real):
                content.update(block)
                size += len(block)
            mode = stat.S_IMODE(found.st_mode)
            return Seen(Image(content.hexdigest(), size, mode, found.st_uid, found.st_gid, is_link), found.st_mtime)

    def blocks(self, path: str) -> Iterator[bytes]:
        """Yield the content of a file, or a link's target."""
        with told("read", path):
            real = self.host.real(path, follow=False)
            if os.path.islink(real):
                yield os.fsencode(os.readlink(real))
            else:
                yield from _blocks(real)

    def is_there(self, path: str) -> bool:
        """Say whether any thing has this name, a dangling link included."""
        return self.host.stat(path, follow=False) is not None

    def free(self, path: str) -> int:
        """Return how many bytes may still be written where ``path`` is or will be."""
        while path != "/" and not self.host.is_dir(path):
            path = posixpath.dirname(path)
        with told("look at", path):
            found = os.statvfs(self.host.real(path))
            return found.f_bavail * found.f_frsize

    # ---- writing

    def put(self, path: str, state: FileState | None) -> None:
        """The file at ``path`` is ``state`` and will be after a power cut; None: it is gone.

        Raises:
            DiskFailed: it is as it was before.
        """
        if state is None:
            self.remove(path)
            return
        self.put_blocks(path, [state.data], mode=state.mode, uid=state.uid, gid=state.gid, is_link=state.is_link)

    def put_blocks(
        self, path: str, blocks: Iterable[bytes], *, mode: int, uid: int = 0, gid: int = 0, is_link: bool = False
    ) -> None:
        """Like put(), with the content in blocks.

        Raises:
            DiskFailed: it is as it was before.
        """
        self.host.forget()  # what leads there may have changed since it was last read
        with told("write", path):
            real = self.host.real(path, follow=False)
            folder = os.path.dirname(real)
            temp = f"{folder}/{TEMP_PREFIX}{os.urandom(4).hex()}{TEMP_SUFFIX}"
            try:
                if is_link:
                    self.disk.symlink(b"".join(blocks), temp)
                    if self.owns:
                        self.disk.chown_link(temp, uid, gid)
                else:
                    self._fill(temp, blocks, mode, uid, gid, real)
                self.disk.rename(temp, real)
            except BaseException:
                with suppress(OSError):
                    self.disk.unlink(temp)
                raise
            self.disk.fsync_folder(folder)
        self.host.forget()

    def _fill(self, temp: str, blocks: Iterable[bytes], mode: int, uid: int, gid: int, old: str) -> None:
        fd = self.disk.create(temp)
        try:
            for block in blocks:
                view = memoryview(block)
                while view:
                    view = view[self.disk.write(fd, view) :]
            now = os.fstat(fd)
            if self.owns and (now.st_uid, now.st_gid) != (uid, gid):
                self.disk.chown(fd, uid, gid)
            if stat.S_IMODE(now.st_mode) != mode:
                self._chmod(fd, mode, old)
            self._label(fd, old)
            self.disk.fsync(fd)
        finally:
            self.disk.close(fd)

    def _chmod(self, fd: int, mode: int, real: str) -> None:
        try:
            self.disk.chmod(fd, mode)
        except PermissionError:
            # The file is our own, so that only its file system can refuse: an ESP is FAT and has the mount's mode.
            self._modeless.add(os.path.dirname(real))

    def keeps_modes(self, path: str) -> bool:
        """Say whether the file system of ``path`` has taken every mode that it was given."""
        return os.path.dirname(self.host.real(path, follow=False)) not in self._modeless

    def _label(self, fd: int, old: str) -> None:
        """Keep the SELinux label (and other extended attributes) of the file that is replaced, where there are any."""
        try:
            names = os.listxattr(old, follow_symlinks=False)
        except OSError:
            return
        for name in names:
            with suppress(OSError):
                self.disk.set_attribute(fd, name, os.getxattr(old, name, follow_symlinks=False))

    def remove(self, path: str) -> None:
        """Nothing is at ``path``, also after a power cut.

        Raises:
            DiskFailed: it is as it was before.
        """
        self.host.forget()
        with told("remove", path):
            real = self.host.real(path, follow=False)
            if _lstat(real) is None:
                return
            self.disk.unlink(real)
            self.disk.fsync_folder(os.path.dirname(real))
        self.host.forget()

    # ---- folders

    def missing_folders(self, path: str) -> tuple[str, ...]:
        """Return the folders above ``path`` that are not there, the outermost first."""
        missing: list[str] = []
        folder = posixpath.dirname(path)
        while folder != "/" and not self.host.is_dir(folder):
            missing.append(folder)
            folder = posixpath.dirname(folder)
        return tuple(reversed(missing))

    def make_folders(self, folders: Iterable[str], mode: int = 0o755) -> None:
        """Every folder is there; the outermost comes first.

        Raises:
            DiskFailed: one cannot be made.
        """
        for folder in folders:
            if self.host.is_dir(folder):
                continue
            with told("make the folder", folder):
                real = self.host.real(folder)
                self.disk.mkdir(real, mode)
                self.disk.fsync_folder(os.path.dirname(real))
            self.host.forget()

    def drop_folders(self, folders: Iterable[str]) -> tuple[str, ...]:
        """Those of ``folders`` that are empty are gone, the innermost first; return them.

        Raises:
            DiskFailed: an empty one cannot be removed.
        """
        dropped = []
        for folder in sorted(set(folders), key=lambda item: -item.count("/")):
            if not self.host.is_dir(folder) or self.host.names(folder):
                continue
            with told("remove the folder", folder):
                real = self.host.real(folder)
                self.disk.rmdir(real)
                self.disk.fsync_folder(os.path.dirname(real))
            self.host.forget()
            dropped.append(folder)
        return tuple(dropped)

    def sweep(self, folders: Iterable[str]) -> None:
        """No temporary file of a killed run is left in ``folders``; nobody else uses these names.

        Raises:
            DiskFailed: one cannot be removed.
        """
        for folder in sorted(set(folders)):
            for name in self.host.names(folder):
                if name.startswith(TEMP_PREFIX) and name.endswith(TEMP_SUFFIX):
                    self.remove(posixpath.join(folder, name))


def _lstat(real: str) -> os.stat_result | None:
    try:
        return os.lstat(real)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _regular(path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise DiskFailed(
            f"{path} is neither a file nor a link", resolution="move it away, then run the same command again"
        )


def _blocks(real: str) -> Iterator[bytes]:
    fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        while block := os.read(fd, BLOCK):
            yield block
    finally:
        os.close(fd)


@contextmanager
def told(doing: str, path: str) -> Iterator[None]:
    """Turn what the system says into an error that a person can use."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        raise DiskFailed(
            f"cannot {doing} {path}: {os.strerror(number) if number else error}",
            errno=number,
            details=str(error),
            resolution=_ADVICE.get(number, "see dmesg for what the file system says"),
        ) from error
