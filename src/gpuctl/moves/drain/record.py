"""The record of a host's drains at the operator's: who was to go, what the service was before, how it ended.

It says what was meant, and what was changed of the compute service; where each server is, the cloud says.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from gpuctl.moves.errors import Busy
from gpuctl.moves.journal import JournalFailed, folder, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

FORM = 1


@dataclass(frozen=True, slots=True)
class Before:
    """What the compute service was before a drain changed it."""

    enabled: bool
    reason: str | None
    forced_down: bool


@dataclass(frozen=True, slots=True)
class Past:
    """One drain as it is on record.

    Attributes:
        servers: that were to leave: id -> name.
        before: None where the service was not touched.
        ended: its exit code; None where it was killed.
        enabled: the service was given back since.
    """

    run: str
    user: str
    evacuate: bool
    servers: dict[str, str]
    before: Before | None = None
    ended: int | None = None
    enabled: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.ended == 0 or self.enabled


def path_of(cloud: str, host: str) -> Path:
    """Return where a host's drains are on record: gpuctl/drains/CLOUD/HOST.jsonl below XDG_STATE_HOME."""
    moves = folder(cloud)
    name = re.sub(r"[^\w.-]", "_", host) or "_"
    return moves.parent.parent / "drains" / moves.name / f"{'_' + name[1:] if name.startswith('.') else name}.jsonl"


@dataclass
class Record:
    """A host's record, locked by this process until ``close``."""

    path: Path
    _lock: int
    _file: int

    @classmethod
    def open(cls, cloud: str, host: str) -> Self:
        """Return the record of a host, locked.

        Raises:
            Busy: another gpuctl drains the host; its pid is named.
            JournalFailed: it cannot be opened.
        """
        path = path_of(cloud, host)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
                os.close(lock)
                raise Busy(
                    f"another gpuctl is draining {host} (pid {holder or 'unknown'})",
                    resolution="let it end; if it is killed, the same command goes on",
                ) from None
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                os.write(file, b"\n")  # a line that a kill cut off ends here
        except OSError as error:
            raise _failed(path, error) from error
        return cls(path, lock, file)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """The lock is free."""
        for one in (self._file, self._lock):
            if one >= 0:
                os.close(one)
        self._file = self._lock = -1

    def write(self, kind: str, run: str, **more: object) -> None:
        """A line is on disk.

        Raises:
            JournalFailed: it is not.
        """
        line = json.dumps({"v": FORM, "at": stamp(), "kind": kind, "run": run, **more}) + "\n"
        try:
            data = line.encode()
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            raise _failed(self.path, error) from error

    def past(self) -> list[Past]:
        """Return the drains on record, oldest first.

        Raises:
            JournalFailed: it cannot be understood: what was changed of the service is not known then.
        """
        try:
            return read(self.path)
        except (KeyError, TypeError) as error:
            raise JournalFailed(
                f"the record {self.path} cannot be read: which drains of the host did not end is not known",
                details=f"{type(error).__name__}: {error}",
                resolution="use the gpuctl that wrote it; else look at the host's compute service, then move the file "
                "away",
            ) from error


def read(path: Path) -> list[Past]:
    """Return the drains of a record, oldest first; none where there is no such file."""
    found: dict[str, dict[str, Any]] = {}
    for said in _lines(path):
        run, kind = said["run"], said["kind"]
        if kind == "begin":
            one = found.setdefault(run, {"run": run, "servers": {}})
            one |= {"user": said["user"], "evacuate": said["evacuate"], "ended": None}
            one["servers"] |= said["servers"]
        elif run not in found:
            continue
        elif kind == "service" and "before" not in found[run]:
            found[run]["before"] = Before(**said["before"])  # the first: what it was before we ever touched it
        elif kind == "end":
            found[run]["ended"] = said["exit_code"]
        elif kind == "enabled":
            found[run]["enabled"] = True
    return [Past(**one) for one in found.values()]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            if isinstance(said, dict) and said.get("v") == FORM:
                yield said


def _failed(path: Path, error: OSError) -> JournalFailed:
    return JournalFailed(
        f"the record {path} cannot be kept",
        details=str(error),
        resolution="put the folder right, or set XDG_STATE_HOME; what runs in Nova goes on by itself",
    )
