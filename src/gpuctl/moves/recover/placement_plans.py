"""What is planned where Placement holds for a server, or for a migration of it, what it should not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.model import Allocation
from gpuctl.moves.recover.accounts import holds_while_away, right_allocation, swapped
from gpuctl.moves.recover.step import Expect, Put, Step

if TYPE_CHECKING:
    from gpuctl.moves.model import Migration
    from gpuctl.moves.recover.case import Case
    from gpuctl.moves.recover.draft import Draft


def double(draft: Draft, case: Case) -> None:
    """Plan what the server itself holds: its own cards, or nothing while it is on no host."""
    away = holds_while_away(draft.sight)
    if away is not None:
        draft.steps.insert(
            0,  # before an unshelve
            Step(
                "allocation",
                case.id,
                "let Placement hold nothing for it",
                "it is offloaded, on no host and at rest; the generation guards against a change meanwhile",
                Put(Allocation(away.consumer, {}, away.generation, away.project, away.user)),
                Expect(empty=(away.consumer,), words="nothing held by it"),
            ),
        )
        return
    allocation = right_allocation(draft.sight, case.right)
    if allocation is None:
        draft.refused.append(("putting the allocation right", f"which card it really has is not known: {case.proof}"))
        return
    cards = len(case.right)
    draft.steps.append(
        Step(
            "allocation",
            case.id,
            f"let Placement hold {', '.join(case.right)} of {draft.sight.home} for it, and nothing else",
            "these are the cards that it really has; the generation guards against a change meanwhile",
            Put(allocation),
            Expect(devices=cards, words=f"{cards} cards in Placement"),
        )
    )


def orphan(draft: Draft, case: Case) -> None:
    """Plan that a migration that is over holds nothing; what the server itself uses goes to that at the same time."""
    consumer = case.migration.uuid if case.migration else None
    old = (draft.sight.books.allocations or {}).get(consumer or "")
    if old is None or case.migration is None:
        return
    if swapped(draft.sight, case.migration):
        _exchange(draft, case, case.migration, old)
        return
    draft.steps.append(
        Step(
            f"orphan-{case.migration.id}",
            case.id,
            f"let Placement hold nothing for migration {case.migration.id}",
            f"the consumer is migration {case.migration.id} of this server, and it is {case.migration.status}",
            Put(Allocation(old.consumer, {}, old.generation, old.project, old.user)),
            Expect(empty=(old.consumer,), words="nothing held by it"),
        )
    )


def _exchange(draft: Draft, case: Case, migration: Migration, old: Allocation) -> None:
    """Give the server what its migration holds, and the migration nothing, in one request."""
    server, home = draft.sight.server, draft.sight.home
    now = (draft.sight.books.allocations or {}).get(draft.sight.id)
    if server is None or now is None:
        return
    mine = Allocation(draft.sight.id, old.holds, now.generation, old.project, old.user)
    nothing = Allocation(old.consumer, {}, old.generation, old.project, old.user)
    draft.steps.append(
        Step(
            f"orphan-{migration.id}",
            case.id,
            f"let Placement hold for the server what migration {migration.id} holds on {home}, and nothing for that",
            f"the server is on {home}, and holds nothing there itself; both change at once, or neither",
            Put(mine, nothing),
            Expect(
                devices=server.cards if draft.sight.books.tracked else None,
                empty=(old.consumer,),
                words=f"its own on {home}, and nothing held by the migration",
            ),
        )
    )
