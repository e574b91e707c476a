"""Several hosts emptied one after the other, and given back: what `fleet prepare --drain` asks for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gpuctl.errors import OperatorError
from gpuctl.moves.drain.run import Told, drain_host
from gpuctl.moves.drain.service import enable_again, find, run_of
from gpuctl.moves.drain.settings import Settings
from gpuctl.moves.nova_api import NovaApi

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuctl.cloud import Cloud
    from gpuctl.moves.books import HostLook, NovaDatabase
    from gpuctl.moves.drain.result import DrainResult


@dataclass
class Wave:
    """Drains hosts (gpuctl.fleet.prepare.Drainer), under a consent that was given for all of them.

    Attributes:
        cloud: as an administrator.
        settings: of each drain.
        runs: host -> the run that emptied it.
    """

    cloud: Cloud
    settings: Settings = field(default_factory=Settings)
    told: Told = lambda *_: None
    hosts: HostLook | None = None
    database: NovaDatabase | None = None
    runs: dict[str, str] = field(default_factory=dict)

    def drain(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """The hosts are disabled and empty; return, for each that is not, why. None of them takes another's servers."""
        problems = {}
        settings = replace(self.settings, avoid=self.settings.avoid | {*hosts})
        for host in hosts:
            try:
                result = drain_host(self.cloud, host, settings, self.told, hosts=self.hosts, database=self.database)
            except OperatorError as error:
                problems[host] = f"{error.brief}{': ' if error.details else ''}{error.details}"
                continue
            self.runs[host] = result.run
            if result.exit_code:
                problems[host] = _why(result)
            if result.interrupted:
                problems |= {rest: "the run was interrupted" for rest in hosts if rest not in self.runs}
                break
        return problems

    def enable(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """The scheduler may use the hosts again; return, for each that it may not, why."""
        problems = {}
        for host in hosts:
            try:
                enable_again(self.cloud, host, self.runs.get(host) or self._run(host))
            except OperatorError as error:
                problems[host] = f"{error.brief}{': ' if error.details else ''}{error.details}"
        return problems

    def _run(self, host: str) -> str:
        """Return the run that a host was emptied by, where this process did not do it."""
        return run_of(find(NovaApi.of(self.cloud.service("compute")), host)) or ""


def _why(result: DrainResult) -> str:
    """Return in one line why a host is not empty."""
    bad = [f"{one.name}: {one.detail}" for one in result.results if one.state != "done"]
    left = f"still there: {', '.join(result.left)}" if result.left else ""
    return "; ".join([*bad[:5], *([left] if left else [])]) or "whether it is empty could not be read back"
