"""What the compute API shows of the books, by microversion (nova/api/openstack/compute/views)."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.sim.cloud.records import Action, Host, Migration, Server
from tests.sim.cloud.world import USER, World

Version = tuple[int, int]

_PLAIN = {"active": "ACTIVE", "building": "BUILD", "stopped": "SHUTOFF", "resized": "VERIFY_RESIZE", "error": "ERROR", "shelved": "SHELVED",
          "shelved_offloaded": "SHELVED_OFFLOADED", "deleted": "DELETED", "paused": "PAUSED", "suspended": "SUSPENDED", "rescued": "RESCUE", "soft-delete": "SOFT_DELETED"}  # fmt: skip
_RESIZE = dict.fromkeys(("resize_prep", "resize_migrating", "resize_migrated", "resize_finish"), "RESIZE")
_BY_TASK = {
    "active": {
        "rebooting": "REBOOT",
        "rebooting_hard": "HARD_REBOOT",
        "migrating": "MIGRATING",
        "rebuilding": "REBUILD",
        **_RESIZE,
    },
    "stopped": {"rebooting_hard": "HARD_REBOOT", "rebuilding": "REBUILD", **_RESIZE},
    "resized": {"resize_reverting": "REVERT_RESIZE"},
    "error": {"rebuilding": "REBUILD"},
}


def status(server: Server) -> str:
    """The status that a vm_state and a task_state make (nova/api/openstack/common.py)."""
    return _BY_TASK.get(server.vm_state, {}).get(server.task_state or "", _PLAIN[server.vm_state])


def server(world: World, one: Server, version: Version, *, whole: bool = True) -> dict[str, Any]:
    """A server, as GET /servers/{id} (whole) or /servers/detail shows it to an admin."""
    shown = status(one)
    if shown == "VERIFY_RESIZE":
        one.seen_resized = True
    flavor = one.flavor
    host = world.hosts.get(one.host or "")
    stamp = world.clock.stamp
    body: dict[str, Any] = {
        "id": one.id, "name": one.name, "status": shown, "tenant_id": one.project, "user_id": USER, "metadata": one.metadata,
        "hostId": hashlib.sha224((one.project + one.host).encode()).hexdigest() if one.host else "",
        "image": {"id": one.image, "links": []} if one.image else "",
        "flavor": {"id": flavor["id"], "links": []},
        "created": stamp(one.created, zone="Z"), "updated": stamp(one.updated, zone="Z"), "addresses": {}, "accessIPv4": "", "accessIPv6": "",
        "links": [], "OS-DCF:diskConfig": "MANUAL", "OS-EXT-AZ:availability_zone": one.zone, "config_drive": "True" if one.config_drive else "",
        "key_name": None, "OS-SRV-USG:launched_at": one.launched and stamp(one.launched, zone=".000000"),
        "OS-SRV-USG:terminated_at": one.terminated and stamp(one.terminated, zone=".000000"),
        "OS-EXT-SRV-ATTR:host": one.host, "OS-EXT-SRV-ATTR:instance_name": one.instance_name, "OS-EXT-SRV-ATTR:hypervisor_hostname": one.host,
        "OS-EXT-STS:task_state": one.task_state, "OS-EXT-STS:vm_state": one.vm_state, "OS-EXT-STS:power_state": one.power_state,
        "os-extended-volumes:volumes_attached": [{"id": volume, "delete_on_termination": False} for volume in one.volumes],
    }  # fmt: skip
    if shown in {"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "REVERT_RESIZE"}:
        body["progress"] = 0
    if one.fault and shown in {"ERROR", "DELETED"}:
        body["fault"] = one.fault
    newer: list[tuple[int, dict[str, Any]]] = [
        (3, {"OS-EXT-SRV-ATTR:hostname": one.name, "OS-EXT-SRV-ATTR:reservation_id": f"r-{one.number:08x}", "OS-EXT-SRV-ATTR:launch_index": 0,
             "OS-EXT-SRV-ATTR:kernel_id": "", "OS-EXT-SRV-ATTR:ramdisk_id": "", "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda", "OS-EXT-SRV-ATTR:user_data": None}),
        (9, {"locked": one.locked}),
        (16, {"host_status": ("" if host is None else "MAINTENANCE" if host.disabled else host.state.upper())}),
        (19, {"description": None}),
        (26, {"tags": []}),
        (47, {"flavor": {"vcpus": flavor["vcpus"], "ram": flavor["ram"], "disk": flavor["disk"], "ephemeral": flavor["ephemeral"], "swap": flavor["swap"],
                         "original_name": flavor["name"], "extra_specs": flavor["extra_specs"]}}),
        (63, {"trusted_image_certificates": one.trusted_certificates}),
        (73, {"locked_reason": one.locked_reason}),
        (96, {"pinned_availability_zone": one.pinned_zone}),
        (100, {"scheduler_hints": {"group": one.groups} if one.groups else {}}),
    ]  # fmt: skip
    if whole:
        newer.append((71, {"server_groups": one.groups}))
    for since, fields in newer:
        if version >= (2, since):
            body.update(fields)
    return body


def server_unheard(world: World, one: Server) -> dict[str, Any]:
    """A server whose cell's database does not answer, as GET /servers/{id} shows it (2.69)."""
    flavor = one.flavor
    return {
        "id": one.id, "status": "UNKNOWN", "tenant_id": one.project, "created": world.clock.stamp(one.created, zone="Z"), "links": [], "user_id": USER,
        "image": {"id": one.image, "links": []} if one.image else "", "OS-EXT-AZ:availability_zone": one.zone, "OS-EXT-STS:power_state": 0, "server_groups": one.groups,
        "flavor": {"vcpus": flavor["vcpus"], "ram": flavor["ram"], "disk": flavor["disk"], "ephemeral": flavor["ephemeral"], "swap": flavor["swap"],
                   "original_name": flavor["name"], "extra_specs": flavor["extra_specs"]},
    }  # fmt: skip


def migration(world: World, one: Migration, version: Version) -> dict[str, Any]:
    """A record of /os-migrations."""
    flavor = world.servers[one.server].number
    body: dict[str, Any] = {
        "id": one.id, "instance_uuid": one.server, "status": one.status,
        "source_compute": one.source, "source_node": one.source, "dest_compute": one.dest, "dest_node": one.dest,
        "dest_host": world.hosts[one.dest].ip if one.dest else None,
        "old_instance_type_id": flavor, "new_instance_type_id": flavor,
        "created_at": world.clock.stamp(one.created, zone=".000000"), "updated_at": world.clock.stamp(one.updated, zone=".000000"),
    }  # fmt: skip
    if version >= (2, 23):
        body.update(migration_type=one.type)
    if version >= (2, 59):
        body.update(uuid=one.uuid)
    if version >= (2, 80):
        body.update(user_id=USER, project_id=world.servers[one.server].project)
    if one.status == "finished":
        world.servers[one.server].seen_resized = True
    return body


def action(world: World, one: Action, version: Version, *, whole: bool = False) -> dict[str, Any]:
    """An instance action, with its events if whole."""
    stamp = world.clock.stamp
    body: dict[str, Any] = {
        "action": one.action, "instance_uuid": one.server, "message": one.message, "project_id": world.servers[one.server].project,
        "request_id": one.request_id, "start_time": stamp(one.start, zone=".000000"), "user_id": USER,
    }  # fmt: skip
    if version >= (2, 58):
        body["updated_at"] = stamp(one.updated, zone=".000000")
    if not whole:
        return body
    body["events"] = []
    for event in one.events:
        shown: dict[str, Any] = {
            "event": event.event, "start_time": stamp(event.start, zone=".000000"), "result": event.result, "traceback": event.traceback,
            "finish_time": event.finish and stamp(event.finish, zone=".000000"),
        }  # fmt: skip
        if version >= (2, 62):
            shown.update(
                host=event.host, hostId=hashlib.sha224(str(event.host).encode()).hexdigest() if event.host else None
            )
        if version >= (2, 84):
            shown["details"] = event.details
        body["events"].insert(0, shown)
    return body


def service(world: World, host: Host) -> dict[str, Any]:
    """A nova-compute of /os-services (2.53); who changes its record writes its time too."""
    if host.cell in world.silent:
        return {"binary": "nova-compute", "host": host.name, "status": "UNKNOWN"}
    seen = world.clock.now if host.up else max(host.seen, host.wrote)
    return {
        "id": host.service, "binary": "nova-compute", "host": host.name, "state": host.state, "status": "disabled" if host.disabled else "enabled",
        "zone": host.zone, "disabled_reason": host.disabled_reason, "forced_down": host.forced_down, "updated_at": world.clock.stamp(seen, zone=".000000"),
    }  # fmt: skip


def hypervisor(
    world: World, host: Host, version: Version, *, servers: bool = False, detail: bool = True
) -> dict[str, Any]:
    """A compute node of /os-hypervisors (2.53)."""
    body: dict[str, Any] = {
        "id": host.uuid if version >= (2, 53) else host.id,
        "hypervisor_hostname": host.name,
        "state": host.state,
        "status": "disabled" if host.disabled else "enabled",
    }
    if detail:
        body.update(host_ip=host.ip, hypervisor_type="QEMU", hypervisor_version=8002000,
                    service={"id": host.service, "host": host.name, "disabled_reason": host.disabled_reason})  # fmt: skip
    if detail and version >= (2, 88):
        body["uptime"] = None
    elif detail:
        used = {kind: world.placement.used(host.uuid, kind) for kind in ("VCPU", "MEMORY_MB", "DISK_GB")}
        body.update(vcpus=host.vcpus, vcpus_used=used["VCPU"], memory_mb=host.ram, memory_mb_used=used["MEMORY_MB"], local_gb=host.disk,
                    local_gb_used=used["DISK_GB"], free_ram_mb=host.ram - used["MEMORY_MB"], free_disk_gb=host.disk - used["DISK_GB"],
                    running_vms=len(host.domains), current_workload=0, disk_available_least=host.disk, cpu_info={})  # fmt: skip
    if servers:
        body["servers"] = [
            {"name": one.instance_name, "uuid": one.id}
            for one in world.servers.values()
            if one.host == host.name and not one.deleted
        ]
    return body
