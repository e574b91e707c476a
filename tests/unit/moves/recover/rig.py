"""What the tests of recover stand on: MovesSim, and around it the people and hosts that gpuctl talks to."""

from __future__ import annotations

from pathlib import Path

from gpuctl.cloud import connect
from gpuctl.moves.books import NovaDatabase
from gpuctl.moves.books.database import DatabaseView
from gpuctl.moves.model import Domain, Folder, HostView, Row
from gpuctl.moves.recover.diagnosis import diagnose
from gpuctl.moves.recover.perform import Performer
from gpuctl.moves.recover.reader import Reader
from gpuctl.moves.recover.run import Repair, Settings
from tests.sim.cloud import Client, MovesSim

HERE, THERE = "gpu-a", "gpu-b"


class Database:
    """Nova's database as it is when it is read."""

    def __init__(self, cloud: MovesSim, path: Path) -> None:
        self._cloud, self._path = cloud, path

    def read(self) -> DatabaseView:
        return NovaDatabase.of([self._cloud.dump(self._path)]).read()

    def rows_of(self, server: str) -> tuple[Row, ...]:
        return NovaDatabase.of([self._cloud.dump(self._path)]).rows_of(server)


class Hosts:
    """The hosts' own view; leftovers are put away as the host's half does, by its rules for the proof."""

    def __init__(self, cloud: MovesSim) -> None:
        self._cloud = cloud
        self.asked: list[tuple[str, dict]] = []
        self.shared: bool | None = False

    def look(self, host: str) -> HostView:
        one = self._cloud.hosts[host]
        with self._cloud.lock:
            domains = tuple(
                Domain(host, each.uuid, each.name, "running" if each.running else "shut off", each.hostdevs)
                for each in one.domains.values()
            )
            domains += tuple(
                Domain(host, "00000000-0000-4000-8000-000000000bad", name, "running", (address,))
                for address, name in one.held.items()
            )
            folders = tuple(
                Folder(host, name, name.removesuffix("_resize"), "resize" if name.endswith("_resize") else "instance")
                for name in sorted(one.folders)
            )
        return HostView(host, domains, folders, self.shared)

    def leftovers(self, host: str, request: dict) -> dict:
        self.asked.append((host, dict(request)))
        one, found = self._cloud.hosts[host], []
        for server in request["uuids"]:
            proof = request["proof"][server]
            bad = proof["open_migrations"] or proof["status"] not in {
                "ACTIVE",
                "SHUTOFF",
                "DELETED",
                "SHELVED_OFFLOADED",
            }
            bad = bad or proof["server_host"] == host
            reasons = [{"rule": "proof", "text": "not proven"}] if bad else []
            domain = one.domains.get(server)
            if domain is not None:
                off = [] if not domain.running else [{"rule": "runs-here", "text": "it runs"}]
                found.append({"uuid": server, "kind": "domain", "name": server, "reasons": reasons + off})
            if f"{server}_resize" in one.folders:
                found.append({"uuid": server, "kind": "resize", "name": f"{server}_resize", "reasons": reasons})
        found = [{**item, "may_go": not item["reasons"]} for item in found]
        if request["phase"] == "plan":
            return {"leftovers": found, "quarantine": [], "fingerprint": "as-seen"}
        assert request["fingerprint"] == "as-seen"
        going = [item for item in found if item["may_go"]]
        for item in going:
            if item["kind"] == "domain":
                del one.domains[item["uuid"]]
            else:
                one.folders.discard(item["name"])
        return {
            "results": [{**item, "state": "quarantined", "detail": ""} for item in going],
            "kept": [],
            "quarantine": [],
        }


class Operator:
    """Agrees to everything, and runs every statement as it is printed, its guard first."""

    def __init__(self, rig: Rig, *, obeys: bool = True, agrees: bool = True, audits: bool = True) -> None:
        self._rig, self._obeys, self._agrees, self.audits = rig, obeys, agrees, audits
        self.ran_sql: list[str] = []
        self.agreed: list[str] = []

    def agrees(self, step) -> bool:
        if self._agrees:
            self.agreed.append(step.id)
        return self._agrees

    def ran(self, step, statement, *, watched: bool) -> bool | None:
        if not self._obeys:
            return None
        if statement.sql:
            self.ran_sql.append(statement.sql)
            assert self._rig.cloud.execute(statement.sql) == 1
            assert self._rig.cloud.execute(statement.sql) == 0, "a statement that was run once does nothing any more"
        if self.audits:
            self._rig.cloud.audit()
        return True


class Rig:
    """A cloud with gpu-a, gpu-b and gpu-c, a server with a card on gpu-a, and a way to provoke and to recover."""

    def __init__(self, tmp_path: Path, *, database: bool = True, hosts: bool = True, running: bool = True, **settings):
        self.cloud = MovesSim(**{"release": 34, "tracking": True, "double": 0.0, **settings}).__enter__()
        for name in (HERE, THERE, "gpu-c"):
            self.cloud.add_host(name)
        self.server = self.cloud.boot("guest", HERE, "gtx1080:1", running=running).id
        newest = min(self.cloud.newest, "2.96", key=lambda text: int(text.partition(".")[2]))
        self.client = Client(self.cloud.url, newest)
        self.hosts = Hosts(self.cloud) if hosts else None
        self.database = Database(self.cloud, tmp_path / "nova.sqlite") if database else None
        self.operator = Operator(self)
        self.waited: list[float] = []
        self.resume = None

    def close(self) -> None:
        self.cloud.__exit__(None, None, None)

    # ------------------------------------------------------------ what others did

    def act(self, name: str, said=None, server: str = "") -> None:
        """An action, and everything that comes of it."""
        self.client.act(server or self.server, name, said)
        self.cloud.settle()

    def migrate(self, to: str = THERE) -> None:
        self.act("migrate", {"host": to})

    def happened(self) -> dict[str, list]:
        """What was done to servers that must never be done to them, so far."""
        said = self.cloud.happened
        return {
            "confirmed unproven": list(said.confirmed_unproven),
            "moves at once": list(said.overlaps),
            "running guests destroyed": list(said.destroyed),
        }

    # ------------------------------------------------------------ gpuctl

    def reader(self) -> Reader:
        return Reader(connect("sim"), self.hosts, self.database)

    def sight(self, **more):
        return self.reader().read(self.server, **more)

    def cases(self) -> list[str]:
        return [one.id for one in diagnose(self.sight())]

    def repair(self, **settings):
        """Recover the server; the time that it waits passes quickly, and with it the cloud's."""
        return self.repairer(**settings).run(self.server)

    def repairer(self, **settings) -> Repair:
        """What repairs."""

        def pause(seconds: float) -> None:
            before = passed()
            self.waited.append(seconds)
            self.cloud.settle()
            self.cloud.clock.advance(20 * seconds)
            if passed() // 60 > before // 60 and self.operator.audits:
                self.cloud.audit()
            assert len(self.waited) < 500

        def passed() -> float:
            return 20 * sum(self.waited)

        reader = self.reader()
        performer = Performer(reader, pause, clock=passed)
        return Repair(reader, performer, self.operator, Settings(**settings), resume=self.resume)
