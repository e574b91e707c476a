"""The journal of one run: every step stands in it, on disk, before it is made."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from gpuctl_host.apply.files import DiskFailed, told
from gpuctl_host.apply.places import RUNS, journal_of
from gpuctl_host.apply.retell import retell
from gpuctl_host.errors import JournalBroken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuctl_host.apply.files import Files
    from gpuctl_host.changes.past import Run
    from gpuctl_host.host import Host

SCHEMA = "gpuctl.host.journal/1"
JOURNAL_MAX = 64 * 1024 * 1024
_RUN_ID = re.compile(r"(\d{8}T\d{6})Z-[0-9a-f]{4}")
_STAMP = "%Y%m%dT%H%M%S"


def stamp(moment: datetime) -> str:
    """Return a time as RFC 3339 in UTC, to the millisecond."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_run_id(host: Host) -> str:
    """Return an id that sorts after every earlier run's, also if the clock was set back since."""
    moment = host.now().astimezone(timezone.utc)
    known = [match.group(1) for match in map(_RUN_ID.fullmatch, host.names(RUNS)) if match]
    if known and moment.strftime(_STAMP) <= max(known):
        with suppress(ValueError, OverflowError):
            moment = datetime.strptime(max(known), _STAMP).replace(tzinfo=timezone.utc) + timedelta(seconds=1)
    return f"{moment.strftime(_STAMP)}Z-{os.urandom(2).hex()}"


class Journal:
    """The journal of one run, open for writing; the lock must be held."""

    def __init__(self, files: Files, run: str) -> None:
        self.run = run
        self._files = files
        path = journal_of(run)
        with told("open", path):
            self._fd = files.disk.append(files.host.real(path))
            # A line that a kill tore off says nothing that was acted upon; the next line must not grow on to it.
            self._size = _whole(os.pread(self._fd, JOURNAL_MAX, 0))
            if self._size != os.fstat(self._fd).st_size:
                files.disk.truncate(self._fd, self._size)

    @classmethod
    def begin(cls, files: Files, run: str, fields: Mapping[str, Any]) -> Journal:
        """Return the journal of a new run; its first line and its name outlive a power cut.

        Raises:
            DiskFailed: it cannot be written; the run has not begun.
        """
        path = journal_of(run)
        files.make_folders(files.missing_folders(path), 0o700)
        journal = cls(files, run)
        try:
            journal.add("begin", schema=SCHEMA, run=run, **fields)
            folder = files.host.real(f"{RUNS}/{run}")
            with told("write", path):
                files.disk.fsync_folder(folder)
        except DiskFailed:
            journal.close()
            with suppress(DiskFailed):
                files.remove(path)
                files.drop_folders([f"{RUNS}/{run}"])
            raise
        return journal

    def add(self, entry: str, **fields: Any) -> None:  # noqa: ANN401 - whatever JSON holds
        """The entry is on disk.

        Raises:
            DiskFailed: it is not, and no part of it is in the way of the next one.
        """
        record = {"entry": entry, **fields, "at": stamp(self._files.host.now())}
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        disk = self._files.disk
        with told("write", journal_of(self.run)):
            try:
                view = memoryview(line)
                while view:
                    view = view[disk.write(self._fd, view) :]
                disk.fsync(self._fd)
            except OSError:
                with suppress(OSError):
                    disk.truncate(self._fd, self._size)
                raise
        self._size += len(line)

    def close(self) -> None:
        """The file is closed."""
        with suppress(OSError):
            self._files.disk.close(self._fd)


def _whole(data: bytes) -> int:
    """How much of ``data`` is whole lines."""
    return data.rfind(b"\n") + 1


# ---------------------------------------------------------------- reading


def read_run(host: Host, run: str) -> Run | None:
    """Return what a run's journal tells, or None if the run never began.

    Raises:
        JournalBroken: the journal cannot be read or understood.
    """
    path = journal_of(run)
    if host.stat(path, follow=False) is None:
        return None
    data = host.read_bytes(path, JOURNAL_MAX)
    if data is None:
        raise JournalBroken(f"{path} cannot be read", resolution="run it as root; else see dmesg for the disk's errors")
    return retell(path, run, data[: _whole(data)])


def read_runs(host: Host) -> tuple[Run, ...]:
    """Return every run that has begun on this host, the oldest first.

    Raises:
        JournalBroken: a journal cannot be read or understood.
    """
    names = [name for name in host.names(RUNS) if _RUN_ID.fullmatch(name)]
    return tuple(run for run in (read_run(host, name) for name in names) if run is not None)
