"""Names in the folder of one run in the quarantine: written whole, read, dropped."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from gpuctl_host.apply.files import told
from gpuctl_host.leftovers.folder import OPEN_FOLDER

if TYPE_CHECKING:
    from gpuctl_host.apply.folder_disk import FolderDisk


def write_whole(disk: FolderDisk, fd: int, name: str, content: bytes) -> None:
    """The file is there whole, or not at all; and outlives a power cut.

    Raises:
        DiskFailed: there is no room, or the disk refused; nothing is left of it.
    """
    temporary = "." + name
    with told("write", name):
        try:
            file = disk.create_at(fd, temporary)
            try:
                view = memoryview(content)
                while view:
                    view = view[disk.write(file, view) :]
                disk.fsync(file)
            finally:
                disk.close(file)
            disk.rename_at(fd, temporary, fd, name)
            disk.sync_at(fd)
        except OSError:
            with suppress(OSError):
                disk.unlink_at(fd, temporary)
            raise


def drop(disk: FolderDisk, fd: int, name: str) -> None:
    """No file has the name.

    Raises:
        DiskFailed: the disk refused.
    """
    with told("remove", name):
        with suppress(FileNotFoundError):
            disk.unlink_at(fd, name)
        disk.sync_at(fd)


def drop_run(disk: FolderDisk, quarantine: int, run: str) -> None:
    """A run's folder that is empty is gone."""
    with suppress(OSError):  # it is not empty: it holds something
        disk.rmdir_at(quarantine, run)
        disk.sync_at(quarantine)


def is_folder(fd: int, name: str) -> bool:
    """Whether it is a folder, and no link to one."""
    try:
        os.close(os.open(name, OPEN_FOLDER, dir_fd=fd))
    except OSError:
        return False
    return True


def content_at(fd: int, name: str) -> str:
    """Return what a file has in it, as text.

    Raises:
        DiskFailed: it cannot be read.
    """
    with told("read", name):
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        try:
            blocks = []
            while block := os.read(file, 1 << 20):
                blocks.append(block)
            return b"".join(blocks).decode("utf-8", "replace")
        finally:
            os.close(file)
