"""What each case wants done, or why nothing is done about it: one small function a case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.recover import placement_plans, power, statements
from gpuctl.moves.recover.draft import SETTLED, Draft
from gpuctl.moves.recover.guest import BAD, GOOD, proof_of
from gpuctl.moves.recover.holds import untracked
from gpuctl.moves.recover.step import Act, Ask, Await, Clear, Expect, Resume, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuctl.moves.recover.case import Case


def nothing(draft: Draft, case: Case) -> None:
    """Plan nothing: the case is explained by its title."""


def _two_guests(draft: Draft, case: Case) -> None:
    draft.refused.append(("everything", case.title))
    draft.advice.append(
        f"find out which guest is the good one, and power the other off by hand on its host: {'; '.join(case.evidence)}"
    )


def _interrupted(draft: Draft, case: Case) -> None:
    draft.steps.append(
        Step(
            "resume",
            case.id,
            "take up gpuctl's own move where the cloud is now",
            "the journal says what was asked for, the cloud says how far it came",
            Resume(),
            Expect(status=SETTLED | {"VERIFY_RESIZE"}, words="the move at its end"),
            seconds=7200.0,
        )
    )


def _wait(draft: Draft, case: Case) -> None:
    draft.refused.append(("everything", f"{case.title}; two moves of one server at once are never begun"))
    draft.advice.append("gpuctl instance recover SERVER again once it is over")


def _stuck(draft: Draft, case: Case) -> None:
    if case.migration is not None:  # Nova has dropped it
        _leak(draft, case)
        draft.advice.append("a guest that ran was powered off for the copy: start it once nothing is left to repair")
        return
    draft.refused.append(
        ("everything", f"{case.title}: a move that may still be copying must not be cut off by a reset")
    )
    draft.advice.append(
        "look at nova-compute's log on both hosts and at the size of the copy on the destination; where nova-compute "
        "is down or hangs, restart it: at its start it goes on or rolls back; then run recover again"
    )


def _leak(draft: Draft, case: Case) -> None:
    """End the migration for whose sake a card is kept; only the database can."""
    keeper, sight = case.migration, draft.sight
    if keeper is None:
        return
    host = case.hold.host if case.hold else ""
    down = f"; nova-compute of {host} is down and must come up for it" if host and not sight.is_up(host) else ""
    waiting = sight.finished[-1] if sight.status == "VERIFY_RESIZE" and sight.finished else None
    statement = statements.give_up(keeper, sight.home, waiting)
    draft.statements.append(statement)
    draft.steps.append(
        Step(
            f"end-migration-{keeper.id}",
            case.id,
            f"end migration {keeper.id} in Nova's database"
            + (f", so that {host} frees the card{down}" if host else ""),
            (
                f"the card is on {host}, the server on {sight.home or 'no host'}: its own is not touched; "
                if host
                else ""
            )
            + f"the statement does nothing unless the record is still `{keeper.status}`",
            Ask(statement),
            Expect(
                migration=(keeper.id, frozenset({"failed"})),
                free=(host,) if host else (),
                words=f"no card of it on {host} any more: after the next update_available_resource there (every 60 s "
                "unless update_resources_interval says else), or after a restart of that nova-compute"
                if host
                else "the record is failed",
            ),
        )
    )


def _awaits_audit(draft: Draft, case: Case) -> None:
    host = case.hold.host if case.hold else ""
    down = "" if draft.sight.is_up(host) else f" (nova-compute of {host} is down: start it)"
    draft.steps.append(
        Step(
            f"audit-{host}",
            case.id,
            f"wait for the audit of nova-compute on {host}{down}",
            "nothing is asked for",
            Await(),
            Expect(free=(host,), words=f"no card of it on {host} any more"),
            seconds=180.0,
        )
    )


def _retried(draft: Draft, case: Case) -> None:
    """Shelve and unshelve to the same host: both cards are freed, one is claimed (openstack-lab.md 9)."""
    sight, server = draft.sight, draft.sight.server
    if server is None or sight.status == "VERIFY_RESIZE":
        return  # the move that waits comes first
    if sight.status not in SETTLED:
        draft.refused.append(("shelve and unshelve", f"Nova does not shelve a server in {sight.status}"))
        draft.advice.append("no way through the API is known: two cards of its own host are held by a server in ERROR")
        return
    if untracked(sight) is not None:
        draft.steps.append(
            Step(
                f"tracked-{sight.home}",
                case.id,
                f"wait until nova-compute on {sight.home} has taken it in, at its next audit",
                "nothing is asked for",
                Await(),
                Expect(tracked=True, words=f"its last move ended {sight.audit:.0f} s ago"),
                seconds=sight.audit + 60,
            )
        )
        return
    lost = ["the guest is off for minutes"]
    lost += ["its ephemeral disk and swap are lost"] if server.ephemeral_gib or server.swap_mib else []
    draft.steps.append(
        Step(
            "shelve-unshelve",
            case.id,
            "shelve it and unshelve it to the same host: that frees all its cards and claims as many as it needs",
            "no other host holds a card for it, so that nothing is left behind",
            Act({"shelve": None}),
            Expect(status=power.SHELVED, words="SHELVED, or SHELVED_OFFLOADED"),
            destroys=", ".join(lost),
            seconds=7200.0,
            then=(
                power.offload(case.id),
                power.freed(case.id, sight.home or ""),
                *power.bring_back(sight, case.id, sight.home, stopped=sight.status == "SHUTOFF"),
            ),
        )
    )


def _verify(draft: Draft, case: Case) -> None:
    sight, migration, proof = draft.sight, case.migration, proof_of(draft.sight)
    if migration is None:
        return
    after = frozenset({"ACTIVE", "SHUTOFF"})
    if draft.back or proof.answer == BAD:
        draft.steps.append(
            Step(
                "revert",
                case.id,
                f"revert: back to {migration.source}",
                f"{migration.source} has the disks of before the move" + ("" if draft.back else f"; {proof.why}"),
                Act({"revertResize": None}),
                Expect(
                    status=after,
                    migration=(migration.id, frozenset({"reverted"})),
                    free=(migration.dest or "",),
                    words=f"on {migration.source}, migration reverted, no card on {migration.dest}",
                ),
                destroys=f"what the guest wrote on {migration.dest} since the move",
                seconds=1800.0,
            )
        )
        return
    unproven = "" if proof.answer == GOOD else f"the copy on {migration.source}, and the guest is not proven good"
    draft.steps.append(
        Step(
            "confirm",
            case.id,
            f"confirm: it stays on {migration.dest}",
            proof.why,
            Act({"confirmResize": None}),
            Expect(
                status=after,
                migration=(migration.id, frozenset({"confirmed"})),
                free=(migration.source or "",),
                empty=(migration.uuid,) if migration.uuid and sight.books.allocations is not None else (),
                words=f"migration confirmed, nothing held on {migration.source}",
            ),
            destroys=unproven,
            seconds=900.0,
        )
    )


def _old_host_away(draft: Draft, case: Case) -> None:
    host, sight = case.host or "", draft.sight
    draft.refused.append(("a start", f"{host} still holds its card: a start {sight.era.start_would}"))
    draft.advice.append(
        f"bring {host} back: its nova-compute removes the old guest, folder and claim by itself; then run recover again"
    )
    draft.advice.append(f"only if {host} never comes back: the statement, which is NOT TESTED, on its pci_devices")
    held = [one.address for one in sight.rows or () if one.host == host]
    draft.statements.append(statements.free_dead_host(sight.id, host, held))


def _old_host_back(draft: Draft, case: Case) -> None:
    if case.migration is None:
        return
    draft.advice.append(f"restart nova-compute on {case.host}: only at its start it cleans up after an evacuation")
    draft.steps.append(
        Step(
            f"cleanup-{case.host}",
            case.id,
            f"wait until {case.host} has cleaned up after the evacuation (restart its nova-compute)",
            "nothing is asked for",
            Await(),
            Expect(
                migration=(case.migration.id, frozenset({"completed"})),
                free=(case.host or "",),
                words="migration completed, its card free",
            ),
        )
    )


def _leftovers(draft: Draft, case: Case) -> None:
    host = case.host or ""
    if any(one.id == f"leftovers-{host}" for one in draft.steps):
        return
    draft.steps.append(
        Step(
            f"leftovers-{host}",
            case.id,
            f"put what is left of it on {host} into quarantine (instance leftovers restore brings it back)",
            f"the server is on {draft.sight.home or 'no host'}; the host's half checks again before it moves anything",
            Clear(host),
            Expect(gone=(host,), words=f"neither folder nor domain of it on {host}"),
        )
    )


def _story(draft: Draft, case: Case) -> None:
    """Add what brings the guest back, or says why nothing does."""
    step = power.step_for(draft.sight, case)
    if isinstance(step, Step):
        draft.steps.append(step)
    elif step:
        draft.advice.append(step)


PLANNERS: dict[str, Callable[[Draft, Case], None]] = {
    "two-guests": _two_guests,
    "interrupted": _interrupted,
    "in-progress": _wait,
    "stuck": _stuck,
    "rolled-back": _leak,
    "leaked-card": _leak,
    "reset-state-too-early": _leak,
    "reset-state-too-early-and-again": _leak,
    "row-awaits-audit": _awaits_audit,
    "retried-after-leak": _retried,
    "verify-resize-left": _verify,
    "double-allocation": placement_plans.double,
    "orphan-migration-allocation": placement_plans.orphan,
    "evacuated-old-host-away": _old_host_away,
    "evacuated-old-host-back": _old_host_back,
    "stale-resize": _leftovers,
    "stale-domain": _leftovers,
    **dict.fromkeys(power.CASES, _story),
}
