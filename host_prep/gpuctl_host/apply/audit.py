"""The audit log: one line a run, of who did what, when, with which version, and what came of it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gpuctl_host.apply import journald
from gpuctl_host.apply.files import told
from gpuctl_host.apply.journal import stamp
from gpuctl_host.apply.places import AUDIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuctl_host.apply.outcome import Site
    from gpuctl_host.changes.past import Run

SCHEMA = "gpuctl.host.audit/1"


def audit(site: Site, run: Run, result: str, *, error: str | None = None) -> None:
    """The run has its line in the audit log, once.

    Raises:
        DiskFailed: it has not.
    """
    if f'"run":"{run.id}"' in (site.host.read(AUDIT) or ""):
        return
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "at": stamp(site.host.now()),
        "run": run.id,
        "verb": run.verb,
        "uid": run.uid,
        "sudo_user": run.sudo_user,
        "argv": list(run.argv),
        "version": run.version,
        "cards": [card.address for card in run.cards],
        "changes": [f"{change.kind} {change.target}" for change in run.changes],
        "result": result,
    }
    if error is not None:
        record["error"] = error
    append(site, record)


def append(site: Site, record: Mapping[str, Any]) -> None:
    """The record is the audit log's last line, and journald has it too if there is one.

    Raises:
        DiskFailed: it is not, and no part of it is in the way of the next one.
    """
    line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
    site.files.make_folders(site.files.missing_folders(AUDIT))
    disk = site.files.disk
    with told("write", AUDIT):
        fd = disk.append(site.host.real(AUDIT))
        try:
            size = os.fstat(fd).st_size
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            view = memoryview(b"\n" + line if torn else line)
            try:
                while view:
                    view = view[disk.write(fd, view) :]
                disk.fsync(fd)
            except OSError:
                with suppress(OSError):
                    disk.truncate(fd, size)
                raise
        finally:
            disk.close(fd)
    journald.tell(site.host, record)
