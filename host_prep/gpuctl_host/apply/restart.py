"""What tells one boot from another, and what has to be told of changed files at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.changes.model import FILE
from gpuctl_host.errors import ToolError
from gpuctl_host.tools import udevadm

if TYPE_CHECKING:
    from gpuctl_host.changes.model import Plan
    from gpuctl_host.changes.past import Run
    from gpuctl_host.host import Host

_RULES = ("/etc/udev/rules.d/", "/usr/lib/udev/rules.d/", "/lib/udev/rules.d/", "/run/udev/rules.d/")


def boot_id(host: Host) -> str | None:
    """Return the id of this boot."""
    return host.word("/proc/sys/kernel/random/boot_id")


def reload_udev(host: Host, work: Plan | Run) -> str | None:
    """Udev has read its rules again, if ``work`` has changed any; else return why not.

    A function that comes back on to the bus must meet the rules as they are now, not as udevd has them in memory.
    """
    if not any(change.kind == FILE and change.target.startswith(_RULES) for change in work.changes):
        return None
    try:
        udevadm.reload_rules(host)
    except ToolError as error:
        return error.brief
    return None
