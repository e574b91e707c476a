"""The journal of a server's moves: what was intended, on disk before it is asked for. JSON lines, one file a server.

It never says what *is*: that is the cloud's to say. It says which requests may have been sent, what Nova called them,
and what the server was before; that is all a way needs to go on after a kill.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from gpuctl import own_state
from gpuctl.moves.errors import Busy, MoveError
from gpuctl.moves.move import Sent, Track, dump_move, load_move
from gpuctl.moves.result import OPEN_ENDED

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

FORM = 1


class JournalFailed(MoveError):
    """The journal cannot be written or read: then nothing is asked of Nova."""


def folder(cloud: str) -> Path:
    """Return where the journals of a cloud are: gpuctl/moves/CLOUD below XDG_STATE_HOME."""
    return own_state.folder("moves", own_state.component(cloud))


def stamp(at: float | None = None) -> str:
    """Return a time as RFC 3339, UTC."""
    moment = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Journal:
    """One server's journal, locked by this process until ``close``."""

    path: Path
    _lock: int
    _file: int

    @classmethod
    def open(cls, cloud: str, server: str) -> Self:
        """Return the journal of a server, locked.

        Raises:
            Busy: another gpuctl has it; its pid is named.
            JournalFailed: it cannot be made or opened.
        """
        path = folder(cloud) / f"{server}.jsonl"
        try:
            lock, file = own_state.open_alone(path)
        except own_state.Held as error:
            raise _busy(server, error) from error
        except OSError as error:
            raise JournalFailed(
                f"the journal {path} cannot be opened",
                details=str(error),
                resolution="nothing was asked of the cloud; put the folder right, or set XDG_STATE_HOME",
            ) from error
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

    # ------------------------------------------------------------ writing

    def begin(self, track: Track) -> None:
        """A new move is on disk, with what the server was before; nothing is asked for it yet."""
        self._write(
            "begin",
            track.move.id,
            move=dump_move(track.move),
            known=sorted(track.known),
            requests=sorted(track.requests),
        )

    def intent(self, track: Track, sent: Sent) -> None:
        """It is on disk that a request is about to be sent."""
        self._write("intent", track.move.id, name=sent.name, sent_at=sent.at)

    def answer(self, track: Track, sent: Sent) -> None:
        """It is on disk what came back."""
        self._write(
            "answer", track.move.id, name=sent.name, outcome=sent.outcome, request=sent.request, detail=sent.detail
        )

    def options(self, track: Track) -> None:
        """A move that is taken up goes on with these options and this destination."""
        self._write("options", track.move.id, move=dump_move(track.move))

    def note(self, track: Track, step: str, detail: str) -> None:
        """Something that was seen is on record, for people; nobody decides by it."""
        self._write("note", track.move.id, step=step, detail=detail)

    def end(self, track: Track, state: str, detail: str) -> None:
        """The move is over for this process; one that may go on (OPEN_ENDED) is found again by ``unfinished``."""
        self._write("end", track.move.id, state=state, detail=detail)

    def _write(self, kind: str, about: str, **more: object) -> None:
        line = json.dumps({"v": FORM, "at": stamp(), "kind": kind, "id": about, **more}, default=_plain)
        try:
            own_state.add_line(self._file, line.encode())
        except OSError as error:
            raise JournalFailed(
                f"the journal {self.path} cannot be written",
                details=str(error),
                resolution="nothing more was asked of the cloud; make room, then run the same command again",
            ) from error

    # ------------------------------------------------------------ reading

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield what is in it, oldest first; a line that a kill cut off is left out."""
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    if isinstance(said, dict) and said.get("v") == FORM:
                        yield said
                    elif isinstance(said, dict) and said.get("v", 0) > FORM:
                        raise TypeError(f"a line of form {said['v']}; this gpuctl knows {FORM}")

    def unfinished(self) -> Track | None:
        """Return the move that did not end, as far as it was asked for; None where the last one did.

        Raises:
            JournalFailed: it cannot be read, or a newer gpuctl wrote it: whether a move is open is not known then.
        """
        try:
            return unfinished(self.lines())
        except (OSError, KeyError, TypeError, AttributeError) as error:
            raise JournalFailed(
                f"the journal {self.path} cannot be read: whether gpuctl has a move open there is not known",
                details=f"{type(error).__name__}: {error}",
                resolution="use the gpuctl that wrote it; else see that the server is at rest and has no migration "
                "open (openstack server migration list), then move the file away",
            ) from error


def unfinished(lines: Iterator[dict[str, Any]]) -> Track | None:
    """Return the last move of a journal's lines, if it may go on."""
    track: Track | None = None
    for said in lines:
        kind = said["kind"]
        if kind == "begin":
            track = Track(load_move(said["move"]), frozenset(said["known"]), frozenset(said["requests"]), resumed=True)
        elif track is None or said["id"] != track.move.id:
            continue
        elif kind == "intent":
            track = track.with_sent(Sent(said["name"], said["sent_at"]))
        elif kind == "answer":
            sent = track.last(said["name"])
            if sent is not None:
                answered = replace(sent, outcome=said["outcome"], request=said["request"], detail=said["detail"])
                track = track.with_answer(answered)
        elif kind == "options":
            track = replace(track, move=load_move(said["move"]))
        elif kind == "end" and said["state"] not in OPEN_ENDED:
            track = None
    # Killed before the first intent: nothing can have been asked for, so there is nothing to go on with.
    return track if track is not None and track.sent else None


def peek(cloud: str, server: str) -> Track | None:
    """Return the server's unfinished move without locking its journal: to show it, never to go on with it."""
    path = folder(cloud) / f"{server}.jsonl"
    if not path.exists():
        return None
    return Journal(path, -1, -1).unfinished()


def refuse_busy(cloud: str, server: str) -> None:
    """No other gpuctl has a server's journal now. Nothing is made and nothing kept: for a look, and a dry run.

    Raises:
        Busy: another one has it.
        JournalFailed: its lock cannot be opened.
    """
    path = folder(cloud) / f"{server}.lock"
    try:
        own_state.refuse_held(path)
    except own_state.Held as error:
        raise _busy(server, error) from error
    except OSError as error:
        raise JournalFailed(f"the lock {path} cannot be opened", details=str(error)) from error


def _busy(server: str, held: own_state.Held) -> Busy:
    return Busy(
        f"another gpuctl is moving server {server} (pid {held.pid})",
        resolution="let it end; its journal goes on from where the cloud is if it is killed",
    )


def _plain(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return dict(value) if isinstance(value, Mapping) else str(value)
