"""Carry out a plan: each step in the journal first, then made, then read back; a failed prepare is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from gpuctl_host.apply.execution import Execution
from gpuctl_host.apply.lock import held
from gpuctl_host.apply.manifest import write_manifest
from gpuctl_host.apply.outcome import Meta, Outcome, Progress, Site, Tell, site_of
from gpuctl_host.apply.recover import settle
from gpuctl_host.apply.signals import Signals
from gpuctl_host.apply.steps import file
from gpuctl_host.apply.umask import plain_umask
from gpuctl_host.changes.model import FILE
from gpuctl_host.data import changed
from gpuctl_host.errors import Refused, StalePlan

if TYPE_CHECKING:
    from gpuctl_host.apply.disk import Disk
    from gpuctl_host.changes.model import Change, Plan
    from gpuctl_host.host import Host


def apply_plan(
    host: Host,
    plan: Plan,
    *,
    meta: Meta,
    progress: Tell | None = None,
    reread: Callable[[], str] | None = None,
    disk: Disk | None = None,
) -> Outcome:
    """The plan holds, each change read back, and its outcome is returned; or it failed and is taken back.

    Args:
        host: the host; on a captured tree only files are written and the rest is pending.
        plan: what to do, without refusals.
        meta: who asks.
        progress: hears of every step before it begins.
        reread: reads the facts again and returns their fingerprint; called with the lock held.
        disk: the system calls, for tests.

    Raises:
        Refused: the plan holds refusals.
        LockHeld: another gpuctl works on this host.
        StalePlan: the host is no longer as the plan saw it; nothing was changed.
        Interrupted: a signal came; what was done is taken back.
        DiskFailed, JournalBroken: before anything was changed.
    """
    if plan.refusals:
        raise Refused(plan.refusals[0].evidence, resolution=plan.refusals[0].fix)
    site, tell = site_of(host, disk), progress or _silent
    with plain_umask(), held(host, plan.verb, files=site.files), Signals() as signals:
        said = settle(site, tell)
        check_fresh(site, plan, reread)
        doable, pending = split(host, plan)
        if not doable:
            reasons = (*plan.reboot, *_reasons(pending))
            return Outcome(None, plan.verb, pending=pending, needs_reboot=reasons, notes=(*said, *plan.notes))
        execution = Execution(site, plan, doable, meta, tell, signals)
        execution.begin()
        execution.steps(lambda: write_manifest(site))
        outcome = execution.outcome()
    needs = (*outcome.needs_reboot, *(_reasons(pending) if outcome.error is None else ()))
    return changed(outcome, pending=pending, needs_reboot=needs, notes=(*said, *outcome.notes))


def check_fresh(site: Site, plan: Plan, reread: Callable[[], str] | None) -> None:
    """The host is as the plan saw it.

    Raises:
        StalePlan: it is not; nothing was changed.
    """
    again = "run the same command again: it plans from what is there now"
    site.host.forget()
    if reread is not None and reread() != plan.fingerprint:
        raise StalePlan("the host has changed since the plan was made; nothing was touched", resolution=again)
    for change in plan.changes:
        if change.kind == FILE and file.is_stale(site, change):
            raise StalePlan(
                f"{change.target} has changed since the plan was made; nothing was touched", resolution=again
            )


def split(host: Host, plan: Plan) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """Return what can be done here and what cannot: no kernel and no command answers in a captured tree."""
    if host.live:
        return plan.changes, ()
    doable = tuple(change for change in plan.changes if change.kind == FILE or not (change.argv or _is_live(change)))
    return doable, tuple(change for change in plan.changes if change not in doable)


def _is_live(change: Change) -> bool:
    from gpuctl_host.changes.model import LIVE_KINDS

    return change.kind in LIVE_KINDS


def _reasons(pending: tuple[Change, ...]) -> tuple[str, ...]:
    if not pending:
        return ()
    names = ", ".join(dict.fromkeys(f"{change.kind} {change.target}" for change in pending))
    return (f"this is a tree, not a running host; not done here: {names}",)


def _silent(_progress: Progress) -> None:
    """Nobody listens."""
