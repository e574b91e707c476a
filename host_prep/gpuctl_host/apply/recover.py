"""A run that was killed is finished if nothing was left to do, else taken back, before anything else is done."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from gpuctl_host.apply.audit import audit
from gpuctl_host.apply.files import DiskFailed
from gpuctl_host.apply.journal import Journal, read_runs
from gpuctl_host.apply.lock import held
from gpuctl_host.apply.manifest import write_manifest
from gpuctl_host.apply.outcome import Progress, Site, Tell, site_of
from gpuctl_host.apply.places import BLOBS, STATE
from gpuctl_host.apply.umask import plain_umask
from gpuctl_host.apply.undo import folders_of, undo_run
from gpuctl_host.changes.past import DONE
from gpuctl_host.errors import GpuctlError

if TYPE_CHECKING:
    from gpuctl_host.apply.disk import Disk
    from gpuctl_host.changes.past import Run
    from gpuctl_host.host import Host


def unfinished(host: Host) -> tuple[Run, ...]:
    """Return the runs that were killed before their end, the oldest first.

    Raises:
        JournalBroken: a journal cannot be read.
    """
    return tuple(run for run in read_runs(host) if run.end is None and run.restored_by is None)


def recover(host: Host, *, progress: Tell | None = None, disk: Disk | None = None) -> tuple[str, ...]:
    """No run is left unfinished; return what was done about each. To be called before the facts are read for a plan.

    Raises:
        LockHeld: another gpuctl works on this host.
        GpuctlError: a run could not be taken back whole; the message says what is left.
    """
    if not unfinished(host):
        return ()
    site = site_of(host, disk)
    with plain_umask(), held(host, "recover", files=site.files):
        return settle(site, progress or (lambda _: None))


def settle(site: Site, tell: Tell, *, leave: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Like recover(), with the lock already held.

    Args:
        site: the host.
        tell: hears of the progress.
        leave: ids of runs that the restore which follows takes back.
    """
    said = []
    for run in unfinished(site.host):
        if run.id in leave:
            continue
        tell(Progress("recover", f"run {run.id} ({run.verb}) was killed"))
        said.append(_settle(site, run, tell))
    site.files.sweep([STATE, BLOBS])
    return tuple(said)


def _settle(site: Site, run: Run, tell: Tell) -> str:
    journal = Journal(site.files, run.id)
    try:
        if run.verb == "restore":
            site.files.sweep(folders_of(run))
            _close(site, journal, run, "interrupted")
            return f"run {run.id} (restore) was killed half way; the next restore goes on from there"
        if all(change.state == DONE for change in run.changes):
            write_manifest(site)
            _close(site, journal, run, "done")
            return f"run {run.id} ({run.verb}) was killed after its last step; it is finished"
        undone = undo_run(site, journal, run, tell)
        _close(site, journal, run, "failed" if undone.problems else "undone", undone.problems)
        write_manifest(site)
    finally:
        journal.close()
    if undone.problems:
        raise GpuctlError(
            f"run {run.id} ({run.verb}) was killed half way and could not be taken back whole: {undone.problems[0]}",
            details="\n".join(undone.problems),
            resolution="put right what is named, then gpuctl host restore",
        )
    return f"run {run.id} ({run.verb}) was killed half way; its {len(undone.changes)} changes are taken back"


def _close(site: Site, journal: Journal, run: Run, state: str, problems: tuple[str, ...] = ()) -> None:
    with suppress(DiskFailed):  # the journal is the record that counts
        audit(site, run, state, error="killed before its end")
    journal.add("end", state=state, problems=list(problems))
