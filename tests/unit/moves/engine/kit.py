"""A simulated cloud, and `instance migrate` on it without its command line."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from gpuctl.cloud import Cloud, connect
from gpuctl.moves.books import NovaDatabase
from gpuctl.moves.engine import Pace
from gpuctl.moves.migrate import prepare, run
from gpuctl.moves.model import Domain, Folder, HostView
from gpuctl.moves.move import DEADLINES, Options
from gpuctl.moves.result import Result
from tests.sim.cloud import MovesSim

QUICK = Pace(shortest=0.005, longest=0.02, look=0.01, quiet=2.0)
OPTIONS = Options(settle=0.15, audit_interval=0.05, deadlines=dict.fromkeys(DEADLINES, 20.0))


class SimLook:
    """The simulator's hosts as the host's half would show them."""

    def __init__(self, sim: MovesSim) -> None:
        self.sim = sim

    def look(self, host: str) -> HostView:
        with self.sim.lock:
            self.sim.catch_up()
            there = self.sim.hosts[host]
            state = {True: "running", False: "shut off"}
            domains = tuple(
                Domain(host, one.uuid, one.name, state[one.running], one.hostdevs) for one in there.domains.values()
            )
            folders = tuple(
                Folder(host, one, one.removesuffix("_resize"), "resize" if one.endswith("_resize") else "instance")
                for one in sorted(there.folders)
            )
            cards = {one.address: f"{one.kind.vendor_id}:{one.kind.product_id}" for one in there.cards}
            return HostView(host, domains, folders, False, tuple(cards), cards)


@dataclass
class Rig:
    sim: MovesSim
    cloud: Cloud
    folder: Any
    told: list[tuple[str, str]] = field(default_factory=list)

    def database(self) -> NovaDatabase:
        """What --nova-db would show; dumped anew for each reading."""
        rig = self

        class Fresh(NovaDatabase):
            def read(self) -> Any:
                return NovaDatabase.of([rig.sim.dump(rig.folder / "nova.sqlite")]).read()

            def rows_of(self, server: str) -> Any:
                return NovaDatabase.of([rig.sim.dump(rig.folder / "nova.sqlite")]).rows_of(server)

        return Fresh(("sqlite:////fresh",))

    def migrate(
        self, *names: str, to: str | None = None, look: bool = False, db: bool = False, parallel: int = 1, **more: Any
    ) -> list[Result]:
        hosts = SimLook(self.sim) if look else None
        database = self.database() if db else None
        options = replace(OPTIONS, **more)
        job = prepare(self.cloud, names, to=to, options=options, hosts=hosts, database=database)
        if job.refused:
            return job.results()
        return run(job, parallel=parallel, told=lambda one: self.told.append((one.step, one.detail)), pace=QUICK)

    def one(self, name: str, **more: Any) -> Result:
        (result,) = self.migrate(name, **more)
        return result


def made(sim: MovesSim, folder: Any, monkeypatch: Any) -> Rig:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(sim.clouds_yaml(folder)))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.setattr("gpuctl.cloud.pause", lambda seconds: None)
    return Rig(sim, connect("sim"), folder)


def ids(result: Result, status: str) -> set[str]:
    return {one.id for one in result.findings if one.status == status}


def clean(rig: Rig) -> None:
    """All views agree, nothing was confirmed unproven, and no server was moved twice at once."""
    assert rig.sim.broken() == []
    assert rig.sim.happened.confirmed_unproven == []
    assert rig.sim.happened.overlaps == []
