"""From the runs that `gpuctl fleet check` keeps to snapshots: one run, and the last one before it to compare with."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from gpuctl.fleet.report.model import Snapshot
from gpuctl.fleet.report.reading import read_entries
from gpuctl.fleet.runs import NoRun, kept, open_run, place

if TYPE_CHECKING:
    from pathlib import Path


def read_saved(run: str | None) -> tuple[Snapshot, Snapshot | None]:
    """Return (a kept run, the last kept run before it that asked any of the same hosts or None).

    Args:
        run: its id or the first characters of one; None: the newest.

    Raises:
        NoRun: there is none, or it cannot be read.
    """
    files = kept()
    found = [path for path in files if run is None or (run and path.name.startswith(run))]
    if not found:
        which = "no run is kept yet" if run is None else f"no run {run} is kept"
        raise NoRun(which, details=str(place()), resolution="gpuctl fleet check -i INVENTORY, or --from FILE")
    if run is not None and len(found) > 1:
        raise NoRun(
            f"{len(found)} kept runs begin with {run}",
            details="\n".join(path.name.partition(".")[0] for path in found),
            resolution="give more of the id",
        )
    chosen = found[-1]
    now = _snapshot(chosen)
    for path in reversed(files[: files.index(chosen)]):
        try:
            before = _snapshot(path)
        except NoRun:
            continue  # an unreadable one of last month is no reason to show nothing today
        if before.hosts.keys() & now.hosts.keys():
            return now, before
    return now, None


def _snapshot(path: Path) -> Snapshot:
    run = open_run(path)
    try:
        hosts = read_entries(run.hosts())
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise NoRun(f"the kept run {path.name} cannot be read", details=str(error), resolution="check again") from error
    return Snapshot(hosts, run=str(run.head.get("run") or ""), at=str(run.head.get("started_at") or ""))
