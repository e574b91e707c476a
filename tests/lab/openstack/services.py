"""The lab's services: what each is started with, and how it shows that it works."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import broker, config, database, ini
from .install import Install
from .layout import Layout, Ports
from .process import Command
from .topology import Topology

INSIDE = Path(__file__).parent / "inside"


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `write` lays its configuration down; `ready` is true once it answers."""

    name: str
    command: Command
    write: Callable[[], None]
    ready: Callable[[], bool]
    #: 0: data base and broker, 1: what needs them
    stage: int = 1
    #: called now and then as long as it is not ready
    nudge: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a lab of this topology consists of."""

    install: Install
    layout: Layout
    ports: Ports
    topology: Topology

    def services(self) -> list[Service]:
        """All services, in the order in which they are started."""
        nova = [self._nova(f"nova-{kind}") for kind in ("conductor", "scheduler")]
        computes = [self._compute(host.name) for host in self.topology.hosts]
        return [*self._ground(), *self._apis(), *nova, *computes]

    def _ground(self) -> list[Service]:
        rabbit = self.layout.state / "rabbit"
        return [
            Service(
                "mariadb",
                database.command(self.install, self.layout.mysql, self.ports.mariadb),
                write=_nothing,
                ready=self._database_answers,
                stage=0,
            ),
            Service("epmd", broker.epmd(self.install, self.ports), write=_nothing, ready=_always, stage=0),
            Service(
                "rabbitmq",
                broker.command(self.install, rabbit, self.ports),
                write=lambda: broker.prepare(rabbit, self.ports),
                ready=lambda: broker.answers(self.ports),
                stage=0,
            ),
        ]

    def _apis(self) -> list[Service]:
        ports, layout = self.ports, self.layout
        etc = layout.etc
        return [
            self._wsgi("network", "gpuctl_lab.network", ports.network, {}, None),
            self._wsgi(
                "keystone", "keystone.wsgi.api", ports.keystone,
                {"OS_KEYSTONE_CONFIG_DIR": str(etc / "keystone")},
                lambda: {etc / "keystone" / "keystone.conf": config.keystone(layout, ports)},
            ),
            self._wsgi(
                "placement", "placement.wsgi.api", ports.placement,
                {"OS_PLACEMENT_CONFIG_DIR": str(etc / "placement")},
                lambda: {etc / "placement" / "placement.conf": config.placement(ports)},
            ),
            self._wsgi(
                "glance", "glance.wsgi.api", ports.glance,
                {"OS_GLANCE_CONFIG_DIR": str(etc / "glance")},
                lambda: {etc / "glance" / "glance-api.conf": config.glance(layout, ports, self.install)},
            ),
            self._wsgi(
                "nova-api", "nova.wsgi.osapi_compute", ports.nova,
                {"OS_NOVA_CONFIG_DIR": str(etc / "nova-api")},
                lambda: {etc / "nova-api" / "nova.conf": config.nova(layout, ports, self.topology, "nova-api")},
            ),
        ]  # fmt: skip

    def _wsgi(
        self, name: str, module: str, port: int, env: dict[str, str], files: Callable[[], dict[Path, ini.Config]] | None
    ) -> Service:
        """A WSGI application of the virtual environment, served by waitress."""

        def write() -> None:
            for path, content in (files() if files else {}).items():
                ini.write(path, ini.merged(content, overrides(self.layout, name)))
            if name == "nova-api":
                paste = self.install.venv / "etc" / "nova" / "api-paste.ini"
                (self.layout.etc / name / paste.name).write_bytes(paste.read_bytes())

        return Service(
            name,
            Command(
                argv=(str(self.install.python), "-m", "gpuctl_lab.serve", module, str(port)),
                env={"PYTHONPATH": str(INSIDE), "OS_NOVA_DISABLE_EVENTLET_PATCHING": "true", **env},
            ),
            write=write,
            ready=lambda: _http_answers(port),
        )

    def _nova(self, name: str) -> Service:
        kind = name.removeprefix("nova-")
        folder = self.layout.etc / name
        return Service(
            name,
            self._daemon(name, kind),
            write=lambda: self._write_nova(name, folder, config.nova(self.layout, self.ports, self.topology, name)),
            ready=lambda: self.layout.ready(name).exists(),
        )

    def _compute(self, host: str) -> Service:
        name = f"compute-{host}"
        folder = self.layout.etc / name
        own = self.layout.host(host)

        def write() -> None:
            spec = self.topology.host(host)
            self._write_nova(name, folder, config.compute(self.layout, self.ports, self.topology, spec))
            for sub in ("instances", "libvirt", "control", "state"):
                (own / sub).mkdir(parents=True, exist_ok=True)
            (own / "host.json").write_text(json.dumps(spec.raw), encoding="utf-8")
            peers = {peer.ip: str(self.layout.host(peer.name) / "instances") for peer in self.topology.hosts}
            (own / "peers.json").write_text(json.dumps(peers), encoding="utf-8")

        return Service(
            name,
            self._daemon(
                name,
                "compute",
                {
                    "GPUCTL_LAB_HOST": str(own),
                    "GPUCTL_LAB_NEEDS": json.dumps(
                        {**config.endpoints(self.ports), "user": config.USER, "password": config.PASSWORD}
                    ),
                    "PATH": f"{INSIDE / 'bin'}:{self.install.venv / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
                },
            ),
            write=write,
            ready=lambda: self.layout.ready(name).exists() and self._known(host),
            nudge=lambda: self._audit(name, host),
        )

    def _daemon(self, name: str, kind: str, env: dict[str, str] | None = None) -> Command:
        folder = self.layout.etc / name
        return Command(
            argv=(
                *(str(self.install.python), "-m", "gpuctl_lab.daemon", kind, str(self.layout.ready(name))),
                # In this order a file of nova.conf.d wins over nova.conf, as it does under /etc/nova.
                *("--config-file", str(folder / "nova.conf"), "--config-dir", str(folder / "nova.conf.d")),
            ),
            env={"PYTHONPATH": str(INSIDE), "OS_NOVA_DISABLE_EVENTLET_PATCHING": "true", **(env or {})},
        )

    def _write_nova(self, name: str, folder: Path, content: ini.Config) -> None:
        self.layout.ready(name).parent.mkdir(exist_ok=True)
        self.layout.ready(name).unlink(missing_ok=True)
        (folder / "nova.conf.d").mkdir(parents=True, exist_ok=True)
        ini.write(folder / "nova.conf", ini.merged(content, overrides(self.layout, name)))

    def _database_answers(self) -> bool:
        try:
            database.query(self.install, self.ports.mariadb, "select 1")
        except Exception:  # noqa: BLE001  # PyMySQL's classes are not importable here
            return False
        return True

    def _audit(self, name: str, host: str) -> None:
        """The host's audit is asked for again.

        Two new hosts that write their devices at the same time can meet in a deadlock of the database; Nova logs it and
        leaves it to the next audit, a minute later.
        """
        ready = self.layout.ready(name)
        if ready.exists() and time.time() - ready.stat().st_mtime > 1:
            (self.layout.control(host) / "audit-nudge.request").touch()

    def _known(self, host: str) -> bool:
        """The scheduler has found the host, Placement has its inventory, and Nova has its devices.

        The latter two come with the host's first audit.
        """
        questions = [
            "select 1 from nova_api.host_mappings where host = %s",
            (
                "select 1 from placement.resource_providers p"
                " join placement.inventories i on i.resource_provider_id = p.id where p.name = %s"
            ),
        ]
        if self.topology.host(host).device_spec:
            questions.append(
                "select 1 from nova.compute_nodes n join nova.pci_devices d on d.compute_node_id = n.id"
                " where n.hypervisor_hostname = %s and d.deleted = 0"
            )
        return all(database.query(self.install, self.ports.mariadb, f"{q} limit 1", (host,)) for q in questions)


def overrides(layout: Layout, service: str) -> ini.Overrides:
    """What was changed in the service's configuration by `Lab.restart`."""
    path = layout.overrides / f"{service}.json"
    if not path.exists():
        return {}
    found: ini.Overrides = json.loads(path.read_text(encoding="utf-8"))
    return found


def _nothing() -> None:
    return None


def _always() -> bool:
    return True


def _http_answers(port: int) -> bool:
    """Something speaks HTTP there; 401 and 300 are answers too."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500
    except OSError:
        return False
