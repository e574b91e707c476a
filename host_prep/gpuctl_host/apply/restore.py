"""Take runs back: plan from the journals and from what is there, carry it out, and leave only the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from gpuctl_host.apply.execution import Execution
from gpuctl_host.apply.executor import check_fresh, split
from gpuctl_host.apply.journal import Journal, read_runs
from gpuctl_host.apply.lock import held
from gpuctl_host.apply.manifest import write_manifest
from gpuctl_host.apply.outcome import Meta, Outcome, Progress, Site, Tell, site_of
from gpuctl_host.apply.recover import settle
from gpuctl_host.apply.signals import Signals
from gpuctl_host.apply.umask import plain_umask
from gpuctl_host.apply.undo import folders_of
from gpuctl_host.changes import restore
from gpuctl_host.changes.model import FILE
from gpuctl_host.changes.past import Image, Past, Run, Seen
from gpuctl_host.data import changed

if TYPE_CHECKING:
    from gpuctl_host.apply.disk import Disk
    from gpuctl_host.changes.model import Plan
    from gpuctl_host.facts.model import Facts
    from gpuctl_host.host import Host


def read_past(host: Host) -> Past:
    """Return the journals, and the files that standing runs wrote as they are now.

    Raises:
        JournalBroken: a journal or a before-image cannot be read.
        DiskFailed: a file cannot be read.
    """
    site = site_of(host)
    runs = read_runs(host)
    present: dict[str, Seen] = {}
    contents: dict[str, bytes] = {}
    for run in runs:
        for change in run.changes if run.is_active else ():
            for path in change.touched if change.stands else ():
                present[path] = site.files.seen(path)
            if change.kind != FILE or not change.stands:
                continue
            for image in (change.before, change.after):
                if isinstance(image, Image) and image.sha256 not in contents:
                    contents[image.sha256] = b"".join(site.blobs.blocks(image.sha256))
            state = site.files.state(change.target)
            here = present[change.target].image
            if state is not None and here is not None:
                contents[here.sha256] = state.data
    return Past(runs, present, contents)


def plan_restore(host: Host, facts: Facts, run: str | None = None) -> Plan:
    """Return what takes back one run, or every run that still stands.

    Args:
        host: the host, for its journals and files.
        facts: what it is now, read with ``vendors=("any",)``.
        run: a run's id, or None for all.

    Raises:
        UsageError: there is no such run, or nothing of it stands.
        Refused: a later run has written the same files.
        JournalBroken, DiskFailed: the past cannot be read.
    """
    return restore.plan_restore(facts, read_past(host), run)


def apply_restore(
    host: Host,
    plan: Plan,
    *,
    meta: Meta,
    run: str | None = None,
    progress: Tell | None = None,
    reread: Callable[[], str] | None = None,
    disk: Disk | None = None,
) -> Outcome:
    """The host is as before the runs that the plan takes back, and the history says so; or it says what is not.

    It can be killed anywhere and run again; a failure leaves what is already back, and running it again goes on.

    Args:
        host: the host.
        plan: what plan_restore() returned.
        meta: who asks.
        run: what plan_restore() was given.
        progress: hears of every step before it begins.
        reread: plans again and returns the new plan's fingerprint; called with the lock held.
        disk: the system calls, for tests.

    Raises:
        LockHeld: another gpuctl works on this host.
        StalePlan: the host is no longer as the plan saw it; nothing was changed.
        Interrupted: a signal came; what is back stays back.
        DiskFailed, JournalBroken: before anything was changed.
    """
    site, tell = site_of(host, disk), progress or (lambda _: None)
    with plain_umask(), held(host, "restore", files=site.files), Signals() as signals:
        runs = tuple(item for item in read_runs(host) if item.is_active and run in (None, item.id))
        said = settle(site, tell, leave=frozenset(item.id for item in runs))
        check_fresh(site, plan, reread)
        if not runs:
            _sweep(site)
            return Outcome(
                None, "restore", notes=(*said, *plan.notes, "nothing to restore: no run of gpuctl stands on this host")
            )
        doable, pending = split(host, plan)
        execution = Execution(site, plan, doable, meta, tell, signals, tuple(item.id for item in runs))
        execution.begin()
        execution.steps(lambda: _finish(site, runs, execution.run, tell))
        outcome = execution.outcome()
    waiting = tuple(
        f"{change.kind} {change.target} is not done: this is a tree, not a running host" for change in pending
    )
    return changed(
        outcome, pending=pending, needs_reboot=(*outcome.needs_reboot, *waiting), notes=(*said, *outcome.notes)
    )


def _finish(site: Site, runs: tuple[Run, ...], by: str, tell: Tell) -> None:
    """Nothing of the runs is left but their journals, which say who took them back."""
    tell(Progress("collect", "empty folders"))
    site.files.sweep(folder for run in runs for folder in folders_of(run))
    site.files.drop_folders(folder for run in runs for change in run.changes for folder in change.made)
    for run in reversed(runs):
        journal = Journal(site.files, run.id)
        try:
            journal.add("restored", by=by)
        finally:
            journal.close()
    write_manifest(site)


def _sweep(site: Site) -> None:
    """What killed runs left in folders of the host is gone, also where they had not come to write anything."""
    site.files.sweep(folder for run in read_runs(site.host) for folder in folders_of(run))
