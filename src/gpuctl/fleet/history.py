"""The operator's audit trail: who ran what, with which version, on which hosts, what changed. One JSON line a run.

The hosts keep their own (`gpuctl host history`); this one says what was asked for from here, and of whom. It is written
when a run ends, so that a run that was killed is told by its hosts alone.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import re
import socket
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gpuctl import own_state
from gpuctl.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

SCHEMA, HISTORY_SCHEMA = "gpuctl.audit/1", "gpuctl.fleet.history/1"
_HIDDEN = "***"
_SECRET_OPTION = re.compile(r"(--?[\w-]*(?:pass|passwd|password|secret|token|credential)[\w-]*)(=.*)?", re.IGNORECASE)
_SECRET_PAIR = re.compile(
    r"""([\w-]*(?:pass|secret|token)[\w-]*["']?\s*[=:]\s*["']?)[^\s,}"']+""", re.IGNORECASE
)  # key=value and JSON
_USER_INFO = re.compile(r"(?<=://)\S*:\S*@")  # a password may hold / and @: up to the last @


class AuditFailed(OperatorError):
    """The audit trail cannot be written or read."""


@dataclass(frozen=True, slots=True)
class Event:
    """One run, as its command knows it.

    Attributes:
        verb: the command: "fleet prepare", "instance migrate".
        result: done, failed, part, refused or interrupted.
        run: the run's id, as its saved files have it; empty where there is none.
        subjects: hosts, or servers, that it was about.
        changes: subject -> what changed there, a line each; what was only read has no entry.
        detail: what else a person wants to know a year later; JSON values without secrets.
    """

    verb: str
    result: str
    run: str = ""
    subjects: tuple[str, ...] = ()
    changes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)


def place() -> Path:
    """Return where the trail is: gpuctl/audit.jsonl below XDG_STATE_HOME."""
    return own_state.folder("audit.jsonl")


def record(event: Event, *, argv: Sequence[str] | None = None) -> Path:
    """The trail has one more line, on disk, with the time, the user, the version and the command line.

    Args:
        event: what was done.
        argv: the command line; this process's by default. Passwords in it are hidden.

    Raises:
        AuditFailed: it has not.
    """
    from gpuctl_host import __version__

    line = {
        "schema": SCHEMA,
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "run": event.run,
        "verb": event.verb,
        "who": _who(),
        "sudo_user": os.environ.get("SUDO_USER"),
        "from": socket.gethostname(),
        "version": __version__,
        "argv": hide(sys.argv if argv is None else argv),
        "subjects": list(event.subjects),
        "changes": {name: list(lines) for name, lines in event.changes.items()},
        "result": event.result,
        "detail": dict(event.detail),
    }
    path = place()
    data = json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _append(descriptor, data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise AuditFailed(
            f"the audit trail {path} cannot be written: {error.strerror}",
            resolution="make room there, or set XDG_STATE_HOME to a folder that you may write",
        ) from error
    return path


def _append(descriptor: int, data: bytes) -> None:
    """Add one line, after a line end where a crash left none; two writers wait for each other."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        data = b"\n" + data
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def hide(words: Sequence[str]) -> list[str]:
    """Return a command line without what looks like a password: in an option, in key=value, in a URL."""
    shown: list[str] = []
    secret_next = False
    for word in words:
        option = _SECRET_OPTION.fullmatch(word)
        if secret_next and not word.startswith("-"):
            shown.append(_HIDDEN)
        elif option:
            shown.append(f"{option[1]}={_HIDDEN}" if option[2] else word)
        else:
            shown.append(_USER_INFO.sub(f"{_HIDDEN}@", _SECRET_PAIR.sub(rf"\1{_HIDDEN}", word)))
        secret_next = bool(option and not option[2])
    return shown


def read(run: str | None = None) -> tuple[tuple[dict[str, Any], ...], int]:
    """Return (entries, unreadable lines), the oldest entry first; nothing where there is no trail yet.

    Args:
        run: only the entries of this run; its first characters are enough.

    Raises:
        AuditFailed: the trail is there and cannot be read.
    """
    path = place()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return (), 0
    except OSError as error:
        raise AuditFailed(
            f"the audit trail {path} cannot be read: {error.strerror}", resolution="see who owns it, and its mode"
        ) from error
    entries, bad = [], 0
    for entry in _parsed(data):
        if entry is None:
            bad += 1
        elif run is None or (run and str(entry.get("run") or "").startswith(run)):
            entries.append(entry)
    return tuple(entries), bad


def _parsed(data: bytes) -> Iterator[dict[str, Any] | None]:
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        yield entry if isinstance(entry, dict) else None


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this uid: KeyError before Python 3.13
        return f"uid {os.getuid()}"
