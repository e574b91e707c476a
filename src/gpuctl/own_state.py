"""What gpuctl keeps at the operator's, below XDG_STATE_HOME: where it is, one process at a time, line by line."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path


class Held(Exception):
    """Another process has the lock.

    Attributes:
        pid: its id, or "unknown".
    """

    def __init__(self, pid: str) -> None:
        super().__init__(f"held by pid {pid}")
        self.pid = pid


def folder(*parts: str) -> Path:
    """Return a folder of gpuctl's below XDG_STATE_HOME; one that is not absolute is not heeded (XDG's own rule)."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path.home() / ".local/state"
    return base.joinpath("gpuctl", *parts)


def component(name: str) -> str:
    """Return a name as one part of a path that is neither hidden nor leads elsewhere."""
    found = re.sub(r"[^\w.-]", "_", name) or "_"
    return f"_{found[1:]}" if found.startswith(".") else found


def lock(path: Path) -> int:
    """This process has the lock file until the descriptor that is returned is closed; the file names its pid.

    Raises:
        Held: another one has it.
        OSError: it cannot be made or opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(held, fcntl.LOCK_EX)
        os.ftruncate(held, 0)
        os.pwrite(held, f"{os.getpid()}\n".encode(), 0)
    except BaseException:
        os.close(held)  # else the lock stays this process's, and the next try of it is refused
        raise
    return held


def refuse_held(path: Path) -> None:
    """Nobody has the lock now. Nothing is made and nothing kept: for a look, and a dry run.

    Raises:
        Held: somebody has it.
        OSError: it cannot be opened.
    """
    try:
        held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _take(held, fcntl.LOCK_SH)
    finally:
        os.close(held)


def open_lines(path: Path) -> int:
    """Return a file that lines are added to, its name on disk; a last line that a kill cut off has its end."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            _write(file, b"\n")
        above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(above)
        finally:
            os.close(above)
    except BaseException:
        os.close(file)
        raise
    return file


def open_alone(path: Path) -> tuple[int, int]:
    """Return ``(lock, file)``: the lines of ``open_lines``, for this process alone by the lock file beside them.

    Raises:
        Held: another process has them.
        OSError: one of the two cannot be had; then neither is.
    """
    held = lock(path.with_suffix(".lock"))
    try:
        return held, open_lines(path)
    except BaseException:
        os.close(held)
        raise


def add_line(file: int, line: bytes) -> None:
    """The line is on disk.

    Raises:
        OSError: it is not; the file is as long as before, so that the next line does not grow on half of this one.
    """
    size = os.fstat(file).st_size
    try:
        _write(file, line + b"\n")
        os.fsync(file)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file, size)
        raise


def _take(held: int, how: int) -> None:
    try:
        fcntl.flock(held, how | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Held(os.pread(held, 20, 0).decode("ascii", "replace").strip() or "unknown") from None


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
