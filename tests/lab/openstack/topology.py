"""Which hosts the lab has and which PCI devices are in them: data from a JSON file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT = Path(__file__).with_name("topologies") / "two-hosts.json"


@dataclass(frozen=True, slots=True)
class Host:
    """One compute host. `raw` is its JSON, which the compute process reads as it stands."""

    name: str
    ip: str
    device_spec: tuple[dict[str, Any], ...]
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Topology:
    """The hosts, and the PCI aliases that api and computes are configured with."""

    hosts: tuple[Host, ...]
    aliases: tuple[dict[str, Any], ...]

    def host(self, name: str) -> Host:
        """The host of that name; KeyError where there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(f"the lab has no host {name!r}, only {', '.join(h.name for h in self.hosts)}")


def load(path: Path = DEFAULT) -> Topology:
    """The topology that the file describes."""
    data = json.loads(path.read_text(encoding="utf-8"))
    hosts = tuple(
        Host(name=raw["name"], ip=raw["ip"], device_spec=tuple(raw["device_spec"]), raw=raw) for raw in data["hosts"]
    )
    # Nova takes two computes with one my_ip for one machine with a shared instances path.
    if len({host.ip for host in hosts}) != len(hosts):
        raise ValueError(f"{path}: each host needs an address of its own")
    return Topology(hosts=hosts, aliases=tuple(data["aliases"]))
