"""A run's file: JSON with one host a line, so that it is written and read host by host, however many there are.

The kept ones are below XDG_STATE_HOME (docs/reference/fleet.md).
"""

from __future__ import annotations

import gzip
import json
import os
import secrets
import tempfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuctl import own_state
from gpuctl.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEPT = 100  # runs
_TAIL = {"counts", "findings", "changes", "states", "problems"}  # what is read of a kept run
_LEVEL = 1  # of gzip: a rack's facts shrink to a tenth all the same


class NoRun(OperatorError):
    """A kept run was asked for that is not there, or cannot be read."""

    exit_code = 2


def place() -> Path:
    """Return the folder of the kept runs."""
    return own_state.folder("fleet", "runs")


def new_id() -> str:
    """Return a run's id; ids sort by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run on disk.

    Attributes:
        path: the file.
        head: what was asked.
        tail: what came out: counts, findings, changes, states.
    """

    path: Path
    head: Mapping[str, Any]
    tail: Mapping[str, Any]

    def hosts(self) -> Iterator[dict[str, Any]]:
        """Each host's entry, in the order in which they answered."""
        with gzip.open(self.path, "rt", encoding="utf-8") as file:
            for line in file:
                if line.startswith(' {"host"'):
                    yield json.loads(line.rstrip("\n,"))


class Writer:
    """A run that is being written; whole and in its place when it is finished, gone if it is not."""

    def __init__(self, head: Mapping[str, Any], path: Path | None) -> None:
        """Begin the file.

        Args:
            head: what was asked; its keys come first.
            path: where it will be; None for a file that is nobody's business after this command.
        """
        self.head, self._path = head, path
        folder = path.parent if path is not None else Path(tempfile.mkdtemp(prefix="gpuctl-fleet-"))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._part = folder / f".{path.name if path is not None else 'run.json.gz'}.{os.getpid()}"
        fd = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # facts name serials and hosts
        self._raw = os.fdopen(fd, "wb")
        self._file = gzip.GzipFile(self._part.name, "wb", _LEVEL, self._raw, 0)
        self._file.write(json.dumps(dict(head))[:-1].encode() + b',\n "hosts": [')
        self._first = True

    def add(self, entry: Mapping[str, Any]) -> None:
        """Add one host; its first key is "host"."""
        self._file.write((b"\n " if self._first else b",\n ") + json.dumps(entry, ensure_ascii=False).encode())
        self._first = False

    def finish(self, tail: Mapping[str, Any]) -> Run:
        """End the file, put it in its place, and return it."""
        self._file.write(b"\n ],\n " + json.dumps(dict(tail), ensure_ascii=False).encode()[1:] + b"\n")
        self._file.close()
        self._raw.close()
        if self._path is not None:
            self._part.replace(self._path)
        return Run(self._path or self._part, self.head, tail)

    def drop(self) -> None:
        """Remove what is not to be kept; whatever has its place stays."""
        self._raw.close()
        self._part.unlink(missing_ok=True)
        if self._path is None:
            self._part.parent.rmdir()


def kept() -> list[Path]:
    """Return the kept runs' files, oldest first."""
    folder = place()
    return sorted(folder.glob("[0-9]*.json.gz")) if folder.is_dir() else []


def prune() -> None:
    """The oldest are gone, so that no more than ``KEPT`` are left."""
    for path in kept()[:-KEPT]:
        path.unlink(missing_ok=True)


def open_run(path: Path) -> Run:
    """Return a kept run; its hosts are read when they are asked for.

    Raises:
        NoRun: it cannot be read.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            first = last = file.readline()
            for line in file:
                last = line
        head = json.loads(first.partition(",\n")[0] + "}")
        tail = json.loads("{" + last.strip())
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise NoRun(
            f"the kept run {path.name} cannot be read", details=str(error), resolution="delete it, and check again"
        ) from error
    return Run(path, head, tail)


def last_run() -> Run:
    """Return the newest kept run.

    Raises:
        NoRun: there is none, or another version's.
    """
    files = kept()
    if not files:
        raise NoRun("no run is kept yet", details=str(place()), resolution="gpuctl fleet check -i INVENTORY")
    run = open_run(files[-1])
    if missing := _TAIL - run.tail.keys():
        raise NoRun(
            f"the kept run {run.path.name} is of another version of gpuctl",
            details=f"it has no {', '.join(sorted(missing))}",
            resolution="use that version, or delete it and check again",
        )
    return run
