"""/servers and what lies below it."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from tests.sim.cloud import views
from tests.sim.cloud.actions_api import act
from tests.sim.cloud.flows import boot, power
from tests.sim.cloud.records import Server
from tests.sim.cloud.views import Version
from tests.sim.cloud.world import World
from tests.sim.front import ADMIN_PROJECT, Answer

Query = dict[str, list[str]]


def servers(
    world: World, method: str, rest: list[str], query: Query, body: Any, version: Version, request: str, flavors: Any
) -> tuple[int, Any]:
    """Answer a request to /servers."""
    if rest in ([], ["detail"]) and method == "GET":
        return 200, _list(world, query, version, detail=bool(rest))
    if not rest:
        return 202, _create(world, body["server"], version, request, flavors)
    one = world.servers.get(rest[0])
    if one is None or one.deleted:
        if rest[1:2] == ["os-instance-actions"] and one is not None and version >= (2, 21):
            return 200, _actions(world, one, rest[2:], query, version)
        raise Answer(404, f"Instance {rest[0]} could not be found.")
    if len(rest) == 1:
        if method == "DELETE":
            power.begin_delete(world, one, request)
            return 204, None
        if world.unheard(one):
            return _unheard(world, one, version)
        return 200, {"server": views.server(world, one, version)}
    if rest[1] == "action":
        return act(world, one, body, version, request)
    if rest[1] == "os-instance-actions":
        return 200, _actions(world, one, rest[2:], query, version)
    if rest[1] == "migrations":  # live ones under way, and no others
        under_way = [
            m
            for m in world.migrations_of(one.id)
            if m.type == "live-migration" and m.status in {"accepted", "queued", "preparing", "running"}
        ]
        return 200, {"migrations": [views.migration(world, m, version) for m in under_way]}
    if rest[1] == "os-interface":
        return 200, {
            "interfaceAttachments": [
                {"port_id": port["id"], "port_state": "ACTIVE"} for port in world.ports if port["device_id"] == one.id
            ]
        }
    if rest[1] == "os-volume_attachments":
        return 200, {
            "volumeAttachments": [
                {"serverId": one.id, "volumeId": volume, "device": "/dev/vda"} for volume in one.volumes
            ]
        }
    raise Answer(404, "no such path")


def _unheard(world: World, one: Server, version: Version) -> tuple[int, Any]:
    if version < (2, 69):
        raise Answer(500, "Unexpected API Error. <class 'nova.exception.NovaException'>")
    return 200, {"server": views.server_unheard(world, one)}


def since(text: str) -> float:
    """A time of a query."""
    when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()


def page(found: list[Any], query: Query, key: str, name: str, most: int = 1000) -> tuple[list[Any], bool]:
    """One page, and whether there is more. A marker that is not there is a 400."""
    if "marker" in query:
        marker = query["marker"][0]
        places = [place for place, one in enumerate(found) if getattr(one, key) == marker]
        if not places:
            raise Answer(
                400, f"{name} {marker} could not be found." if name == "Migration" else f"marker [{marker}] not found"
            )
        found = found[places[0] + 1 :]
    size = min(int(query.get("limit", ["1000"])[0]), most)
    return found[:size], len(found) > size


def _list(world: World, query: Query, version: Version, *, detail: bool) -> dict[str, Any]:
    want = {key: values[0] for key, values in query.items()}
    # With a limit, a marker or a filter a silent cell is passed over ([api] list_records_by_skipping_down_cells).
    found = [one for one in world.servers.values() if not world.unheard(one)]
    if "changes-since" in want:  # deleted ones are shown too
        found = [one for one in found if int(one.updated) >= int(since(want["changes-since"]))]
    else:
        deleted = want.get("deleted", "").lower() in {"1", "true"}
        found = [one for one in found if one.deleted == deleted]
        if want.get("soft_deleted", "").lower() not in {"1", "true"}:
            found = [one for one in found if one.vm_state != "soft-delete"]
    if want.get("all_tenants", "").lower() not in {"1", "true"}:
        found = [one for one in found if one.project == want.get("project_id", ADMIN_PROJECT)]
    checks = {
        "host": lambda one: one.host,
        "node": lambda one: one.host,
        "uuid": lambda one: one.id,
        "project_id": lambda one: one.project,
        "tenant_id": lambda one: one.project,
        "vm_state": lambda one: one.vm_state,
        "task_state": lambda one: one.task_state or "None",
        "availability_zone": lambda one: one.zone,
        "flavor": lambda one: one.flavor["id"],
        "image": lambda one: one.image,
    }
    for key, look in checks.items():
        if key in want:
            found = [one for one in found if look(one) == want[key]]
    if "status" in query:
        found = [one for one in found if views.status(one) in {text.upper() for text in query["status"]}]
    if "name" in want:
        found = [
            one for one in found if re.search(want["name"], one.name)
        ]  # a regular expression, as the database has it
    if "locked" in want and version >= (2, 73):
        found = [one for one in found if one.locked == (want["locked"].lower() in {"1", "true"})]
    found.sort(key=lambda one: (one.created, one.id), reverse=True)
    shown, more = page(found, query, "id", "server", world.most)
    bodies = [
        views.server(world, one, version, whole=False) if detail else {"id": one.id, "name": one.name, "links": []}
        for one in shown
    ]
    answer: dict[str, Any] = {"servers": bodies}
    if more:
        answer["servers_links"] = [{"rel": "next", "href": f"http://somewhere/else?marker={shown[-1].id}"}]
    return answer


def _actions(world: World, one: Server, rest: list[str], query: Query, version: Version) -> dict[str, Any]:
    found = world.actions.get(one.id, [])
    if rest:
        action = next((each for each in found if each.request_id == rest[0]), None)
        if action is None:
            raise Answer(404, f"Action for request_id {rest[0]} on instance {one.id} not found")
        return {"instanceAction": views.action(world, action, version, whole=True)}
    if "changes-since" in query:
        found = [each for each in found if int(each.updated) >= int(since(query["changes-since"][0]))]
    shown, _ = page(found, query, "request_id", "action")
    return {"instanceActions": [views.action(world, each, version) for each in shown]}


def _create(world: World, wish: dict[str, Any], version: Version, request: str, flavors: Any) -> dict[str, Any]:
    flavor = flavors.get(wish["flavorRef"])
    if flavor is None:
        raise Answer(400, f"Flavor {wish['flavorRef']} could not be found.")
    if "host" in wish and version < (2, 74):
        raise Answer(400, "Additional properties are not allowed ('host' was unexpected)")
    if "host" in wish and wish["host"] not in world.hosts:
        raise Answer(400, f"Compute host {wish['host']} could not be found.")
    embedded = embed(flavor)
    zone, _, host = str(wish.get("availability_zone", "")).partition(":")
    made = boot.new(
        world, wish["name"], embedded, ADMIN_PROJECT, image=wish.get("imageRef"), metadata=wish.get("metadata", {})
    )
    check_aliases(world, made)
    boot.begin_create(world, made, host or wish.get("host"), zone or None, request)
    return {
        "server": {"id": made.id, "links": [], "adminPass": "x", "OS-DCF:diskConfig": "MANUAL", "security_groups": []}
    }


def embed(flavor: Any) -> dict[str, Any]:
    """The copy of a flavor that a server carries."""
    body = flavor.body
    return {"id": body["id"], "name": body["name"], "vcpus": body["vcpus"], "ram": body["ram"], "disk": body["disk"],
            "ephemeral": body["OS-FLV-EXT-DATA:ephemeral"], "swap": body["swap"] or 0, "extra_specs": dict(flavor.specs)}  # fmt: skip


def check_aliases(world: World, one: Server) -> None:
    """nova-api knows the aliases of the flavor."""
    from tests.sim.cloud.books import aliases

    for alias in aliases(one):
        if alias not in world.classes:
            del world.servers[one.id]
            raise Answer(400, f"PCI alias {alias} is not defined")
