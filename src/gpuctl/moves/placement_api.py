"""Placement's providers and allocations, one method a request. openstacksdk has no classes for most of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gpuctl.cloud import Service
from gpuctl.moves.model import Allocation, Provider

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = (1, 36)
"""Not 1.38 and newer: there Nova's consumers are of type "unknown", and a PUT of that is refused (lab, section 9)."""

PCI_TRAIT = "COMPUTE_MANAGED_PCI_DEVICE"
PCI_CLASS = "CUSTOM_PCI_"
_ADDRESS = re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]")  # a vGPU's is pci_0000_84_00_0


@dataclass
class PlacementApi:
    """The placement API of one cloud."""

    service: Service

    def providers(self) -> dict[str, Provider]:
        """Return every provider by uuid, without inventories and usages: one request."""
        body = self._ask("/resource_providers", "list the resource providers")
        said = {one["uuid"]: one for one in body["resource_providers"]}
        return {uuid: _provider(one, said) for uuid, one in said.items()}

    def inventories(self, provider: str) -> dict[str, int]:
        """Return class -> what may be allocated (total - reserved; the ratio is not in it)."""
        body = self._ask(f"/resource_providers/{provider}/inventories", f"read the inventories of {provider}")
        return {name: one["total"] - one.get("reserved", 0) for name, one in body["inventories"].items()}

    def usages(self, provider: str) -> dict[str, int]:
        """Return class -> what is allocated."""
        body = self._ask(f"/resource_providers/{provider}/usages", f"read the usages of {provider}")
        return dict(body["usages"])

    def consumers(self, provider: str) -> dict[str, dict[str, int]]:
        """Return consumer -> class -> amount, of this provider alone (not of its children)."""
        body = self._ask(f"/resource_providers/{provider}/allocations", f"read who holds {provider}")
        return {consumer: dict(one["resources"]) for consumer, one in body["allocations"].items()}

    def allocation(self, consumer: str) -> Allocation:
        """Return what a consumer holds; nothing is an answer too."""
        body = self._ask(f"/allocations/{consumer}", f"read the allocations of {consumer}")
        return Allocation(
            consumer,
            {uuid: dict(one["resources"]) for uuid, one in body["allocations"].items()},
            body.get("consumer_generation"),
            body.get("project_id"),
            body.get("user_id"),
        )

    def candidates(self, query: Mapping[str, str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return ``(allocation requests, provider summaries)`` for a query of granular resources."""
        body = self._ask(f"/allocation_candidates?{urlencode(query)}", "ask what would fit where")
        return list(body["allocation_requests"]), dict(body["provider_summaries"])

    def put(self, *wanted: Allocation, what: str) -> None:
        """Each consumer holds exactly this, if its generation is still the one that was read; all of them or none.

        Raises:
            Rejected: 409: somebody changed one meanwhile; read again.
        """
        body = {
            one.consumer: {
                "allocations": {uuid: {"resources": dict(holds)} for uuid, holds in one.holds.items()},
                "consumer_generation": one.generation,
                "project_id": one.project,
                "user_id": one.user,
            }
            for one in wanted
        }
        # The generation makes a second try harmless: it is refused with 409 if the first one was done.
        once = "its generation moves"
        if len(wanted) > 1:
            self.service.ask("POST", "/allocations", what, body=body, version=VERSION, once=once)
            return
        path = f"/allocations/{wanted[0].consumer}"
        self.service.ask("PUT", path, what, body=body[wanted[0].consumer], version=VERSION, once=once)

    def _ask(self, path: str, what: str) -> dict[str, Any]:
        return self.service.ask("GET", path, what, version=VERSION).body


def _provider(said: Mapping[str, Any], every: Mapping[str, Mapping[str, Any]]) -> Provider:
    """Return one provider; a PCI device's name is `<host>_<address>` (nova/compute/pci_placement_translator.py)."""
    root = every.get(said.get("root_provider_uuid") or said["uuid"])
    name, host = said["name"], None if root is None else root["name"]
    child = host is not None and said["uuid"] != root["uuid"]  # type: ignore[index]
    rest = name[len(host or "") + 1 :] if child and name.startswith(f"{host}_") else ""
    return Provider(
        uuid=said["uuid"],
        name=name,
        host=host,
        parent=said.get("parent_provider_uuid"),
        generation=said.get("generation", 0),
        address=rest.lower() if _ADDRESS.fullmatch(rest) else None,
    )
