"""Brings a lab's cloud back to how it was after its first `up`, without starting anything anew."""

from __future__ import annotations

import time
import urllib.error
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .lab import Lab

_AT_MOST_S = 180.0


def reset(lab: Lab) -> None:
    """No server, flavor, group, aggregate, snapshot, fault, leftover or leaked device is left."""
    for host in lab.hosts():
        lab.faults(host).clear()
    if not all(lab.status().values()):
        lab.up()
    _enable_services(lab)
    _delete_servers(lab)
    _delete_rest(lab)
    _forget_moves(lab)
    for host in lab.hosts():
        lab.faults(host).request("sweep")
    _free_devices(lab)


def forget_device_providers(lab: Lab) -> None:
    """Placement has no provider for a PCI device. The computes must be stopped."""
    providers = lab.rest.call("placement", "GET", "/resource_providers")["resource_providers"]
    for provider in providers:
        if provider["parent_provider_uuid"] is not None:
            lab.rest.delete("placement", f"/resource_providers/{provider['uuid']}")


def _enable_services(lab: Lab) -> None:
    for service in lab.rest.call("compute", "GET", "/os-services?binary=nova-compute")["services"]:
        if not service["forced_down"] and service["status"] == "enabled":
            continue
        wish = {"status": "enabled", "forced_down": False}
        try:
            lab.rest.call("compute", "PUT", f"/os-services/{service['id']}", wish)
        except urllib.error.HTTPError as error:
            error.close()
            # After an evacuation Nova wants to see the host's nova-compute started first.
            lab.stop_compute(service["host"])
            lab.start_compute(service["host"])
            lab.rest.call("compute", "PUT", f"/os-services/{service['id']}", wish)


def _delete_servers(lab: Lab) -> None:
    deadline = time.monotonic() + _AT_MOST_S
    asked: set[str] = set()
    forced = time.monotonic() + 15
    while servers := _list(lab, "/servers?all_tenants=1", "servers"):
        for server in servers:
            if server["id"] not in asked:
                asked.add(server["id"])
                _delete_server(lab, server["id"])
        if time.monotonic() > deadline:
            raise TimeoutError(f"these servers cannot be deleted: {[server['id'] for server in servers]}")
        if time.monotonic() > forced:
            # Its last request may have been lost with a killed service.
            forced = time.monotonic() + 15
            asked.clear()
        time.sleep(0.2)


def _delete_server(lab: Lab, uuid: str) -> None:
    try:
        lab.rest.delete("compute", f"/servers/{uuid}")
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise
        error.close()
        lab.rest.call("compute", "POST", f"/servers/{uuid}/action", {"os-resetState": {"state": "error"}})
        lab.rest.delete("compute", f"/servers/{uuid}")


def _delete_rest(lab: Lab) -> None:
    for flavor in _list(lab, "/flavors?is_public=None&limit=1000", "flavors"):
        lab.rest.delete("compute", f"/flavors/{flavor['id']}")
    for group in _list(lab, "/os-server-groups?all_projects=1", "server_groups"):
        lab.rest.delete("compute", f"/os-server-groups/{group['id']}")
    for aggregate in _list(lab, "/os-aggregates", "aggregates"):
        for host in aggregate["hosts"]:
            path = f"/os-aggregates/{aggregate['id']}/action"
            lab.rest.call("compute", "POST", path, {"remove_host": {"host": host}})
        lab.rest.delete("compute", f"/os-aggregates/{aggregate['id']}")
    for image in lab.rest.call("image", "GET", "/v2/images?limit=500")["images"]:
        if image["name"] != "lab":
            lab.rest.delete("image", f"/v2/images/{image['id']}")


def _forget_moves(lab: Lab) -> None:
    """What failed moves leave in the books for good: Nova has no API for either."""
    lab.sql(
        "update nova.migrations set status = 'failed' where deleted = 0"
        " and status not in ('failed', 'confirmed', 'reverted', 'completed')"
    )
    lab.sql("delete from placement.allocations")
    lab.sql("delete from placement.consumers")


def _free_devices(lab: Lab) -> None:
    taken: list[dict[str, Any]] = []
    for _ in range(4):
        lab.audit()
        taken = [row for row in lab.pci_rows() if row["status"] not in ("available", "unavailable")]
        if not taken:
            return
    raise RuntimeError(f"these devices stay allocated: {taken}")


def _list(lab: Lab, path: str, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lab.rest.call("compute", "GET", path)[key]
    return found
