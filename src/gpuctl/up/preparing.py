"""Phase prepare: `gpuctl fleet prepare` of those hosts that are not ready, and their reboot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuctl.fleet.prepare import FleetRun, Told, plan
from gpuctl.fleet.run_state import DONE, PLANNED, REBOOT_NEEDED, REFUSED, UNREACHABLE, HostState, Wish
from gpuctl.fleet.run_state_journal import Journal
from gpuctl.up.phase import PREPARE, LeftOut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuctl.moves.nova_api import NovaApi
    from gpuctl.up.wish import Means, UpWish

_CODES = {REFUSED: 3, UNREACHABLE: 6, REBOOT_NEEDED: 4}


@dataclass(frozen=True, slots=True)
class Planned:
    """What prepare would do: each host's plan, and those that are not to be touched."""

    wish: Wish
    states: tuple[HostState, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that are to be changed or rebooted."""
        return tuple(state.host for state in self.states if state.state == PLANNED)


@dataclass(slots=True)
class Prepared:
    """What prepare came to.

    Attributes:
        runs: ids for `gpuctl fleet prepare --resume` and `gpuctl fleet history`.
        states: the last state of each host.
        changes: what was changed, by host, for the audit trail.
        stopped: why no further batch was begun.
    """

    runs: list[str] = field(default_factory=list)
    states: dict[str, HostState] = field(default_factory=dict)
    changes: dict[str, list[str]] = field(default_factory=dict)
    stopped: str = ""

    def in_state(self, state: str) -> list[str]:
        """Return the hosts in this state."""
        return [host for host, one in self.states.items() if one.state == state]

    def summary(self) -> str:
        """Return how many hosts were changed, and where that is written down, in one line."""
        changed, runs = len(self.changes), ", ".join(self.runs)
        if not self.states:
            return f"how far it came on each host: gpuctl fleet history --run {runs}"
        return f"{changed} hosts changed, {len(self.states) - changed} not (gpuctl fleet history: {runs})"

    def left_out(self) -> list[LeftOut]:
        """Return the hosts that did not make it; one that waits for a reboot is not among them."""
        return [_problem(state) for state in self.states.values() if state.state not in (DONE, REBOOT_NEEDED)]


def fleet_wish(wish: UpWish, *, reboot: bool) -> Wish:
    """Return the wish of the fleet's run."""
    return Wish(
        "prepare",
        wish.inventory,
        wish.limit,
        1,
        wish.serial,
        wish.max_fail,
        {"prepare_vendors": list(wish.vendors)} if wish.vendors else {},
        reboot=reboot,
        reboot_timeout=wish.reboot_timeout,
    )


def plan_hosts(wish: UpWish, means: Means, hosts: Sequence[str], occupied: Mapping[str, int]) -> Planned:
    """Return what is to be done on these hosts; nothing is touched.

    Args:
        wish: the chain's.
        means: the rooms' doors.
        hosts: that are not ready.
        occupied: hosts that Nova has servers on, and how many: they are not bare, and left alone.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    fleet = fleet_wish(wish, reboot=wish.reboot)
    left = [
        LeftOut(
            host,
            PREPARE,
            f"Nova has {count} servers on it, and a reboot would end them: left alone",
            f"gpuctl fleet prepare --drain --reboot --limit {host}",
            3,
        )
        for host, count in occupied.items()
        if count
    ]
    free = [host for host in hosts if not occupied.get(host)]
    if not free:
        return Planned(fleet, (), tuple(left))
    states, interrupted = plan(means.player, fleet, free, Told(means.show, len(free)))
    if interrupted:
        raise KeyboardInterrupt
    left += [_problem(state) for state in states if state.state != PLANNED]
    return Planned(fleet, tuple(states), tuple(left))


def servers_on(nova: NovaApi, hosts: Mapping[str, str]) -> dict[str, int]:
    """Return how many servers Nova has on each host; ``hosts``: name in the inventory -> Nova's."""
    return {host: len(nova.servers(host=name)) for host, name in hosts.items()}


def prepare_hosts(wish: UpWish, means: Means, planned: Planned, done: Prepared) -> None:
    """The hosts are prepared, and rebooted where that was allowed; ``done`` says so, also if it is interrupted.

    Raises:
        KeyboardInterrupt: it was interrupted; the journal says how far it came.
    """
    prints = {state.host: state.fingerprint for state in planned.states if state.fingerprint}
    _run(done, means, planned.wish, planned.hosts, prints)
    waiting = done.in_state(REBOOT_NEEDED)
    if waiting and not wish.reboot and not done.stopped and means.may_reboot(waiting):
        _run(done, means, fleet_wish(wish, reboot=True), waiting, {})


def _run(done: Prepared, means: Means, wish: Wish, hosts: Sequence[str], fingerprints: Mapping[str, str]) -> None:
    """One fleet run; what an earlier one of this phase changed stays noted."""
    with Journal.new(wish, hosts) as journal:
        done.runs.append(journal.run)
        run = FleetRun(means.player, journal, Told(means.show, len(hosts)), fingerprints=fingerprints)
        states = run.go(hosts)
    for state in states:
        done.states[state.host] = state
        lines = [f"{one['kind']} {one['target']}" for one in state.changes if one.get("state") == "done"]
        if lines:
            done.changes.setdefault(state.host, []).extend(lines)
    done.stopped = run.stopped
    if run.interrupted:
        raise KeyboardInterrupt


def _problem(state: HostState) -> LeftOut:
    return LeftOut(state.host, PREPARE, f"{state.state}: {state.what}", state.resolution, _CODES.get(state.state, 1))
