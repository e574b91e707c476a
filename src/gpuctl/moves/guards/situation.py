"""All that the guards and the choice of a way look at: one server, where it is to go, and what is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from gpuctl.moves.guards.releases import Span, span
from gpuctl.moves.model import Books, Server
from gpuctl.moves.move import Options

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Group:
    """One server group that the server is in.

    Attributes:
        policy: affinity, anti-affinity, soft-affinity or soft-anti-affinity.
        members: the other members and the hosts that they are on.
        limit: servers of the group that a host may have (max_server_per_host); 1 unless said otherwise.
    """

    id: str
    policy: str
    members: Mapping[str, str | None]
    limit: int = 1


@dataclass(frozen=True)
class Situation:
    """One server that is to move.

    Attributes:
        to: the host that was asked for; None: any.
        strategy: the way that was chosen; empty before that.
        groups: None where they could not be read.
        vnic_types: of its ports; None where Neutron could not be asked.
        busy: hosts that others of the same run go to -> how many cards these take there.
        keepers: ids of the failed migrations for whose sake, by the server's history, a card may be held; None: the
            history was not read.
    """

    server: Server
    books: Books
    options: Options
    to: str | None = None
    strategy: str = ""
    groups: tuple[Group, ...] | None = None
    vnic_types: tuple[str, ...] | None = None
    busy: Mapping[str, int] = field(default_factory=dict)
    keepers: frozenset[int] | None = None

    @cached_property
    def releases(self) -> Span:
        """The releases that the cloud may be of."""
        return span(self.books.newest)

    @property
    def source(self) -> str:
        """The host that it is on; empty where it is on none."""
        return self.server.host or ""
