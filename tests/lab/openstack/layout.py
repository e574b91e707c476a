"""Where a lab keeps its files, and on which ports it listens."""

from __future__ import annotations

import json
import random
import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ports:
    """One TCP port a listener, all on 127.0.0.1."""

    mariadb: int
    amqp: int
    epmd: int
    erlang: int
    network: int
    keystone: int
    placement: int
    glance: int
    nova: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders below a lab's state folder."""

    state: Path

    @property
    def etc(self) -> Path:
        """Configuration, one folder a service."""
        return self.state / "etc"

    @property
    def log(self) -> Path:
        """One log a service."""
        return self.state / "log"

    @property
    def mysql(self) -> Path:
        """MariaDB's data."""
        return self.state / "mysql"

    @property
    def overrides(self) -> Path:
        """What `Lab.restart` changed in a service's configuration, one JSON a service."""
        return self.state / "overrides"

    @property
    def clouds_yaml(self) -> Path:
        """For OS_CLIENT_CONFIG_FILE."""
        return self.state / "clouds.yaml"

    def host(self, name: str) -> Path:
        """A compute host's own folder: instances, the fake libvirt's domains, control."""
        return self.state / "hosts" / name

    def control(self, name: str) -> Path:
        """The folder over which faults reach a compute host."""
        return self.host(name) / "control"

    def ready(self, service: str) -> Path:
        """The file that a Nova daemon writes once it takes requests."""
        return self.state / "ready" / service

    def ports(self, *, renew: bool = False) -> Ports:
        """The ports of this lab: as before, or new ones where there are none, or `renew` asks for it."""
        path = self.state / "ports.json"
        if path.exists() and not renew:
            return Ports(**json.loads(path.read_text(encoding="utf-8")))
        names = [field.name for field in fields(Ports)]
        ports = Ports(**dict(zip(names, _free_ports(len(names)), strict=True)))
        path.write_text(json.dumps(asdict(ports)), encoding="utf-8")
        return ports


def is_free(port: int) -> bool:
    """Nothing listens on the port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_ports(count: int) -> list[int]:
    """That many free ports below the range that the kernel gives to outgoing connections."""
    candidates = random.sample(range(20000, 32000), 50 * count)
    free: list[int] = []
    for port in candidates:
        if len(free) == count:
            break
        if is_free(port):
            free.append(port)
    return free
