"""FILE: a file or link gets a content, appears or goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl_host.changes.past import Image, PastChange, image_of
from gpuctl_host.errors import GpuctlError, ReadBackFailed
from gpuctl_host.facts.model import FileState

if TYPE_CHECKING:
    from gpuctl_host.apply.files import Files
    from gpuctl_host.apply.outcome import Site
    from gpuctl_host.changes.model import Change


def wanted(change: Change) -> tuple[FileState | None, FileState | None]:
    """Return what a FILE change says was and will be there."""
    if isinstance(change.before, str) or isinstance(change.after, str):
        raise GpuctlError(f"the change of {change.target} holds no content: a defect of gpuctl")
    return change.before, change.after


def same(files: Files, path: str, here: FileState | None, there: FileState | None) -> bool:
    """Say whether two readings of ``path`` are the same file, as far as its file system can tell files apart."""
    if here is None or there is None:
        return here is there
    if (here.data, here.is_link) != (there.data, there.is_link):
        return False
    if not here.is_link and here.mode != there.mode and files.keeps_modes(path):
        return False
    return not files.owns or (here.uid, here.gid) == (there.uid, there.gid)


def is_stale(site: Site, change: Change) -> bool:
    """Say whether the file is neither as the plan saw it nor already as the plan wants it.

    Raises:
        DiskFailed: it cannot be read.
    """
    before, after = wanted(change)
    present = site.files.state(change.target)
    return not any(same(site.files, change.target, present, state) for state in (before, after))


def intend(site: Site, change: Change) -> dict[str, Any]:
    """Both contents are kept; return what the journal needs beside them."""
    before, after = wanted(change)
    site.blobs.keep_state(before)
    site.blobs.keep_state(after)
    return {"made": list(site.files.missing_folders(change.target)) if after is not None else []}


def act(site: Site, change: Change) -> None:
    """The file is what the plan wants."""
    before, after = wanted(change)
    if same(site.files, change.target, site.files.state(change.target), after):
        return
    if after is not None:
        site.files.make_folders(site.files.missing_folders(change.target))
    elif before is None:
        return
    site.files.put(change.target, after)


def read_back(site: Site, change: Change) -> None:
    """The file was read again and is what the plan wants.

    Raises:
        ReadBackFailed: it is not.
    """
    _, after = wanted(change)
    if not same(site.files, change.target, site.files.state(change.target), after):
        raise ReadBackFailed(
            f"{change.target} is not what was written to it",
            resolution="see what else writes this file (configuration management?), then run the same command again",
        )


def undo(site: Site, past: PastChange) -> str | None:
    """The file is as before the run, or somebody else changed it since and it stays; return what is wrong then."""
    before = past.before if isinstance(past.before, Image) else None
    after = past.after if isinstance(past.after, Image) else None
    present = image_of(site.files.state(past.target))
    if _same(present, before):
        return None
    if _same(present, after) or (present is not None and present.like(after)):
        site.blobs.put_back(past.target, before)
        return None
    return f"{past.target} was changed by somebody else while gpuctl worked on it; it is left as it is"


def _same(here: Image | None, there: Image | None) -> bool:
    return here is there if here is None or there is None else here.is_same(there)
