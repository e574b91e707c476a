"""How long a move will take, from moves that were measured here before: an estimate, and none where nothing was."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gpuctl.moves.journal import FORM, folder
from gpuctl.moves.move import COLD, LEGACY, SHELVE
from gpuctl.moves.result import DONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gpuctl.moves.model import Server

FEW = 3
"""Fewer measured moves than this tell nothing about how size matters: then their median is all there is."""

NEWEST = 500
"""Journals that are read at most, the newest first."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One move that ended well: by which way, how much had to be copied, and how long it took, in seconds."""

    strategy: str
    gib: int
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """What the measured moves say."""

    measured: tuple[Measured, ...] = ()

    def plus(self, one: Measured) -> Estimate:
        """Return it with one more."""
        return Estimate((*self.measured, one))

    def seconds(self, strategy: str, server: Server) -> float | None:
        """Return how long a server's move will take; None where no move by that way was measured."""
        mine = [one for one in self.measured if one.strategy == strategy]
        if not mine:
            return None
        middle = statistics.median(one.seconds for one in mine)
        if len(mine) < FEW or len({one.gib for one in mine}) < 2:
            return middle
        slope, start = statistics.linear_regression([one.gib for one in mine], [one.seconds for one in mine])
        if slope <= 0:  # size did not matter, as far as one can tell
            return middle
        least = min(one.seconds for one in mine)
        return max(start + slope * copied(strategy, server), least)


def copied(strategy: str, server: Server) -> int:
    """Return how many GiB a way copies for a server, at most: its local disks, or its snapshot."""
    root = 0 if server.boots_from_volume else server.root_gib
    if strategy == SHELVE:
        return root
    return root + server.ephemeral_gib if strategy in {COLD, LEGACY} else 0


def weight(strategy: str, server: Server) -> float:
    """Return what stands for the time where nobody knows it: a minute, and a second for each 100 MiB to be copied."""
    return 60.0 + 10.0 * copied(strategy, server)


def history(cloud: str) -> Estimate:
    """Return what the journals of this cloud's moves say; those that were taken up again are left out."""
    where = folder(cloud)
    if not where.is_dir():
        return Estimate()
    try:
        files = sorted(where.glob("*.jsonl"), key=lambda one: one.stat().st_mtime, reverse=True)[:NEWEST]
        return Estimate(tuple(one for file in files for one in measured(_lines(file.read_text(errors="replace")))))
    except OSError:
        return Estimate()  # an estimate is no reason not to drain


def measured(lines: Iterable[dict[str, Any]]) -> Iterator[Measured]:
    """Yield the moves of one journal that began and ended well in one go."""
    begun: dict[str, Any] | None = None
    for said in lines:
        kind = said.get("kind")
        if kind == "begin":
            begun = said
        elif kind == "options" or (kind == "end" and said.get("state") != DONE):
            begun = None
        elif kind == "end" and begun is not None and said.get("id") == begun.get("id"):
            found = _measured(begun, said)
            if found is not None:
                yield found
            begun = None


def _measured(begun: dict[str, Any], end: dict[str, Any]) -> Measured | None:
    from gpuctl.moves.move import load_move

    try:
        move = load_move(begun["move"])
        seconds = (datetime.fromisoformat(end["at"]) - datetime.fromisoformat(begun["at"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return None
    return Measured(move.strategy, copied(move.strategy, move.server), seconds) if seconds >= 0 else None


def _lines(text: str) -> Iterator[dict[str, Any]]:
    import json

    for line in text.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("v") == FORM:
            yield said
