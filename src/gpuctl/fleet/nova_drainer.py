"""Hosts of the inventory emptied by the moves of `gpuctl instance drain`, and given back once they are ready."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gpuctl.errors import OperatorError
from gpuctl.fleet.prepare_drain import Trouble
from gpuctl.moves.drain.brakes import Brakes
from gpuctl.moves.drain.prepare import Job, prepare
from gpuctl.moves.drain.run import run
from gpuctl.moves.drain.service import enable_again, enable_command, find
from gpuctl.moves.drain.settings import Settings
from gpuctl.moves.nova_api import NovaApi
from gpuctl.moves.result import DONE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from gpuctl.cloud import Cloud
    from gpuctl.moves.drain.result import DrainResult
    from gpuctl.moves.engine import Pace

VARIABLE = "gpuctl_nova_host"
_UP = 300.0  # seconds for nova-compute to report after a reboot; it does so once in ten
_LOOK = 5.0  # seconds between two looks
_SOME = 20  # names in a message


class NoNovaHost(OperatorError):
    """A host of the inventory is no compute host of the cloud, or two are the same one."""

    exit_code = 2


def nova_names(said: Mapping[str, str], known: Collection[str]) -> dict[str, str]:
    """Return the name that Nova has for each host: what its variable says, else its own name, else its short name.

    Args:
        said: name in the inventory -> its gpuctl_nova_host, or empty.
        known: Nova's compute hosts.

    Raises:
        NoNovaHost: some are not in Nova, or two hosts would be the same one; nothing was touched.
    """
    found: dict[str, str] = {}
    for host, variable in said.items():
        names = (variable,) if variable else (host, host.partition(".")[0])
        if name := next((name for name in names if name in known), ""):
            found[host] = name
    missing = [f"{host} ({VARIABLE}: {said[host]})" if said[host] else host for host in said if host not in found]
    if missing:
        raise NoNovaHost(
            f"Nova has no compute host for {_some(missing)}",
            details=f"Nova's hosts: {_some(sorted(known)) or 'none'}",
            resolution=f"set the variable {VARIABLE} for them in the inventory, or leave them out with --limit",
        )
    twice = [name for name, count in Counter(found.values()).items() if count > 1]
    if twice:
        both = [host for host, name in found.items() if name == twice[0]]
        raise NoNovaHost(
            f"{_some(both)} are all {twice[0]} to Nova",
            resolution=f"set the variable {VARIABLE} for each of them in the inventory",
        )
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SOME]) + (f" and {len(names) - _SOME} more" if len(names) > _SOME else "")


class _Brakes(Brakes):
    """Ctrl-C, and whatever else ends the fleet's run (SIGTERM)."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        super().__init__()
        self._stop = stop

    @property
    def slow(self) -> bool:
        """Whether nothing more is to be started."""
        return super().slow or self._stop()


@dataclass
class NovaDrainer:
    """A Drainer: one host after the other, several moves of it at a time.

    Attributes:
        cloud: as an administrator.
        names: name in the inventory -> Nova's, of every host of the run.
        reboot: hosts will be rebooted: what a drain leaves on them would end.
        told: what goes on, for a person.
        stop: whether the run was interrupted.
        settings: of each drain.
        patience: seconds for nova-compute to be up before its host is given back.
    """

    cloud: Cloud
    names: Mapping[str, str]
    reboot: bool
    told: Callable[[str], None]
    stop: Callable[[], bool] = lambda: False
    settings: Settings = field(default_factory=Settings)
    patience: float = _UP
    pace: Pace | None = None
    interrupted: bool = False
    _back: set[str] = field(default_factory=set)

    def drain(self, hosts: Sequence[str], away: Callable[[str, str], None]) -> Mapping[str, Trouble]:
        """The hosts are disabled and empty; return, for each that is not, why."""
        wave = {self.names[host] for host in hosts}
        found: dict[str, Trouble] = {}
        for host in hosts:
            if self.interrupted or self.stop():
                self.interrupted = True
                break
            try:
                trouble = self._drain(host, wave, away)
            except OperatorError as error:
                trouble = _trouble(error, f"gpuctl instance drain {self.names[host]} --dry-run")
            if trouble is not None:
                found[host] = trouble
        return found

    def _drain(self, host: str, wave: Collection[str], away: Callable[[str, str], None]) -> Trouble | None:
        nova = self.names[host]
        job = self._planned(nova, wave)
        if self.reboot and job.plan.staying:
            return Trouble(
                f"a reboot would end {_count(len(job.plan.staying))} without GPUs on it: {_some(job.plan.staying)}",
                f"move them first: openstack server migrate --live-migration SERVER; nothing of {nova} was touched",
            )
        if job.refused:
            stuck = [one.planned.result() for one in job.plan.refused]
            what = f"{_count(len(stuck))} cannot be moved: {stuck[0].name}: {stuck[0].detail}"
            return Trouble(what, stuck[0].resolution or f"gpuctl instance drain {nova} --dry-run")
        if job.compute.enabled:
            away(host, job.run)
        brakes = _Brakes(self.stop)
        result = run(
            job,
            told=lambda _, tally: self.told(f"draining {host}: {tally.done} of {tally.total} servers moved"),
            brakes=brakes,
            pace=self.pace,
        )
        self.interrupted = result.interrupted or brakes.slow
        return None if result.exit_code == 0 else _not_empty(nova, result)

    def _planned(self, nova: str, wave: Collection[str]) -> Job:
        """Return the plan: rather to hosts that are through already, or not of this run, so that nobody moves twice."""
        later = frozenset(self.names.values()) - self._back - {nova}
        now = frozenset(wave) - {nova}
        job = prepare(self.cloud, nova, replace(self.settings, avoid=self.settings.avoid | later))
        if job.refused and later != now:
            job = prepare(self.cloud, nova, replace(self.settings, avoid=self.settings.avoid | now))
        return job

    def enable(self, host: str, run: str) -> Trouble | None:
        """The scheduler may use the host again, which this drain took away; or return why it may not."""
        nova = self.names[host]
        try:
            if not self._up(nova):
                if self.stop():
                    return Trouble(f"interrupted while nova-compute on {nova} was waited for", enable_command(nova))
                return Trouble(
                    f"nova-compute on {nova} is down",
                    f"see its log (journalctl -u nova-compute), start it; then {enable_command(nova)}",
                )
            enable_again(self.cloud, nova, run)
        except OperatorError as error:
            return _trouble(error, enable_command(nova))
        self._back.add(nova)
        return None

    def _up(self, nova: str) -> bool:
        """Say whether nova-compute reports; where it does not yet, it is waited for."""
        api, end = NovaApi.of(self.cloud.service("compute")), time.monotonic() + self.patience
        while not (compute := find(api, nova)).up and not compute.forced_down:
            if time.monotonic() >= end or self.stop():
                return False
            self.told(f"waiting for nova-compute on {nova}")
            time.sleep(min(_LOOK, self.patience))
        return True  # one that was forced down is enable_again's to judge


def _not_empty(nova: str, result: DrainResult) -> Trouble:
    bad = [one for one in result.results if one.state != DONE]
    if bad:
        what = f"{len(bad)} of {_count(len(result.results))} did not leave: {bad[0].name}: {bad[0].detail}"
        return Trouble(what, bad[0].resolution or f"gpuctl instance drain {nova} goes on with it")
    left = "what is on it could not be read back" if result.left is None else f"still on it: {_some(result.left)}"
    return Trouble(left, f"gpuctl instance list --host {nova}")


def _trouble(error: OperatorError, resolution: str) -> Trouble:
    return Trouble(
        ": ".join(filter(None, (error.brief, error.details.replace("\n", "; ")))), error.resolution or resolution
    )


def _count(number: int) -> str:
    return f"{number} server" + ("" if number == 1 else "s")
