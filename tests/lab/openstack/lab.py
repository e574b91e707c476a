"""The lab as an object: what tests hold in their hands."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import broker, config, database, domains, install, layout, process, reset, template, topology
from .faults import Faults, Hold
from .rest import Rest
from .services import Plan, Service, overrides

#: Generous, as this machine has two cores and others use them too.
START_S = 400.0
CLOUD = "gpuctl-lab"
IMAGE = "lab"


class Lab:
    """A Keystone, Placement, Glance and Nova on loopback, whose state lies in one folder.

    Args:
        state: the folder; it is made, and may be removed once the lab is down.
        hosts: the file that describes hosts and devices.
        cache: where the installed packages lie.
    """

    def __init__(self, state: Path | str, hosts: Path = topology.DEFAULT, cache: Path | None = None) -> None:
        self.layout = layout.Layout(Path(state).absolute())
        self.topology = topology.load(hosts)
        self._cache = cache
        self._install: install.Install | None = None
        self._rest: Rest | None = None

    # -- life

    def up(self) -> Lab:
        """Every service answers; those that ran already were left alone.

        Raises:
            Unavailable: the packages are not to be had here.
            TimeoutError: a service did not answer in time, or ended; the end of its log is in the message.
        """
        with self._alone():
            if not process.find(self.layout.state):
                ports = self.layout.ports()
                if not all(layout.is_free(getattr(ports, name)) for name in layout.Ports.__dataclass_fields__):
                    self.layout.ports(renew=True)
            self._rest = None
            template.adopt(self.installed, self.layout)
            services = self._plan().services()
            self._start([service for service in services if service.stage == 0])
            template.point_at_ports(self.installed, self.layout.ports(), broker.url(self.layout.ports()))
            self._start([service for service in services if service.stage == 1])
            self._upload_image()
            self._write_clouds_yaml()
        return self

    def down(self, *, purge: bool = False) -> None:
        """No process of the lab is left and no port is listened on; with `purge` the state folder is gone too."""
        with self._alone():
            names = set(process.find(self.layout.state))
            # Killed: nothing of theirs is worth a graceful end but the database.
            process.stop(self.layout.state, names - {"mariadb"}, grace_s=0)
            process.stop(self.layout.state, names & {"mariadb"}, grace_s=60)
        if purge:
            shutil.rmtree(self.layout.state, ignore_errors=True)

    def status(self) -> dict[str, list[int]]:
        """The pids of each service; an empty list where it does not run."""
        found = process.find(self.layout.state)
        return {service.name: sorted(found.get(service.name, [])) for service in self._plan().services()}

    def cpu_seconds(self) -> dict[str, float]:
        """The CPU time that each running service has used so far."""
        return process.cpu_seconds(self.layout.state)

    def reset(self) -> None:
        """The cloud is as after the first `up`: no servers, flavors, groups, snapshots, faults or leaked devices."""
        reset.reset(self)

    # -- the cloud, for clients

    def cloud(self) -> dict[str, Any]:
        """What openstacksdk's `connect()` takes, and an entry of clouds.yaml."""
        return {
            "auth": {
                "auth_url": config.auth_url(self.layout.ports()),
                "username": config.USER,
                "password": config.PASSWORD,
                "project_name": config.USER,
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            "region_name": config.REGION,
            "identity_api_version": "3",
        }

    @property
    def rest(self) -> Rest:
        """Raw REST calls as the cloud's admin."""
        if self._rest is None:
            self._rest = Rest(self.layout.ports())
        return self._rest

    def image_id(self) -> str:
        """The id of the image that every lab has."""
        images = self.rest.call("image", "GET", f"/v2/images?name={IMAGE}")["images"]
        return str(images[0]["id"])

    # -- hosts and faults

    def hosts(self) -> list[str]:
        """The names of the compute hosts."""
        return [host.name for host in self.topology.hosts]

    def faults(self, host: str) -> Faults:
        """The host's control folder: pending faults, events, devices taken by others."""
        return Faults(self.layout.control(self.topology.host(host).name))

    def inject(self, host: str, fault: str, times: int = 1, **fields: Any) -> str:
        """The next `times` occasions on that host fail; names and steps are listed in README.md."""
        return self.faults(host).inject(fault, times, **fields)

    def delay(self, host: str, step: str, seconds: float, times: int = 1) -> str:
        """The next `times` times the step takes that much longer."""
        return self.faults(host).inject(step, times, action="delay", seconds=seconds)

    def hold(self, host: str, step: str) -> Hold:
        """The next time the step is reached it stands still until it is released."""
        return self.faults(host).hold(step)

    def audit(self, *hosts: str) -> None:
        """The periodic audit ran on these hosts, or on all."""
        for host in hosts or self.hosts():
            self.faults(host).request("audit")

    def stop_compute(self, host: str, *, kill: bool = True) -> None:
        """The host's nova-compute does not run; killed, as a crash does it, or asked to end."""
        process.stop(self.layout.state, [f"compute-{host}"], grace_s=0 if kill else 20)

    def start_compute(self, host: str) -> None:
        """The host's nova-compute runs and takes requests."""
        self._start([service for service in self._plan().services() if service.name == f"compute-{host}"])

    @contextmanager
    def frozen(self, service: str) -> Iterator[None]:
        """The service stands still: it neither answers nor ends."""
        process.send(self.layout.state, [service], signal.SIGSTOP)
        try:
            yield
        finally:
            process.send(self.layout.state, [service], signal.SIGCONT)

    # -- configuration

    def restart(
        self, service: str, config_overrides: Mapping[str, Mapping[str, Any]] | None = None, *, replace: bool = False
    ) -> None:
        """The service runs with the overrides laid over its configuration.

        Args:
            service: a name of `status()`, or "nova" for all of Nova, or "computes".
            config_overrides: section -> option -> value; a list for an option given several times, None to take an
                option away. They are added to those of earlier calls, and kept over `down` and `up`.
            replace: forget those of earlier calls.
        """
        chosen = [s.name for s in self._plan().services() if _matches(s.name, service)]
        if not chosen:
            raise KeyError(f"the lab has no service {service!r}")
        for name in chosen:
            self._override(name, config_overrides or {}, replace=replace)
        self._restart(chosen)

    def drop_in(self, service: str, name: str, text: str | None) -> Path:
        """nova.conf.d of that service holds the file (None: no such file); it is read at the next `restart`."""
        path = self.layout.etc / service / "nova.conf.d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(text, encoding="utf-8")
        return path

    def track_in_placement(self, *, on: bool) -> None:
        """Placement does, or does not, know the PCI devices. There must be no servers.

        Nova refuses to be turned back; the lab takes Nova's device providers out of Placement for it.
        """
        flag = "true" if on else "false"
        computes = [f"compute-{host}" for host in self.hosts()]
        others = ["nova-api", "nova-scheduler", "nova-conductor"]
        process.stop(self.layout.state, computes, grace_s=0)
        if not on:
            reset.forget_device_providers(self)
        for name in others:
            self._override(name, {"filter_scheduler": {"pci_in_placement": flag}})
        for name in computes:
            self._override(name, {"pci": {"report_in_placement": flag}})
        self._restart([*others, *computes])

    # -- the books, read past Nova's API

    def sql(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        """The rows of a statement; tables are named with their database (nova.instances)."""
        return database.query(self.installed, self.layout.ports().mariadb, statement, arguments)

    def pci_rows(self, host: str | None = None) -> list[dict[str, Any]]:
        """Nova's pci_devices, with the host's name: address, dev_type, status, instance_uuid, host..."""
        rows = self.sql(
            "select n.hypervisor_hostname as host, p.address, p.vendor_id, p.product_id, p.dev_type, p.status,"
            " p.instance_uuid, p.request_id, p.numa_node from nova.pci_devices p"
            " join nova.compute_nodes n on n.id = p.compute_node_id"
            " where p.deleted = 0 order by host, p.address"
        )
        return [row for row in rows if host in (None, row["host"])]

    def allocations(self, consumer: str) -> dict[str, dict[str, int]]:
        """Placement's allocations of a server (or migration): provider's name -> resource class -> amount."""
        found = self.rest.call("placement", "GET", f"/allocations/{consumer}")["allocations"]
        names = {
            p["uuid"]: p["name"]
            for p in self.rest.call("placement", "GET", "/resource_providers")["resource_providers"]
        }
        return {names.get(uuid, uuid): entry["resources"] for uuid, entry in found.items()}

    def migrations(self, server: str) -> list[dict[str, Any]]:
        """The server's migration records, oldest first."""
        return self.sql("select * from nova.migrations where instance_uuid = %s order by id", server)

    def domains(self, host: str) -> list[domains.Domain]:
        """The domains that the host's libvirt knows."""
        return domains.read(self.layout.host(self.topology.host(host).name) / "libvirt")

    def instance_folders(self, host: str) -> list[str]:
        """The names below the host's instances path that belong to servers: `<uuid>`, `<uuid>_resize`."""
        folder = self.layout.host(self.topology.host(host).name) / "instances"
        return sorted(path.name for path in folder.iterdir() if path.name[:8].isalnum() and path.name.count("-") == 4)

    # -- inside

    @property
    def installed(self) -> install.Install:
        """The installed packages; they are fetched at the first use."""
        if self._install is None:
            self._install = install.ensure(self._cache)
        return self._install

    def _plan(self) -> Plan:
        return Plan(self.installed, self.layout, self.layout.ports(), self.topology)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.layout.state.mkdir(parents=True, exist_ok=True)
        with install.exclusive(self.layout.state / "lock"):
            yield

    def _override(self, service: str, wanted: Mapping[str, Mapping[str, Any]], *, replace: bool = False) -> None:
        """The service's next start has the overrides, on top of those that it had."""
        before = {} if replace else overrides(self.layout, service)
        merged = {section: dict(options) for section, options in before.items()}
        for section, options in wanted.items():
            merged.setdefault(section, {}).update(options)
        self.layout.overrides.mkdir(exist_ok=True)
        (self.layout.overrides / f"{service}.json").write_text(json.dumps(merged), encoding="utf-8")

    def _restart(self, names: list[str]) -> None:
        # Killed: Nova's way of ending waits for seconds, and a lab that is restarted has nothing under way.
        process.stop(self.layout.state, names, grace_s=0)
        self._start([service for service in self._plan().services() if service.name in names])

    def _start(self, services: Iterable[Service]) -> None:
        """The services run and answer."""
        chosen = list(services)
        running = process.find(self.layout.state)
        for service in chosen:
            if service.name not in running:
                service.write()
                process.start(self.layout.state, service.name, service.command, self._log(service.name))
        deadline, nudge = time.monotonic() + START_S, time.monotonic() + 1
        waiting: list[Service] = chosen
        while waiting := [service for service in waiting if not service.ready()]:
            alive = process.find(self.layout.state)
            for service in waiting:
                if service.name not in alive or time.monotonic() > deadline:
                    what = "does not answer" if service.name in alive else "ended"
                    raise TimeoutError(f"{service.name} {what}; its log ends:\n{self._tail(service.name)}")
            if time.monotonic() > nudge:
                nudge = time.monotonic() + 1
                for service in waiting:
                    service.nudge()
            time.sleep(0.2)

    def _log(self, service: str) -> Path:
        return self.layout.log / f"{service}.log"

    def _tail(self, service: str) -> str:
        return "\n".join(self._log(service).read_text(encoding="utf-8", errors="replace").splitlines()[-15:])

    def _upload_image(self) -> None:
        if self.rest.call("image", "GET", f"/v2/images?name={IMAGE}")["images"]:
            return
        wish = {"name": IMAGE, "disk_format": "raw", "container_format": "bare", "visibility": "public"}
        image = self.rest.call("image", "POST", "/v2/images", wish)
        self.rest.call("image", "PUT", f"/v2/images/{image['id']}/file", b"a disk that nobody boots\n")

    def _write_clouds_yaml(self) -> None:
        # JSON is YAML, and this way no YAML library is needed.
        text = json.dumps({"clouds": {CLOUD: self.cloud()}}, indent=2)
        self.layout.clouds_yaml.write_text(text + "\n", encoding="utf-8")


def _matches(name: str, wanted: str) -> bool:
    groups: dict[str, Callable[[str], bool]] = {
        "computes": lambda n: n.startswith("compute-"),
        "nova": lambda n: n.startswith(("compute-", "nova-")),
    }
    return groups.get(wanted, wanted.__eq__)(name)
