"""Who changed what on this host, when, with which version; and what a run changed, line by line."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from gpuctl_host.apply.journal import read_run, read_runs
from gpuctl_host.apply.outcome import site_of
from gpuctl_host.changes.model import FILE
from gpuctl_host.changes.past import Image, PastChange, Run
from gpuctl_host.data import frozen
from gpuctl_host.errors import GpuctlError, UsageError

if TYPE_CHECKING:
    from gpuctl_host.apply.blobs import Blobs
    from gpuctl_host.host import Host


@frozen
class Entry:
    """One run, as `host history` shows it.

    Attributes:
        state: done, undone (taken back, by itself or by a restore), failed or interrupted.
        who: the user behind sudo, else the uid.
        restored_by: the restore that took it back.
    """

    run: str
    verb: str
    at: str
    ended_at: str | None
    who: str
    version: str
    state: str
    restored_by: str | None
    cards: tuple[str, ...]
    changes: tuple[str, ...]
    problems: tuple[str, ...]
    argv: tuple[str, ...]


def read_history(host: Host) -> tuple[Entry, ...]:
    """Return one entry a run, the oldest first.

    Raises:
        JournalBroken: a journal cannot be read or understood.
    """
    return tuple(_entry(run) for run in read_runs(host))


def _entry(run: Run) -> Entry:
    return Entry(
        run=run.id,
        verb=run.verb,
        at=run.at,
        ended_at=run.ended_at,
        who=run.sudo_user or ("root" if run.uid == 0 else f"uid {run.uid}"),
        version=run.version,
        state="undone" if run.restored_by is not None else run.end or "interrupted",
        restored_by=run.restored_by,
        cards=tuple(card.address for card in run.cards),
        changes=tuple(f"{change.kind} {change.target}" for change in run.changes),
        problems=run.problems,
        argv=run.argv,
    )


def run_diff(host: Host, run: str) -> str:
    """Return what a run changed: a unified diff a text file, one line for anything else.

    Raises:
        UsageError: there is no such run.
        JournalBroken: its journal cannot be read.
    """
    told = read_run(host, run) if "/" not in run and run not in ("", ".", "..") else None
    if told is None:
        raise UsageError(f"no run {run} on this host", resolution="gpuctl host history lists them")
    blobs = site_of(host).blobs
    return "".join(_shown(blobs, change) for change in told.changes)


def _shown(blobs: Blobs, change: PastChange) -> str:
    if change.kind != FILE:
        way = f": {change.before or '-'} -> {change.after or '-'}" if change.before or change.after else ""
        return f"{change.kind} {change.target}{way} ({change.state})\n"
    try:
        before, after = _lines(blobs, change.before), _lines(blobs, change.after)
    except GpuctlError as error:
        return f"{change.kind} {change.target} ({change.state}; {error.brief})\n"
    if before is None or after is None:
        return f"{change.kind} {change.target}: not a text ({change.state})\n"
    old = "/dev/null" if change.before is None else "a" + change.target
    new = "/dev/null" if change.after is None else "b" + change.target
    shown = list(difflib.unified_diff(before, after, old, new))
    if not shown:
        return f"{change.kind} {change.target}: mode or owner only ({change.state})\n"
    return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in shown)


def _lines(blobs: Blobs, image: Image | str | None) -> list[str] | None:
    """The content in lines; None if it is no text."""
    if not isinstance(image, Image):
        return []
    state = blobs.state(image)
    if image.is_link:
        return ["-> " + state.data.decode("utf-8", "replace") + "\n"]
    if b"\0" in state.data:
        return None
    return state.data.decode("utf-8", "replace").splitlines(keepends=True)
