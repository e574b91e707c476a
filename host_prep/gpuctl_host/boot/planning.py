"""What the back-ends share when they plan: a file's Change where it differs, and the reading of what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.changes.model import FILE, NONE, REBOOT, Change
from gpuctl_host.data import frozen
from gpuctl_host.facts.model import FileState
from gpuctl_host.templates import is_ours

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Facts


@frozen
class Leave:
    """One file that a prepare leaves, or (text None) leaves out.

    Attributes:
        in_image: it is copied into every image, or decides what is in it.
    """

    path: str
    text: str | None
    reason: str
    mode: int = 0o644
    in_image: bool = True


def file_change(facts: Facts, leave: Leave, *, risk: str = REBOOT, foreign: bool = False) -> Change | None:
    """Return the Change that makes the file as it shall be, or None if it is.

    Args:
        facts: `files` is read.
        leave: what shall be there; a text of None takes away a file that is ours, and no other.
        risk: when it holds.
        foreign: the file is not ours by header (/etc/kernel/cmdline).
    """
    before = facts.files.get(leave.path)
    if leave.text is None:
        if before is None or (not foreign and not is_ours(before.data)):
            return None
        return Change(FILE, leave.path, before, None, leave.reason, NONE)
    data = leave.text.encode()
    if before is not None and not before.is_link and before.data == data and before.mode == leave.mode:
        return None
    uid, gid = (before.uid, before.gid) if before is not None and not before.is_link else (0, 0)
    return Change(FILE, leave.path, before, FileState(data, leave.mode, uid, gid), leave.reason, risk)


def content(facts: Facts, path: str) -> str | None:
    """Return a managed file's present text, or None if it is not there."""
    state = facts.files.get(path)
    return None if state is None or state.is_link else state.data.decode("utf-8", "replace")
