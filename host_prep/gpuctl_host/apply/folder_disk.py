"""FolderDisk: the system calls that write by an open folder and one name in it, so that no path can be swapped."""

from __future__ import annotations

import errno
import os

from gpuctl_host.apply.disk import Disk


class FolderDisk(Disk):
    """Disk, with calls relative to open folders. Every method raises OSError as the system call does."""

    def create_at(self, folder: int, name: str) -> int:
        """Return a descriptor of a new file; it did not exist, and is no link."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o600, dir_fd=folder)

    def rename_at(self, folder: int, old: str, to: int, new: str) -> None:
        """``new`` in the second folder is what ``old`` was in the first; a link is moved, never followed."""
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=to)

    def unlink_at(self, folder: int, name: str) -> None:
        """The name is gone; what it linked to is not."""
        os.unlink(name, dir_fd=folder)

    def mkdir_at(self, folder: int, name: str) -> None:
        """The folder is there, for its owner alone."""
        os.mkdir(name, 0o700, dir_fd=folder)

    def rmdir_at(self, folder: int, name: str) -> None:
        """The empty folder is gone."""
        os.rmdir(name, dir_fd=folder)

    def sync_at(self, folder: int) -> None:
        """The open folder's names outlive a power cut; a file system that has no such call is taken as it is."""
        try:
            self.fsync(folder)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
