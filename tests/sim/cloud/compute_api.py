"""The compute API besides servers and flavors."""

from __future__ import annotations

from typing import Any

from tests.sim.cloud import views
from tests.sim.cloud.records import Host
from tests.sim.cloud.servers_api import Query, page, since
from tests.sim.cloud.views import Version
from tests.sim.cloud.world import World
from tests.sim.front import ADMIN_PROJECT, Answer

_UP = "Unable to force up host {host} as `done` evacuation migration records remain associated with the host. Ensure the compute service has been restarted, allowing these records to move to `completed` before retrying this request."


def migrations(world: World, query: Query, version: Version) -> dict[str, Any]:
    """/os-migrations."""
    want = {key: values[0] for key, values in query.items()}
    found = [one for one in reversed(world.migrations) if world.hosts[one.source].cell not in world.silent]
    found.sort(key=lambda one: one.created, reverse=True)
    if "changes-since" in want:
        found = [one for one in found if int(one.updated) >= int(since(want["changes-since"]))]
    checks = {
        "status": lambda one: one.status,
        "instance_uuid": lambda one: one.server,
        "source_compute": lambda one: one.source,
        "migration_type": lambda one: one.type,
        "project_id": lambda one: world.servers[one.server].project,
    }
    for key, look in checks.items():
        if key in want:
            found = [one for one in found if look(one) == want[key]]
    if "host" in want:
        found = [one for one in found if want["host"] in {one.source, one.dest}]
    if version < (2, 59):
        return {"migrations": [views.migration(world, one, version) for one in found]}
    shown, more = page(found, query, "uuid", "Migration", world.most)
    answer: dict[str, Any] = {"migrations": [views.migration(world, one, version) for one in shown]}
    if more:
        answer["migrations_links"] = [{"rel": "next", "href": f"http://somewhere/else?marker={shown[-1].uuid}"}]
    return answer


def services(world: World, method: str, rest: list[str], query: Query, body: Any, version: Version) -> dict[str, Any]:
    """/os-services."""
    if method == "PUT" and version < (2, 53):
        return _change_by_name(world, rest[0], body)
    if method == "PUT":
        host = next((one for one in world.hosts.values() if one.service == rest[0]), None)
        if host is None:
            raise Answer(404, f"Service {rest[0]} could not be found.")
        _change(world, host, body)
        return {"service": views.service(world, host)}
    found = [
        views.service(world, one) for one in world.hosts.values() if version >= (2, 69) or one.cell not in world.silent
    ]
    for place, binary in enumerate(("nova-conductor", "nova-scheduler")):
        now = world.clock.stamp(zone=".000000")
        found.append({"id": f"00000000-0000-0000-0000-00000000000{place}", "binary": binary, "host": "control", "state": "up", "status": "enabled",
                      "zone": "internal", "disabled_reason": None, "forced_down": False, "updated_at": now})  # fmt: skip
    for key in ("binary", "host"):
        if key in query:
            found = [one for one in found if one[key] == query[key][0]]
    for number, one in enumerate(found if version < (2, 53) else (), 1):
        one["id"] = number
    return {"services": found}


def _change_by_name(world: World, verb: str, body: dict[str, Any]) -> dict[str, Any]:
    """PUT /os-services/enable, disable, disable-log-reason, force-down: until 2.52."""
    host = world.hosts.get(body["host"])
    if host is None or body["binary"] != "nova-compute":
        raise Answer(404, f"Could not find binary {body['binary']} on host {body['host']}.")
    changes = {
        "enable": {"status": "enabled"},
        "disable": {"status": "disabled"},
        "disable-log-reason": {"status": "disabled", "disabled_reason": body.get("disabled_reason")},
        "force-down": {"forced_down": body.get("forced_down")},
    }
    if verb not in changes:
        raise Answer(404, "Unknown action")
    _change(world, host, changes[verb])
    return {"service": {"host": host.name, "binary": "nova-compute", **changes[verb]}}


def _change(world: World, host: Host, body: dict[str, Any]) -> None:
    host.wrote = world.clock.now
    if body.get("disabled_reason") and body.get("status", "disabled") != "disabled":
        raise Answer(400, "Specifying disabled_reason is only allowed if status is disabled.")
    if (
        body.get("forced_down") is False
        and host.forced_down
        and any(
            one.type == "evacuation" and one.status == "done" and one.source == host.name for one in world.migrations
        )
    ):
        raise Answer(400, _UP.format(host=host.name))
    if "status" in body:
        host.disabled = body["status"] == "disabled"
        host.disabled_reason = body.get("disabled_reason") if host.disabled else None
    elif "disabled_reason" in body:
        raise Answer(400, "Specifying disabled_reason is only allowed if status is disabled.")
    if "forced_down" in body:
        host.forced_down = body["forced_down"]


def hypervisors(world: World, rest: list[str], query: Query, version: Version) -> dict[str, Any]:
    """/os-hypervisors."""
    with_servers = query.get("with_servers", [""])[0].lower() in {"1", "true"}
    if rest and rest != ["detail"]:
        host = next((one for one in world.hosts.values() if one.uuid == rest[0]), None)
        if host is None:
            raise Answer(404, f"Compute host {rest[0]} could not be found.")
        return {"hypervisor": views.hypervisor(world, host, version, servers=with_servers)}
    wish = query.get("hypervisor_hostname_pattern", [""])[0]
    found = [one for one in world.hosts.values() if wish in one.name and one.cell not in world.silent]
    if wish and not found:
        raise Answer(404, f"No hypervisor matching '{wish}' could be found.")
    return {
        "hypervisors": [views.hypervisor(world, one, version, servers=with_servers, detail=bool(rest)) for one in found]
    }


def groups(world: World, rest: list[str], query: Query, version: Version) -> dict[str, Any]:
    """/os-server-groups."""
    if rest:
        if rest[0] not in world.groups:
            raise Answer(404, f"Instance group {rest[0]} could not be found.")
        return {"server_group": _group(world, rest[0], version)}
    start = int(query.get("offset", ["0"])[0])
    every = list(world.groups)[start : start + min(int(query.get("limit", ["1000"])[0]), world.most)]
    return {"server_groups": [_group(world, one, version) for one in every]}


def _group(world: World, group: str, version: Version) -> dict[str, Any]:
    one = world.groups[group]
    policy: dict[str, Any] = (
        {"policy": one["policy"], "rules": one["rules"]}
        if version >= (2, 64)
        else {"policies": [one["policy"]], "metadata": {}}
    )
    members = [each for each in one["members"] if not world.servers[each].deleted]
    return {"id": group, "name": one["name"], "members": members, "project_id": ADMIN_PROJECT, "user_id": "1", **policy}


def zones(world: World, *, detail: bool) -> dict[str, Any]:
    """/os-availability-zone."""
    found: dict[str, dict[str, Any]] = {}
    for host in world.hosts.values():
        active = {
            "available": not host.disabled,
            "active": host.state == "up",
            "updated_at": world.clock.stamp(zone=".000000"),
        }
        found.setdefault(host.zone, {})[host.name] = {"nova-compute": active}
    shown = [
        {"zoneName": name, "zoneState": {"available": True}, "hosts": hosts if detail else None}
        for name, hosts in found.items()
    ]
    return {"availabilityZoneInfo": shown}
