"""tests/sim's Nova, with nova-compute services and with aliases that its API knows or does not."""

from __future__ import annotations

import re
from typing import Any

from tests.sim.front import Answer
from tests.sim.nova import NovaSim


class UpSim(NovaSim):
    """``computes``: host -> "up", "down" or "disabled". ``aliases``: None for all that are asked for.

    ``guests``: host -> names of servers that somebody else has there.
    """

    def __init__(self, computes: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.computes = computes or {}
        self.aliases: set[str] | None = None
        self.guests: dict[str, list[str]] = {}
        self.booted: list[str] = []

    def _route(self, method: str, path: str, query: dict[str, list[str]], body: Any, version: tuple[int, int]) -> Any:
        if path.startswith("/os-services"):
            return 200, {"services": [self._service(host, state) for host, state in self.computes.items()]}
        if path == "/servers/detail":
            names = self.guests.get(query["host"][0], [])
            return 200, {"servers": [{"id": name, "name": name} for name in names]}
        if path == "/servers" and method == "POST":
            specs = self.flavors[body["server"]["flavorRef"]].specs
            for alias in re.findall(r"([^:,]+):\d+", specs["pci_passthrough:alias"]):
                if self.aliases is not None and alias not in self.aliases:
                    raise Answer(400, f"PCI alias {alias} is not defined")
            self.booted.append(specs["pci_passthrough:alias"])
        return super()._route(method, path, query, body, version)

    @staticmethod
    def _service(host: str, state: str) -> dict[str, Any]:
        return {"id": f"id-{host}", "host": host, "binary": "nova-compute", "state": "down" if state == "down" else "up",
                "status": "disabled" if state == "disabled" else "enabled", "disabled_reason": None}  # fmt: skip
