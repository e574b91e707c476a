"""Disk: the system calls that write, one method each, on real paths.

They stand in one class so that tests can count them, kill the process before the Nth and let any of them fail.
"""

from __future__ import annotations

import errno
import os


class Disk:
    """The file system itself. Every method raises OSError as the system call does."""

    def create(self, real: str) -> int:
        """Return a descriptor of a new file; it did not exist, and is no link."""
        return os.open(real, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def append(self, real: str) -> int:
        """Return a descriptor whose writes go to the file's end; it is made if it is not there."""
        return os.open(real, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Return how many bytes were taken."""
        return os.write(fd, data)

    def truncate(self, fd: int, size: int) -> None:
        """The file has ``size`` bytes."""
        os.ftruncate(fd, size)

    def fsync(self, fd: int) -> None:
        """What was written through ``fd`` outlives a power cut."""
        os.fsync(fd)

    def fsync_folder(self, real: str) -> None:
        """The folder's names outlive a power cut; a file system that has no such call is taken as it is."""
        fd = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(fd)

    def close(self, fd: int) -> None:
        """The descriptor is closed."""
        os.close(fd)

    def chmod(self, fd: int, mode: int) -> None:
        """The open file has these permission bits."""
        os.fchmod(fd, mode)

    def chown(self, fd: int, uid: int, gid: int) -> None:
        """The open file has this owner."""
        os.fchown(fd, uid, gid)

    def chown_link(self, real: str, uid: int, gid: int) -> None:
        """The link itself has this owner."""
        os.lchown(real, uid, gid)

    def set_attribute(self, fd: int, name: str, value: bytes) -> None:
        """The open file has this extended attribute."""
        os.setxattr(fd, name, value)

    def symlink(self, target: bytes, real: str) -> None:
        """A link to ``target`` is there."""
        os.symlink(target, os.fsencode(real))

    def rename(self, old: str, new: str) -> None:
        """``new`` is what ``old`` was; ``old`` is gone."""
        os.rename(old, new)

    def unlink(self, real: str) -> None:
        """The name is gone."""
        os.unlink(real)

    def mkdir(self, real: str, mode: int) -> None:
        """The folder is there."""
        os.mkdir(real, mode)

    def rmdir(self, real: str) -> None:
        """The empty folder is gone."""
        os.rmdir(real)
