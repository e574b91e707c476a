"""The record of a host's drains at the operator's: who was to go, what the service was before, how it ended.

It says what was meant, and what was changed of the compute service; where each server is, the cloud says.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from gpuctl import own_state
from gpuctl.moves.errors import Busy
from gpuctl.moves.journal import JournalFailed, stamp

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
    return own_state.folder("drains", own_state.component(cloud), f"{own_state.component(host)}.jsonl")


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
            lock, file = own_state.open_alone(path)
        except own_state.Held as error:
            raise _busy(host, error) from error
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
        try:
            line = json.dumps({"v": FORM, "at": stamp(), "kind": kind, "run": run, **more})
            own_state.add_line(self._file, line.encode())
        except OSError as error:
            raise _failed(self.path, error) from error

    def past(self) -> list[Past]:
        """Return the drains on record, oldest first; see ``past``."""
        return _read(self.path)


def past(cloud: str, host: str) -> list[Past]:
    """Return the drains of a host, oldest first, while nobody drains it. Nothing is made: for a look, and a dry run.

    Raises:
        Busy: another gpuctl drains the host; its pid is named.
        JournalFailed: the record cannot be understood: what was changed of the service is not known then.
    """
    path = path_of(cloud, host)
    try:
        own_state.refuse_held(path.with_suffix(".lock"))
    except own_state.Held as error:
        raise _busy(host, error) from error
    except OSError as error:
        raise _failed(path, error) from error
    return _read(path)


def _read(path: Path) -> list[Past]:
    try:
        return read(path)
    except (OSError, KeyError, TypeError) as error:
        raise JournalFailed(
            f"the record {path} cannot be read: which drains of the host did not end is not known",
            details=f"{type(error).__name__}: {error}",
            resolution="use the gpuctl that wrote it; else look at the host's compute service, then move the file away",
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
            elif isinstance(said, dict) and said.get("v", 0) > FORM:
                raise TypeError(f"a line of form {said['v']}; this gpuctl knows {FORM}")


def _busy(host: str, held: own_state.Held) -> Busy:
    return Busy(
        f"another gpuctl is draining {host} (pid {held.pid})",
        resolution="let it end; if it is killed, the same command goes on",
    )


def _failed(path: Path, error: OSError) -> JournalFailed:
    return JournalFailed(
        f"the record {path} cannot be kept",
        details=str(error),
        resolution="put the folder right, or set XDG_STATE_HOME; what runs in Nova goes on by itself",
    )
