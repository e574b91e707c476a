"""Hosts emptied before they are changed, and given back after: which are away is on disk before they are taken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from gpuctl.fleet.run_state import DONE, FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpuctl.fleet.run_state import HostState
    from gpuctl.fleet.run_state_journal import Journal

_AWAY = "its compute service stays disabled"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a host could not be emptied or given back, and one thing to do."""

    what: str
    resolution: str


class Drainer(Protocol):
    """What empties a host of GPU instances, and gives it back: the moves of `gpuctl instance drain`.

    Attributes:
        interrupted: the user wants no more of it.
    """

    interrupted: bool

    def drain(self, hosts: Sequence[str], away: Callable[[str, str], None]) -> Mapping[str, Trouble]:
        """The hosts are disabled and empty; return, for each that is not, why.

        Args:
            hosts: names of the inventory.
            away: is told ``(host, drain's id)`` before a host that is in use is taken from the scheduler.
        """

    def enable(self, host: str, run: str) -> Trouble | None:
        """The scheduler may use the host again, which this drain took away; or return why it may not."""


@dataclass(frozen=True, slots=True)
class Drains:
    """The drains of one run.

    Attributes:
        drainer: None where nothing is drained.
        journal: knows which hosts are away.
        settle: notes what a host came to.
    """

    drainer: Drainer | None
    journal: Journal
    settle: Callable[[HostState], None]

    @property
    def interrupted(self) -> bool:
        """Whether the user ended a drain."""
        return self.drainer is not None and self.drainer.interrupted

    def empty(self, hosts: Sequence[str]) -> Mapping[str, Trouble]:
        """The hosts are empty; return, for each that is not, why."""
        return self.drainer.drain(hosts, self.journal.taken) if self.drainer is not None else {}

    def give_back(self, hosts: Sequence[str], *, interrupted: bool) -> None:
        """What was taken away and is ready may be used again; of the rest it is said that it stays disabled."""
        for host in hosts:
            state, run = self.journal.states[host], self.journal.away.get(host)
            if run is None or self.drainer is None:
                continue
            # What was restored has its cards with the host's own drivers: it is not ready for GPU instances.
            ready = state.state == DONE and self.journal.wish.verb == "prepare"
            if not ready or interrupted:
                self.settle(replace(state, what="; ".join(filter(None, (state.what.removesuffix(_AWAY), _AWAY)))))
                continue
            trouble = self.drainer.enable(host, run)
            if trouble is None:
                self.journal.given_back(host)
                if state.what:
                    self.settle(replace(state, what=""))
            else:
                what = f"it is done, but its compute service is not enabled again: {trouble.what}"
                self.settle(replace(state, state=FAILED, what=what, resolution=trouble.resolution))
