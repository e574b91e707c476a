"""A folder in quarantine is deleted, name by name, through open folders: no link is followed and no mount entered."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Callable

from gpuctl_host.leftovers.folder import DEPTH_MAX, OPEN_FOLDER, mount_id

if TYPE_CHECKING:
    from gpuctl_host.apply.folder_disk import FolderDisk

PROBLEMS_MAX = 20


def remove_tree(disk: FolderDisk, parent: int, name: str) -> tuple[str, ...]:
    """The folder ``name`` and all below it are gone; return what would not go, and why.

    What can go goes: a file that is immutable keeps itself and the folders above it, and the next call tries again.

    Args:
        disk: the system calls.
        parent: the open folder that it is in; what is on another mount or file system than that is left.
        name: one name in it.
    """
    problems: list[str] = []
    _folder(disk, parent, name, (os.fstat(parent).st_dev, mount_id(parent)), name, problems)
    return tuple(problems[:PROBLEMS_MAX])


def _folder(
    disk: FolderDisk, parent: int, name: str, on: tuple[int, int | None], shown: str, problems: list[str]
) -> None:
    try:
        fd = os.open(name, OPEN_FOLDER, dir_fd=parent)
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            problems.append(f"{shown}: {error.strerror}")
        return
    try:
        if (os.fstat(fd).st_dev, mount_id(fd)) != on:
            problems.append(f"{shown}: it is a mount, or another file system")
            return
        if shown.count("/") > DEPTH_MAX:
            problems.append(f"{shown}: it is deeper than {DEPTH_MAX} folders")
            return
        before = len(problems)
        for entry in os.listdir(fd):
            _entry(disk, fd, entry, on, f"{shown}/{entry}", problems)
    finally:
        os.close(fd)
    if len(problems) == before:
        _try(lambda: disk.rmdir_at(parent, name), shown, problems)


def _entry(disk: FolderDisk, fd: int, entry: str, on: tuple[int, int | None], shown: str, problems: list[str]) -> None:
    try:
        state = os.stat(entry, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(state.st_mode):
        _folder(disk, fd, entry, on, shown, problems)
    else:
        _try(lambda: disk.unlink_at(fd, entry), shown, problems)


def _try(act: Callable[[], None], shown: str, problems: list[str]) -> None:
    try:
        act()
    except FileNotFoundError:
        return
    except OSError as error:
        hint = "; `lsattr` shows whether it is immutable" if isinstance(error, PermissionError) else ""
        problems.append(f"{shown}: {error.strerror}{hint}")
