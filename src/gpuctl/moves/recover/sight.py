"""What is seen of one server at one moment: the books narrowed to it, what was asked of it, and what became of that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gpuctl.moves.books.holdings import waits
from gpuctl.moves.model import AWAITS, BROKEN, Action, Books, Domain, HostView, Migration, Row, Server
from gpuctl.moves.move import Options
from gpuctl.moves.recover.era import Era, era_of
from gpuctl.moves.recover.owed import Owed

if TYPE_CHECKING:
    from collections.abc import Iterable

STARTS = ("start", "reboot")
FORCE_LOCKED = "force-locked"
"""The person wants it repaired although somebody locked it."""

_ASIDE = frozenset({"lock", "unlock", "createImage", "createBackup", "changePassword", "get_console_output"})
"""Actions that neither move a server nor change whether it runs."""

ROWS_CHECKED = "rows-checked"
"""The person looked at the server's rows in the database, and they were as the statement says that they must be."""


@dataclass(frozen=True)
class OwnMove:
    """What the journal says of a move that gpuctl itself began and did not end; ``asked`` is its last request."""

    strategy: str
    source: str | None
    dest: str | None
    asked: str


@dataclass(frozen=True)
class Sight:
    """One server.

    Attributes:
        id: its uuid; the server itself may be gone.
        books: the cloud's, with this server, its migrations, and the hosts that they name.
        actions: oldest first; those that failed have their events.
        now: Nova's clock, RFC 3339.
        own: our own move that the journal says is under way.
        owed: it was shelved as a repair, and is to be unshelved again.
        believed: what a person confirmed and no view shows.
        audit: seconds within which a nova-compute that is up has surely begun and ended an audit.
    """

    id: str
    books: Books
    actions: tuple[Action, ...] = ()
    now: str = ""
    own: OwnMove | None = None
    owed: Owed | None = None
    believed: frozenset[str] = frozenset()
    audit: float = Options().audit

    @cached_property
    def server(self) -> Server | None:
        """The server; None where it was deleted."""
        return self.books.servers.get(self.id)

    @property
    def status(self) -> str:
        """Its status; "" where it is gone."""
        return "" if self.server is None else self.server.status

    @property
    def home(self) -> str | None:
        """The host that Nova's books have it on."""
        return None if self.server is None else self.server.host

    @cached_property
    def migrations(self) -> tuple[Migration, ...]:
        """Its migration records, oldest first."""
        return self.books.migrations_of(self.id)

    @property
    def era(self) -> Era:
        """What a leaked card does here."""
        return era_of(self.books.newest)

    @cached_property
    def rows(self) -> tuple[Row, ...] | None:
        """Its rows in `pci_devices`; None where the database was not read."""
        return self.books.rows_of(self.id)

    @cached_property
    def domains(self) -> tuple[Domain, ...]:
        """Its domains on the hosts that were looked at."""
        return self.books.domains_of(self.id)

    def view(self, host: str | None) -> HostView | None:
        """Return what a host shows of its domains; None where it was not looked at or could not show them."""
        view = self.books.hosts.get(host or "")
        return view if view is not None and view.domains is not None else None

    def is_up(self, host: str | None) -> bool:
        """Say whether a host's nova-compute is known to run."""
        compute = self.books.computes.get(host or "")
        return compute is not None and compute.up and not compute.forced_down

    @cached_property
    def finished(self) -> tuple[Migration, ...]:
        """The cold migrations that wait for a confirm or a revert, oldest first."""
        return tuple(one for one in self.migrations if one.status == AWAITS and one.cold)

    @cached_property
    def broken(self) -> tuple[Migration, ...]:
        """The failed migrations that had a destination, oldest first."""
        return tuple(one for one in self.migrations if one.status == BROKEN and one.dest)

    @property
    def evacuation(self) -> Migration | None:
        """The newest evacuation whose old host has not cleaned up yet; None where there is none."""
        left = [one for one in self.migrations if waits(self.books, one)]
        return left[-1] if left else None

    @property
    def failed_action(self) -> Action | None:
        """The newest action that moves the server or its power, where it failed."""
        newest = next((one for one in reversed(self.actions) if one.action not in _ASIDE), None)
        return newest if newest is not None and newest.message == "Error" else None

    def says(self, action: Action | None) -> str:
        """Return what an action's failed events say, in one line."""
        events = [] if action is None else [one for one in action.events or () if one.result == "Error"]
        return "; ".join(f"{one.name}: {one.words}" for one in events) or "no event says why"


def moment(text: str | None) -> str:
    """Return a time of Nova's to the second, comparable with others: it writes them with and without a zone."""
    return (text or "")[:19]


def addresses(rows: Iterable[Row]) -> str:
    """Return rows as text: gpu-a 0000:84:00.0, ..."""
    return ", ".join(f"{one.host} {one.address}" for one in rows) or "none"
