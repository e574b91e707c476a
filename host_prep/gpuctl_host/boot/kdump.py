"""Whether a crash kernel waits: its image has our files too, and the early script does nothing in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl_host.host import Host


def present(host: Host) -> bool | None:
    """Say whether a crash kernel is loaded, or (in a captured tree) reserved and configured; None: cannot be seen."""
    loaded = host.word("/sys/kernel/kexec_crash_loaded")
    if loaded is not None:
        return loaded == "1"
    line = host.read("/proc/cmdline")
    if line is None:
        return None
    return "crashkernel=" in line
