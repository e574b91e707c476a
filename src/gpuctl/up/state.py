"""What a chain did, across runs that were killed: evidence and times. What is true is looked at again each time."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gpuctl import own_state
from gpuctl.errors import OperatorError
from gpuctl.up.phase import DONE, INTERRUPTED, Row
from gpuctl.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

SCHEMA = "gpuctl.up.state/1"


class UpHeld(OperatorError):
    """Another gpuctl is at this chain."""

    exit_code = 75


class StateFailed(OperatorError):
    """The state cannot be written."""


def place(inventory: Sequence[str], limit: str) -> Path:
    """Return the state's file of an inventory and a limit: gpuctl/up below XDG_STATE_HOME."""
    digest = hashlib.sha256(json.dumps([*inventory, limit]).encode()).hexdigest()[:16]
    return own_state.folder("up", f"{digest}.json")


@dataclass(slots=True)
class State:
    """One chain's file, held by this process alone.

    Attributes:
        path: where.
        phases: name -> what it came to when it was last done: at, seconds, evidence.
    """

    path: Path
    inventory: tuple[str, ...]
    limit: str
    phases: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: int = -1

    def __enter__(self) -> Self:
        """Hold the lock, and read what is there.

        Raises:
            UpHeld: another gpuctl is at it.
            StateFailed: it cannot be made.
        """
        try:
            self._lock = own_state.lock(self.path.with_suffix(".lock"))
        except own_state.Held as error:
            raise UpHeld(
                f"another gpuctl up is at this inventory: pid {error.pid}",
                resolution="wait for it, or end it; running it again goes on from what is there",
            ) from error
        except OSError as error:
            raise _failed(self.path, error) from error
        self.phases = _read(self.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it go; the lock goes with the process, too."""
        os.close(self._lock)

    def earlier(self, phase: str) -> float | None:
        """Return how many seconds a phase took when something was last done in it."""
        seconds = self.phases.get(phase, {}).get("seconds")
        return float(seconds) if isinstance(seconds, (int, float)) else None

    def note(self, row: Row) -> None:
        """What a phase did is on disk; one that did nothing, or was interrupted, leaves what an earlier run noted."""
        if row.outcome.state == INTERRUPTED or (row.outcome.state != DONE and row.phase in self.phases):
            return
        self.phases[row.phase] = {
            "state": row.outcome.state,
            "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "seconds": round(row.seconds, 1),
            "evidence": list(row.outcome.evidence),
        }
        document = {"schema": SCHEMA, "inventory": list(self.inventory), "limit": self.limit, "phases": self.phases}
        try:
            write_whole(self.path, json.dumps(document, indent=1).encode(), mode=0o600)
        except OSError as error:
            raise _failed(self.path, error) from error


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the phases; a file that is not there or makes no sense says nothing, and nothing rests on it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["phases"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: one for name, one in found.items() if isinstance(one, dict)}


def _failed(path: Path, error: OSError) -> StateFailed:
    return StateFailed(
        f"{path} cannot be written: {error.strerror}",
        resolution="make room there, or set XDG_STATE_HOME to a folder that you may write",
    )
