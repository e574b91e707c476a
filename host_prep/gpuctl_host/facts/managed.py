"""What boot/ reads for the facts: how the host boots, what is in its images, and the files that a plan may write."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from gpuctl_host.boot.registry import managed_paths
from gpuctl_host.facts.model import FileState

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Boot
    from gpuctl_host.host import Host


def managed_files(host: Host, boot: Boot) -> dict[str, FileState | None]:
    """Return every file that a plan may write, as it is now; None: it is not there."""
    return {path: file_state(host, path) for path in managed_paths(boot)}


def file_state(host: Host, path: str) -> FileState | None:
    """Return a file or link as it is now, enough to put it back; None if it is not there or is neither."""
    found = host.stat(path, follow=False)
    if found is None:
        return None
    is_link = stat.S_ISLNK(found.st_mode)
    if is_link:
        target = host.link(path)
        data = None if target is None else target.encode("utf-8", "surrogateescape")
    else:
        data = host.read_bytes(path) if stat.S_ISREG(found.st_mode) else None
    if data is None:
        return None
    mode = stat.S_IMODE(found.st_mode)
    return FileState(data=data, mode=mode, uid=found.st_uid, gid=found.st_gid, is_link=is_link)
