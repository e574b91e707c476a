"""A changing run: batch after batch drained, changed, rebooted, checked, and given back; each host journalled.

Nothing here knows Ansible's command line (ansible/) or how instances move (a Drainer): only the order of things.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from gpuctl.fleet.ansible.answers import answer
from gpuctl.fleet.prepare_batches import batches, enough
from gpuctl.fleet.prepare_drain import Drains
from gpuctl.fleet.run_state import (
    CHECKED,
    DONE,
    FAILED,
    GOOD,
    PLANNED,
    REBOOT_NEEDED,
    SKIPPED,
    UNKNOWN,
    HostState,
    Wish,
    settled,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gpuctl.fleet.ansible.playbook import Ended, Event
    from gpuctl.fleet.prepare_drain import Drainer
    from gpuctl.fleet.run_state_journal import Journal

_AGAIN = "run this again"
# Batches, shares and reboots are this module's business, whatever the inventory says for plain ansible-playbook.
_OURS = {"gpuctl_serial": "100%", "gpuctl_max_fail": 100, "prepare_reboot": False}


class Player(Protocol):
    """What runs a playbook: ansible.playbook.Ansible, or a test's."""

    def play(
        self,
        name: str,
        heard: Callable[[Event], None],
        *,
        hosts: Iterable[str],
        variables: Mapping[str, Any],
        words: Sequence[str] = (),
    ) -> Ended:
        """Run gpuctl.host.NAME on the hosts; ``heard`` gets every event."""


@dataclass(slots=True)
class Told:
    """Progress: how many hosts are done of how many, and how long the rest will take at this pace.

    Attributes:
        show: gets {"text", "done", "total"}.
        total: hosts.
    """

    show: Callable[[dict[str, Any]], None]
    total: int
    _done: set[str] = field(default_factory=set)
    _began: float = field(default_factory=time.monotonic)

    def host(self, host: str, text: str) -> None:
        """One host is through with this phase."""
        self._done.add(host)
        left = (time.monotonic() - self._began) / len(self._done) * (self.total - len(self._done))
        self._say(f"{host} {text}" + (f", about {_duration(left)} left" if left >= 1 else ""))

    def phase(self, text: str) -> None:
        """Something begins that is about more than one host."""
        self._say(text)

    def _say(self, text: str) -> None:
        self.show({"text": text, "done": len(self._done), "total": self.total})


def plan(player: Player, wish: Wish, hosts: Sequence[str], told: Told) -> tuple[list[HostState], bool]:
    """Return what would be done on each host, in Ansible's check mode, and whether it was interrupted."""
    states: dict[str, HostState] = {}

    def heard(event: Event) -> None:
        state = answer(event, check_mode=True)
        if state is not None:
            states[state.host] = state
            told.host(state.host, state.state)

    ended = player.play(
        wish.verb, heard, hosts=hosts, variables={**wish.variables, **_OURS}, words=("--check", "--diff")
    )
    missing = UNKNOWN if ended.stopped else FAILED
    return [states.get(host) or _silent(host, missing, ended.said) for host in hosts], ended.stopped


@dataclass(slots=True)
class FleetRun:
    """One run, from its journal's first line to its last.

    Attributes:
        player: runs playbooks.
        journal: holds the wish, the hosts, and what they came to.
        told: progress.
        fingerprints: of the plans that were agreed to, by host; a host without one takes what its plan is now.
        drainer: None where nothing is drained.
        idle: hosts with nothing to do, by their plan: they are not drained.
        stopped: why no further batch was begun.
        interrupted: by the user.
    """

    player: Player
    journal: Journal
    told: Told
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    drainer: Drainer | None = None
    idle: frozenset[str] = frozenset()
    stopped: str = ""
    interrupted: bool = False

    def go(self, hosts: Sequence[str]) -> list[HostState]:
        """Every batch had its turn, or the run was stopped; return the state of all hosts of the journal.

        Args:
            hosts: those to do now, in order; others of the journal keep the state that they have.
        """
        wish, waiting = self.journal.wish, set(hosts)
        # Done by an earlier part of this run, which ended before it gave them back.
        self._give_back([host for host in self.journal.away if host not in waiting])
        waves = batches(hosts, wish.canary, wish.serial)
        self.stopped = self._enough(waiting) if waiting else ""
        if self.stopped:
            waves = []
        for number, wave in enumerate(waves, 1):
            if len(waves) > 1:
                canary = wish.canary and number == 1
                self.told.phase(f"batch {number} of {len(waves)}: {'the canary' if canary else f'{len(wave)} hosts'}")
            self._batch(wave)
            waiting.difference_update(wave)
            if self.interrupted:
                break
            alone = wave if number == 1 and wish.canary and waiting else ()
            self.stopped = self._enough(waiting, canary=alone) if waiting else ""
            if self.stopped:
                break
        why = self.stopped or "the run was interrupted before its turn"
        skipped = {host: HostState(host, SKIPPED, what=why, resolution="--resume goes on with it") for host in waiting}
        return [skipped.get(host) or self.journal.states[host] for host in self.journal.hosts]

    def _enough(self, waiting: set[str], *, canary: Sequence[str] = ()) -> str:
        turned = [state for host, state in self.journal.states.items() if host not in waiting]
        return enough(turned, len(self.journal.hosts), self.journal.wish.max_fail, canary=canary)

    @property
    def _drains(self) -> Drains:
        return Drains(self.drainer, self.journal, self._settle)

    def _batch(self, wave: Sequence[str]) -> None:
        self.journal.begun(wave)
        ready = self._drained(wave)
        if ready:
            self._change(ready)
        waiting = [host for host in ready if self.journal.states[host].state == REBOOT_NEEDED]
        if waiting and self.journal.wish.reboot and not self.interrupted:
            self._reboot(waiting)
        self._give_back(wave)

    def _give_back(self, hosts: Sequence[str]) -> None:
        """What was taken from the scheduler comes back if a check says that it is ready; a reboot has had its own."""
        journal = self.journal
        done = [host for host in hosts if host in journal.away and journal.states[host].state == DONE]
        unseen = [host for host in done if not (journal.states[host].check or {}).get("ready")]
        if unseen and self.drainer is not None and journal.wish.verb == "prepare" and not self.interrupted:
            self.told.phase(f"checking {', '.join(unseen)}")
            self._again("check", unseen, {"check_require_ready": True})
        self._drains.give_back(hosts, interrupted=self.interrupted)

    def _drained(self, wave: Sequence[str]) -> list[str]:
        """Return the hosts that may be changed now."""
        full = [host for host in wave if host not in self.idle]
        if self.drainer is None or not full:
            return list(wave)
        self.told.phase(f"draining {', '.join(full)}")
        troubles = self._drains.empty(full)
        for host, trouble in troubles.items():
            what = f"it could not be drained: {trouble.what}"
            self._settle(HostState(host, FAILED, what=what, resolution=trouble.resolution))
        self.interrupted = self.interrupted or self._drains.interrupted
        return [] if self.interrupted else [host for host in wave if host not in troubles]

    def _change(self, hosts: Sequence[str]) -> None:
        wish = self.journal.wish
        agreed = {host: self.fingerprints[host] for host in hosts if host in self.fingerprints}
        variables: dict[str, Any] = dict(wish.variables)
        if agreed:
            variables["gpuctl_agreed"] = agreed
            variables[f"{wish.verb}_fingerprint"] = "{{ gpuctl_agreed[inventory_hostname] | default('') }}"
        self._play(wish.verb, hosts, variables)

    def _reboot(self, hosts: Sequence[str]) -> None:
        wish = self.journal.wish
        self.told.phase(f"rebooting {', '.join(hosts)}")
        ready = wish.verb == "prepare"
        self._again("reboot", hosts, {"reboot_timeout": wish.reboot_timeout, "reboot_require_ready": ready})

    def _again(self, name: str, hosts: Sequence[str], variables: Mapping[str, Any]) -> None:
        """Run reboot or check on hosts that are changed already."""
        # Not under way twice: a host that is interrupted now is asked again by --resume, whatever state it is in.
        before = {host: self.journal.states[host] for host in hosts}
        self.journal.begun(hosts)
        vendors = self.journal.wish.variables.get("prepare_vendors")
        self._play(name, hosts, {**variables, **({f"{name}_vendors": vendors} if vendors else {})}, before)

    def _play(
        self,
        name: str,
        hosts: Sequence[str],
        variables: Mapping[str, Any],
        before: Mapping[str, HostState] | None = None,
    ) -> None:
        """Run one playbook and settle each host as it answers; ``before``: what was done to them already."""
        missing = set(hosts)

        def heard(event: Event) -> None:
            state = answer(event, check_mode=False)
            if state is None or state.host not in missing:
                return
            missing.discard(state.host)
            if before is not None:
                state = _after(before[state.host], state)
            self._settle(state)

        ended = self.player.play(name, heard, hosts=hosts, variables={**variables, **_OURS})
        self.interrupted = self.interrupted or ended.stopped
        for host in [] if ended.stopped else [host for host in hosts if host in missing]:
            self._settle(_silent(host, FAILED, ended.said))

    def _settle(self, state: HostState) -> None:
        self.journal.settle(state)
        self.told.host(state.host, state.state)


def left(journal: Journal) -> list[str]:
    """Return the hosts that a resumed run has to do."""
    states, wish = journal.states, journal.wish
    return [host for host in journal.hosts if host not in states or not settled(states[host], wish)]


def idle(states: Iterable[HostState]) -> frozenset[str]:
    """Return the hosts with nothing to do, by their plans."""
    return frozenset(
        state.host for state in states if state.state == PLANNED and not state.changes and not state.reboot
    )


def _after(before: HostState, state: HostState) -> HostState:
    """Put what the reboot came to together with what was done before it."""
    good = state.state in (CHECKED, *GOOD)
    return replace(
        before,
        state=DONE if good else state.state,
        what="" if good else state.what,
        resolution="" if good else state.resolution,
        findings=state.findings,
        check=state.check,
    )


def _silent(host: str, state: str, said: str) -> HostState:
    """A host of which Ansible said nothing: Ansible's own words are all there is."""
    what = "interrupted before it answered" if state == UNKNOWN else f"ansible said nothing of it: {said[-300:]}"
    return HostState(host, state, what=what, resolution=_AGAIN)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
