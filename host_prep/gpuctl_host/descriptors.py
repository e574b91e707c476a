"""Which process has a device open: by the number of the device, for a container may name the node as it likes."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def open_devices(proc: str, numbers: Mapping[int, str], names: Mapping[str, str]) -> list[tuple[int, str]] | None:
    """Return (pid, node) of each open one below ``proc``; None if other users' processes cannot be looked at."""
    found: set[tuple[int, str]] = set()
    for pid in os.listdir(proc):
        if not pid.isdigit():
            continue
        try:
            descriptors = os.listdir(f"{proc}/{pid}/fd")
        except PermissionError:
            return None
        except OSError:  # it has ended
            continue
        for descriptor in descriptors:
            path = f"{proc}/{pid}/fd/{descriptor}"
            try:
                target = os.readlink(path)
                if not target.startswith("/"):  # sockets, pipes, anonymous inodes: most of them
                    continue
                node = names.get(target)
                if node is None and numbers:
                    state = os.stat(path)
                    node = numbers.get(state.st_rdev) if stat.S_ISCHR(state.st_mode) else None
            except OSError:
                continue
            if node is not None:
                found.add((int(pid), node))
    return sorted(found)
