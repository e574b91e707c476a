"""The ways a server can move: each says, from what was asked and what is seen, what comes next. Nobody is asked."""

from __future__ import annotations

from gpuctl.moves.move import COLD, LEGACY, LIVE, SHELVE, Sight, Track
from gpuctl.moves.ways import cold, evacuate, legacy, live, shelve
from gpuctl.moves.ways.steps import Step

_WAYS = {COLD: cold.step, SHELVE: shelve.step, LIVE: live.step, LEGACY: legacy.step, evacuate.EVACUATE: evacuate.step}


def next_step(track: Track, sight: Sight) -> Step:
    """Return what comes next for a move, by its own way."""
    return _WAYS[track.move.strategy](track, sight)
