"""grubby: the RHEL family's way to every boot entry, and to what later kernels inherit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.tools import QUICK, ran

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuctl_host.host import Host


def argv(add: Iterable[str] = (), remove: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the command that changes the arguments of all kernels, those to come included."""
    words = ["grubby", "--update-kernel=ALL"]
    if remove := list(remove):
        words.append("--remove-args=" + " ".join(remove))
    if add := list(add):
        words.append("--args=" + " ".join(add))
    return tuple(words)


def info(host: Host) -> tuple[dict[str, str], ...]:
    """Return what `grubby --info=ALL` says, one dict an entry.

    Raises:
        ToolError: grubby failed.
    """
    answer = ran(
        host,
        ("grubby", "--info=ALL"),
        timeout=QUICK,
        what="reading the boot entries",
        resolution="run `grubby --info=ALL`",
    )
    entries: list[dict[str, str]] = []
    for line in answer.stdout.splitlines():
        key, equals, value = line.partition("=")
        if not equals:
            continue
        if key == "index":
            entries.append({})
        if entries:
            entries[-1][key] = value.strip('"')
    return tuple(entries)
