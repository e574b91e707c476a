"""BootRead: a Boot with what the back-ends found out about this host's tools, so that planning stays pure."""

from __future__ import annotations

from gpuctl_host.data import frozen
from gpuctl_host.facts.model import Boot


@frozen
class BootRead(Boot):
    """What read_boot returns. Each back-end's file names the traits that it sets and reads."""

    traits: tuple[tuple[str, str], ...] = ()


def trait(boot: Boot, name: str, default: str = "") -> str:
    """Return a trait's value, or ``default``; a plain Boot (of a test, of a case file) has none."""
    return dict(boot.traits).get(name, default) if isinstance(boot, BootRead) else default


def listed(boot: Boot, name: str) -> tuple[str, ...]:
    """Return a trait that is a list, one item a line."""
    return tuple(trait(boot, name).splitlines())
