"""One gpuctl at a time changes a host: a lock that the kernel lets go of, whatever its holder dies of."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpuctl_host.apply.files import DiskFailed, Files, told
from gpuctl_host.apply.journal import stamp
from gpuctl_host.apply.places import LOCK
from gpuctl_host.data import frozen
from gpuctl_host.errors import LockHeld

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.host import Host

_TRIES, _PAUSE = 10, 0.02  # the holder writes its name a moment after it has the lock


@frozen
class Holder:
    """Who holds the lock."""

    pid: int
    verb: str
    since: str


@contextmanager
def held(host: Host, verb: str, *, files: Files | None = None) -> Iterator[None]:
    """The lock is held for as long as the block runs.

    Args:
        host: below whose root the lock is.
        verb: what is done meanwhile.
        files: the host's files.

    Raises:
        LockHeld: another process has it; the message names it.
        DiskFailed: the lock's folder or file cannot be made.
    """
    files = files or Files(host)
    files.make_folders(files.missing_folders(LOCK))
    with told("open", LOCK):
        fd = os.open(host.real(LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        _take(host, fd)
        content = json.dumps({"pid": os.getpid(), "verb": verb, "since": stamp(host.now())}).encode()
        with told("write", LOCK):
            os.ftruncate(fd, 0)
            os.pwrite(fd, content + b"\n", 0)
        try:
            yield
        finally:
            # By name, not by closing: a child that hangs in the kernel has the same open file and would keep it.
            fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def _take(host: Host, fd: int) -> None:
    for attempt in range(_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise DiskFailed(f"cannot lock {LOCK}: {error.strerror}", errno=error.errno or 0) from error
        holder = read_holder(host)
        if holder is not None and (_lives(holder.pid) or attempt == _TRIES - 1):
            break
        host.sleep(_PAUSE)
    else:
        holder = None
    if holder is None:
        raise LockHeld(
            "another gpuctl works on this host", details=f"{LOCK} is locked", resolution="try again when it has ended"
        )
    if _lives(holder.pid):
        raise LockHeld(
            f"another gpuctl works on this host: process {holder.pid} ({holder.verb}) since {holder.since}",
            resolution=f"wait for process {holder.pid} to end",
        )
    raise LockHeld(
        f"a child of gpuctl's process {holder.pid} ({holder.verb}, since {holder.since}, gone) works on this host",
        details="It may hang in the kernel, in a write below /sys that a device's user keeps from returning.",
        resolution=f"see who it is (fuser {LOCK}) and what its device waits for; a reboot ends it",
    )


def read_holder(host: Host) -> Holder | None:
    """Return who last took the lock, whether or not it still has it; None if nobody did or it cannot be told."""
    try:
        value = json.loads(host.read(LOCK, 4096) or "")
        return Holder(int(value["pid"]), str(value["verb"]), str(value["since"]))
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
