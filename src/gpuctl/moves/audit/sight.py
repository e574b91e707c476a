"""What the checks look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.moves.model import moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from gpuctl.moves.model import Books, Server

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Sight:
    """The books, when they were read, and which part of them is meant.

    Attributes:
        now: Nova's clock, as far as this machine's is right.
        only: compute hosts; empty for all.
        aliases: the names in `[pci] alias`; None where no nova.conf was given.
    """

    books: Books
    now: datetime
    only: frozenset[str] = frozenset()
    aliases: frozenset[str] | None = None

    def servers(self) -> Iterator[Server]:
        """Yield the servers that are meant: those on the hosts, or with a migration from or to one."""
        for one in self.books.servers.values():
            hosts = {one.host, *(host for of in self.books.migrations_of(one.id) for host in (of.source, of.dest))}
            if not self.only or hosts & self.only:
                yield one

    def means(self, host: str | None) -> bool:
        """Say whether a host is meant."""
        return not self.only or host in self.only

    def seconds_since(self, said: str) -> float:
        """Return how long ago Nova's time was; 0 where it is none, so that nothing is called old that may be new."""
        when = moment(said)
        return (self.now - when).total_seconds() if when else 0.0


def long(seconds: float) -> str:
    """Return a duration in words: 3 h, 2 d."""
    for unit, size in (("d", DAY), ("h", HOUR), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
