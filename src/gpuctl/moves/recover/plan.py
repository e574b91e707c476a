"""What to do about a server's cases: pure. Leaks first, then the move that waits, the guest, accounts, leftovers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.recover import statements
from gpuctl.moves.recover.draft import Draft
from gpuctl.moves.recover.holds import one_place
from gpuctl.moves.recover.planners import PLANNERS, nothing
from gpuctl.moves.recover.step import Ask, Expect, Plan, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl.moves.recover.case import Case
    from gpuctl.moves.recover.sight import Sight

LOOK = "look"
_STARTING = frozenset({"hard-reboot", "start", "unshelve"})


def plan(sight: Sight, cases: tuple[Case, ...], *, back: bool = False) -> Plan:
    """Return what is to be done about these cases.

    Args:
        sight: what they were found in.
        cases: as diagnose() orders them.
        back: revert a move that waits instead of confirming it.
    """
    draft = Draft(sight, back)
    for case in cases:
        PLANNERS.get(case.id, nothing)(draft, case)
    # A shelve and unshelve starts the guest anew: what the story asked for is done by it.
    if any(one.id == "shelve-unshelve" for one in draft.steps):
        draft.steps = [one for one in draft.steps if one.id not in _STARTING]
    steps = tuple(_with_look(sight, draft.steps))
    looks = [one.request.statement for one in steps if one.id == LOOK and isinstance(one.request, Ask)]
    return Plan(steps, tuple(draft.refused), tuple(draft.advice), (*draft.statements, *looks))


def _with_look(sight: Sight, steps: list[Step]) -> Iterator[Step]:
    """Yield the steps, with a look into the database before the first start where nothing else shows the cards."""
    asked = any(isinstance(one.request, Ask) for one in steps)
    unknown = one_place(sight) is None and sight.server is not None
    for one in steps:
        if one.id in _STARTING and unknown and not asked and sight.server is not None:
            yield Step(
                LOOK,
                one.case,
                f"look into the database whether {sight.home or 'no host'} alone holds cards for it",
                "it only reads",
                Ask(statements.look(sight.id, sight.home, sight.server.cards)),
                Expect(free=(), words=f"no card of it anywhere but on {sight.home}"),
            )
            asked = True
        yield one
