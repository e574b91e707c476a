"""A run's journal at the operator's: a line before each batch and after each host, on disk before all else goes on.

Killed anywhere, `--resume RUN` knows which hosts are done. Of one that was begun and did not answer it knows nothing,
and asks it again: the host's own journal says there what is true.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gpuctl import own_state
from gpuctl.errors import OperatorError
from gpuctl.fleet.run_state import INTERRUPTED, SKIPPED, UNKNOWN, HostState, Wish, run_document

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

SCHEMA = "gpuctl.fleet.journal/1"
LAST = "last"


class JournalMissing(OperatorError):
    """No such run is journalled here."""

    exit_code = 2


class JournalFailed(OperatorError):
    """The journal cannot be read or written."""


class JournalHeld(OperatorError):
    """Another gpuctl is at this run."""

    exit_code = 75


def folder() -> Path:
    """Return where the journals are: gpuctl/fleet below XDG_STATE_HOME."""
    return own_state.folder("fleet")


class Journal:
    """One run's file, held by this process alone.

    Attributes:
        run: the run's id.
        wish: what it was asked to do.
        hosts: all that it is about, in order.
        states: what each host that answered came to; one that was begun and did not is unknown.
        ended: its last part's exit code; None where it is under way, or was killed.
        stopped: why that part began no further batch.
        away: hosts that this run took from the scheduler and has not given back -> the drain that did it.
    """

    def __init__(self, run: str, wish: Wish, hosts: tuple[str, ...]) -> None:
        self.run, self.wish, self.hosts = run, wish, hosts
        self.states: dict[str, HostState] = {}
        self.away: dict[str, str] = {}
        self.ended: int | None = None
        self.stopped = ""
        self._lock = self._file = -1

    @classmethod
    def new(cls, wish: Wish, hosts: Sequence[str]) -> Journal:
        """A journal with its first line is on disk; return it.

        Raises:
            JournalFailed: it is not.
        """
        run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        journal = cls(run, wish, tuple(hosts))
        journal.hold(*_hold(folder() / f"{run}.jsonl"))
        journal.write({"schema": SCHEMA, "run": run, "wish": asdict(wish), "hosts": list(hosts)})
        return journal

    @classmethod
    def load(cls, run: str) -> Journal:
        """Return the journal of an earlier run; ``run`` is its id, or "last".

        Raises:
            JournalMissing: there is none.
            JournalHeld: another gpuctl is at it.
            JournalFailed: it cannot be read.
        """
        known = sorted(folder().glob("*.jsonl"))
        found = known[-1:] if run == LAST else [path for path in known if path.stem == run]
        if not found:
            raise JournalMissing(
                f"no run {run} in {folder()}",
                resolution=f"known: {', '.join(path.stem for path in known[-5:])}" if known else "leave --resume out",
            )
        # Locked before it is read: what another gpuctl has yet to write is not missed.
        lock, file = _hold(found[0])
        try:
            journal = cls.of(found[0], found[0].read_bytes())
        except BaseException as error:
            os.close(file)
            os.close(lock)
            if isinstance(error, OSError):
                raise _failed(found[0], error) from error
            raise
        journal.hold(lock, file)
        return journal

    @classmethod
    def of(cls, path: Path, data: bytes) -> Journal:
        """Return what a journal's file says; nothing is locked or written.

        Raises:
            JournalFailed: it is none.
        """
        lines = _lines(data)
        if not lines or lines[0].get("schema") != SCHEMA:
            raise JournalFailed(f"{path} is no journal of a fleet run", resolution="leave --resume out")
        try:
            journal = cls(path.stem, Wish.of(lines[0]["wish"]), tuple(lines[0]["hosts"]))
            for line in lines[1:]:
                journal._take(line)
        except (KeyError, TypeError, AttributeError) as error:
            raise JournalFailed(
                f"{path} is a journal of another version of gpuctl",
                details=f"{type(error).__name__}: {error}",
                resolution="use that version, or leave --resume out: hosts that are done have nothing to do",
            ) from error
        return journal

    def _take(self, line: dict[str, Any]) -> None:
        """Take one line after the first."""
        for host in line.get("begun", ()):
            self.states[host] = _asked(host)
        if "host" in line:
            self.states[line["host"]] = HostState.of(line)
        if "away" in line:
            self.away[line["away"]] = line["drain"]
        if "back" in line:
            self.away.pop(line["back"], None)
        if "end" in line:
            self.ended, self.stopped = line["end"], line["stopped"] or ""

    def hold(self, lock: int, file: int) -> None:
        """Lines go to that open file from now on; both are closed with the journal."""
        self._lock, self._file = lock, file

    def begun(self, hosts: Sequence[str]) -> None:
        """It is on disk that these hosts are about to be changed."""
        self.states.update({host: _asked(host) for host in hosts})
        self.write({"begun": list(hosts)})

    def settle(self, state: HostState) -> None:
        """It is on disk what this host came to."""
        self.states[state.host] = state
        self.write(state.document())

    def taken(self, host: str, drain: str) -> None:
        """It is on disk that this host is about to be taken from the scheduler, by this drain."""
        self.away[host] = drain
        self.write({"away": host, "drain": drain})

    def given_back(self, host: str) -> None:
        """It is on disk that the scheduler has this host again."""
        self.away.pop(host, None)
        self.write({"back": host})

    def write(self, line: dict[str, Any]) -> None:
        """One line is on disk, with its time."""
        data = json.dumps({"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", **line}, ensure_ascii=False)
        try:
            own_state.add_line(self._file, data.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise _failed(folder(), error) from error

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the file go."""
        os.close(self._file)
        os.close(self._lock)


def last_document(verb: str) -> dict[str, Any]:
    """Return what the newest run of this verb came to (gpuctl.fleet.run/1), as far as its journal knows.

    Raises:
        JournalMissing: there is none.
        JournalFailed: it cannot be read.
    """
    for path in sorted(folder().glob("*.jsonl"), reverse=True):
        try:
            found = Journal.of(path, path.read_bytes())
        except OSError as error:
            raise _failed(path, error) from error
        if found.wish.verb == verb:
            turn = HostState("", SKIPPED, what="its turn never came", resolution="--resume goes on with it")
            states = [found.states.get(host) or replace(turn, host=host) for host in found.hosts]
            interrupted = found.ended in (None, INTERRUPTED)
            return run_document(
                found.run, found.wish, states, stopped=found.stopped, interrupted=interrupted, before=frozenset()
            )
    raise JournalMissing(f"no {verb} of a fleet in {folder()}", resolution=f"gpuctl fleet {verb} -i INVENTORY")


def _hold(path: Path) -> tuple[int, int]:
    """Return a run's lock and its file, this process's alone."""
    try:
        return own_state.open_alone(path)
    except own_state.Held as error:
        raise JournalHeld(
            f"another gpuctl is at run {path.stem} (pid {error.pid})",
            resolution="wait for it, or end it; its journal stays",
        ) from error
    except OSError as error:
        raise _failed(path, error) from error


def _asked(host: str) -> HostState:
    """A host that was begun, as long as it has not answered."""
    return HostState(host, UNKNOWN, what="interrupted before it answered", resolution="--resume asks it again")


def _failed(path: Path, error: OSError) -> JournalFailed:
    return JournalFailed(
        f"the journal {path} cannot be read or written: {error.strerror}",
        resolution="make room there, or set XDG_STATE_HOME to a folder that you may write",
    )


def _lines(data: bytes) -> list[dict[str, Any]]:
    """Return a journal's lines; a last one that a crash cut off never happened."""
    lines = []
    for text in data.split(b"\n"):
        try:
            line = json.loads(text) if text else None
        except ValueError:
            line = None
        if isinstance(line, dict):
            lines.append(line)
    return lines
