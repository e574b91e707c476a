"""Kernels that are known to break passthrough: a small table, each row with its source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.checks.answer import HOST, Answer, Check, passed, skipped, warned
from gpuctl_host.checks.view import is_vfio
from gpuctl_host.data import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View


@frozen
class Bad:
    """Releases from ``first`` to ``last``, both among the bad ones."""

    first: tuple[int, ...]
    last: tuple[int, ...]
    vendors: tuple[str, ...]
    what: str
    source: str


TABLE = (
    Bad(
        (6, 13),
        (6, 13, 999),
        ("10de",),
        "after a guest's stop the audio function is lost and the reset fails; pcie_port_pm=off is no remedy",
        "kernel bug 219765, linux-pci 20250211184754.GA51286@bhelgaas",
    ),
    Bad((6, 14, 2), (6, 14, 2), ("1002",), "AMD cards fail to reset", "zen-kernel#380"),
    Bad((6, 12, 23), (6, 12, 23), ("1002",), "AMD cards fail to reset", "zen-kernel#380"),
)


def version(release: str | None) -> tuple[int, ...]:
    """Return the numbers a release begins with: "6.13.4-arch1" is (6, 13, 4); nothing if it has none."""
    found = re.match(r"\d+(?:\.\d+)*", release or "")
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def kernel_known_bad(view: View) -> Iterator[Answer]:
    """The running kernel is not known to break passthrough."""
    release = view.facts.kernel.release
    now = version(release)
    if not now:
        yield skipped(HOST, "the kernel's release could not be read", "/proc/sys/kernel/osrelease is not there")
        return
    vendors = {gpu.pci.vendor_id for gpu in view.facts.gpus if is_vfio(gpu.pci.driver)}
    hits = [row for row in TABLE if row.first <= now <= row.last and vendors & set(row.vendors)]
    for row in hits:
        fix = "boot another installed kernel, or go to the next stable series"
        yield warned(
            HOST,
            f"Linux {release} is known to break passthrough: {row.what}",
            f"/proc/sys/kernel/osrelease: {release}; {row.source}",
            fix,
        )
    if not hits:
        yield passed(
            HOST,
            f"nothing is known against Linux {release}",
            f"/proc/sys/kernel/osrelease: {release}; {len(TABLE)} entries compared",
        )


CHECKS = (
    Check(
        "kernel-known-bad",
        kernel_known_bad,
        "Is the kernel known to break passthrough?",
        "Warns when the release is in a small table, and a card that it concerns is on vfio-pci.",
        "/proc/sys/kernel/osrelease, by its leading numbers. Distributions backport corrections: the table cannot "
        "know.",
        "Some regressions look like broken hardware, and cost days.",
        "Boot another kernel. Workarounds that were found not to help are not repeated here.",
        ("kernel bug 219765", "zen-kernel#380"),
    ),
)
