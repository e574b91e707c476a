"""What must be so before a server is moved (facts/nova.md 4.11): one small function each; books in, findings out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.guards import cards, disks, place, services, state
from gpuctl.moves.guards.situation import Group, Situation
from gpuctl.moves.model import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

GUARDS: tuple[Callable[[Situation], Finding | tuple[Finding, ...]], ...] = (
    state.cards,
    state.state,
    state.locked,
    state.history,
    state.database,
    state.microversion,
    services.source,
    services.destination,
    cards.free_card,
    cards.alias,
    cards.one_time_use,
    place.headroom,
    place.group,
    place.zone,
    disks.disks,
    disks.ports,
    state.numa,
)


def guard(situation: Situation) -> tuple[Finding, ...]:
    """Return what every guard says; a move with a failed one is refused, one that cannot be known is told."""
    found: list[Finding] = []
    for one in GUARDS:
        said = one(situation)
        found += said if isinstance(said, tuple) else (said,)
    return tuple(found)


__all__ = ["GUARDS", "Group", "Situation", "guard"]
