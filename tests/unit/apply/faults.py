"""Disks that count, kill and fail."""

from __future__ import annotations

import errno
import os
import signal
import traceback
import warnings
from typing import Callable

from gpuctl_host.apply.disk import Disk


class CountingDisk(Disk):
    """Every system call that changes something goes through act(); a subclass decides what happens there."""

    def __init__(self) -> None:
        self.count = 0
        self.names: list[str] = []

    def tick(self) -> None:
        """The host does something; a disk may count that too."""

    def act(self, name: str) -> None:
        self.count += 1
        self.names.append(name)


def _counted(name: str):  # type: ignore[no-untyped-def]
    original = getattr(Disk, name)

    def call(self, *arguments):  # type: ignore[no-untyped-def]
        self.act(name)
        return original(self, *arguments)

    return call


COUNTED = (
    "create",
    "append",
    "truncate",
    "fsync",
    "fsync_folder",
    "chmod",
    "chown",
    "chown_link",
    "symlink",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
)
for _name in COUNTED:
    setattr(CountingDisk, _name, _counted(_name))


class KillingDisk(CountingDisk):
    """SIGKILL before the Nth call; a write is torn in the middle. ``tick`` counts what the host does, too."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def act(self, name: str) -> None:
        super().act(name)
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def tick(self) -> None:
        self.act("host")

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if self.count + 1 == self.at and len(data) > 1:
            os.write(fd, data[: len(data) // 2])
        self.act("write")
        return os.write(fd, data)


class FailingDisk(CountingDisk):
    """The Nth call fails (and with ``stays`` every later one); a failing write has written a part."""

    def __init__(self, at: int, number: int, *, stays: bool = False, only: str | None = None) -> None:
        super().__init__()
        self.at, self.number, self.stays, self.only = at, number, stays, only
        self.failed = False

    def act(self, name: str) -> None:
        if self.only is not None and name != self.only:
            return
        # An undo must be able to take names away on a full disk; a real one lets it.
        if self.number == errno.ENOSPC and name in ("unlink", "rmdir", "fsync_folder", "truncate", "append"):
            return
        super().act(name)
        if self.count == self.at or (self.stays and self.count > self.at):
            self.failed = True
            raise OSError(self.number, os.strerror(self.number))

    def write(self, fd: int, data: bytes | memoryview) -> int:
        try:
            self.act("write")
        except OSError:
            os.write(fd, data[: len(data) // 2])
            raise
        return os.write(fd, data)


def killed(work: Callable[[KillingDisk], None], at: int) -> bool:
    """Run ``work`` in a child that dies before its Nth call; say whether it died (else it came to its end)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pytest-timeout's thread: the child does not use what it holds
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(KillingDisk(at))
            code = 0
        except BaseException:  # noqa: BLE001 - it is the exit status
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, f"the child failed: {status}"
    return False
