"""The cloud of a drain's tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gpuctl.cloud import Cloud, connect
from gpuctl.moves.drain.prepare import Job, prepare
from gpuctl.moves.drain.result import DrainResult
from gpuctl.moves.drain.run import run
from gpuctl.moves.drain.settings import Settings
from gpuctl.moves.move import Options
from tests.sim.cloud import MovesSim
from tests.unit.moves.engine.kit import OPTIONS, QUICK


@dataclass
class Rig:
    sim: MovesSim
    cloud: Cloud
    told: list[Any] = field(default_factory=list)  # (Progress, Tally)

    def hosts(self, count: int, cards: int = 8, kind: str = "h100") -> None:
        """gpu-0, gpu-1, ...: the first is the one that is drained."""
        for number in range(count):
            self.sim.add_host(f"gpu-{number}", [kind] * cards)

    def servers(self, count: int, host: str = "gpu-0", alias: str = "h100:1", **more: Any) -> list[str]:
        return [self.sim.boot(f"{host}-vm-{number}", host, alias, **more).id for number in range(count)]

    def prepare(self, host: str = "gpu-0", *, options: Options = OPTIONS, hosts: Any = None, **settings: Any) -> Job:
        return prepare(self.cloud, host, Settings(options=options, **settings), hosts=hosts)

    def drain(self, host: str = "gpu-0", *, brakes: Any = None, heard: Any = None, **settings: Any) -> DrainResult:
        def told(progress: Any, tally: Any) -> None:
            self.told.append((progress, tally))
            if heard is not None:
                heard(progress, tally)

        return run(self.prepare(host, **settings), told=told, brakes=brakes, pace=QUICK)

    def states(self, result: DrainResult) -> dict[str, int]:
        found: dict[str, int] = {}
        for one in result.results:
            found[one.state] = found.get(one.state, 0) + 1
        return found

    def on(self, host: str) -> set[str]:
        return {one.name for one in self.sim.servers.values() if one.host == host and not one.deleted}

    def under_way(self) -> int:
        """The most moves at a time that were told of."""
        return max(tally.running for _, tally in self.told)


def named(sim: MovesSim, tmp_path: Any, monkeypatch: Any) -> None:
    """The environment names this cloud, and no other."""
    for name in ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_TOKEN", "OS_REGION_NAME", "GPUCTL_NOVA_DB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(sim.clouds_yaml(tmp_path)))
    monkeypatch.setenv("OS_CLOUD", "sim")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def made(tmp_path: Any, monkeypatch: Any, **settings: Any) -> Rig:
    sim = MovesSim(**settings).__enter__()
    monkeypatch.setattr("gpuctl.cloud.pause", lambda seconds: None)
    named(sim, tmp_path, monkeypatch)
    return Rig(sim, connect("sim"))
