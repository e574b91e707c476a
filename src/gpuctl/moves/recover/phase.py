"""Where a move broke off: which of Nova's steps failed, by the events of its actions."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from gpuctl.moves.recover.sight import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl.moves.model import Action, Event, Migration
    from gpuctl.moves.recover.sight import Sight

MOVES = ("migrate", "resize", "evacuate", "live-migration")
ENDS = ("confirmResize", "revertResize")


class Phase(Enum):
    """A step of a cold move."""

    SCHEDULE = "schedule"  # no host was found
    CLAIM = "claim"  # the destination could not claim: it holds nothing
    SOURCE = "source"  # the source could not power off or copy: the destination's claim stays
    DEST = "dest"  # the destination could not start the guest: the source's card stays
    CONFIRM = "confirm"
    REVERT_DEST = "revert-dest"
    REVERT = "revert"  # the source could not start the guest again; the destination's card was freed before


# The later step first: a claim that failed is followed by a scheduling that failed too.
_EVENTS = (
    ("confirm_resize", Phase.CONFIRM),
    ("finish_revert_resize", Phase.REVERT),
    ("revert_resize", Phase.REVERT_DEST),
    ("finish_resize", Phase.DEST),
    ("resize_instance", Phase.SOURCE),
    ("prep_resize", Phase.CLAIM),
    ("conductor_migrate_server", Phase.SCHEDULE),
    ("cold_migrate", Phase.SCHEDULE),
)


def phase(sight: Sight, migration: Migration) -> tuple[Phase | None, Event | None]:
    """Return the step at which a migration broke off and the event that says so; None where no event does."""
    failed = [
        event
        for action in actions_of(sight, migration)
        if action.message == "Error"
        for event in action.events or ()
        if event.result == "Error"
    ]
    for name, which in _EVENTS:
        for event in reversed(failed):
            if event.name.removeprefix("compute_") == name:
                return which, event
    return None, None


def actions_of(sight: Sight, migration: Migration) -> tuple[Action, ...]:
    """Return the action that made a migration, and the confirms and reverts between it and the next one.

    Each move has one record and one action, so that they pair up in their order. Where the numbers differ (records
    that were purged, actions that never came to a record) the time decides.
    """
    groups = list(_groups(sight.actions))
    if len(groups) == len(sight.migrations):
        return groups[sight.migrations.index(migration)]
    before = [one for one in groups if moment(one[0].started) <= moment(migration.created)]
    return before[-1] if before else ()


def after(sight: Sight, migration: Migration, names: tuple[str, ...]) -> tuple[Action, ...]:
    """Return the actions of these names since a migration's last one, oldest first."""
    mine = actions_of(sight, migration)
    if not mine:
        since = moment(migration.updated)
        return tuple(one for one in sight.actions if one.action in names and moment(one.started) >= since)
    start = sight.actions.index(mine[-1]) + 1
    return tuple(one for one in sight.actions[start:] if one.action in names)


def _groups(actions: tuple[Action, ...]) -> Iterator[tuple[Action, ...]]:
    """Yield each move's action with the confirm or revert that followed it."""
    group: list[Action] = []
    for action in actions:
        if action.action in MOVES:
            if group:
                yield tuple(group)
            group = [action]
        elif action.action in ENDS and group:
            group.append(action)
    if group:
        yield tuple(group)
