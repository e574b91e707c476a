"""Who owns which card, read past every API from Nova's tables, Placement's, libvirt's and the folders.

This is the judge of the moves' tests. It shares no line with gpuctl.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .lab import Lab

_SERVERS = "select uuid, host, vm_state, task_state from nova.instances where deleted = 0"
_HELD = (
    "select c.uuid as consumer, p.name as provider, p.parent_provider_id as parent, rc.name as class, a.used"
    " from placement.allocations a join placement.consumers c on c.uuid = a.consumer_id"
    " join placement.resource_providers p on p.id = a.resource_provider_id"
    " join placement.resource_classes rc on rc.id = a.resource_class_id"
)


def wrongs(lab: Lab, cards: dict[str, int], *, tracked: bool) -> list[str]:
    """Everything that is not as it should be; empty is a clean cloud.

    Args:
        lab: the lab.
        cards: how many cards each server should have.
        tracked: whether Placement tracks the cards.
    """
    servers = {row["uuid"]: row for row in lab.sql(_SERVERS)}
    found = [f"server {uuid} is missing" for uuid in cards if uuid not in servers]
    found += [f"server {uuid} has task_state {row['task_state']}" for uuid, row in servers.items() if row["task_state"]]
    found += _rows(lab, cards, servers)
    found += _domains(lab, cards, servers)
    found += _placement(lab, cards, servers, tracked=tracked)
    found += _leftovers(lab, servers)
    open_ = "select id, instance_uuid, status from nova.migrations where deleted = 0 and status not in %s"
    over = ("confirmed", "reverted", "completed", "failed", "cancelled")
    found += [
        f"migration {row['id']} is {row['status']}" for row in lab.sql(open_, over) if row["instance_uuid"] in servers
    ]
    return found


def owners(lab: Lab) -> dict[tuple[str, str], str]:
    """(host, address) -> server, by Nova's rows."""
    return {(r["host"], r["address"]): r["instance_uuid"] for r in lab.pci_rows() if r["instance_uuid"]}


def _rows(lab: Lab, cards: dict[str, int], servers: dict[str, dict[str, str]]) -> list[str]:
    found = []
    held: dict[str, list[str]] = {}
    for (host, address), owner in owners(lab).items():
        held.setdefault(owner, []).append(host)
        if owner not in servers:
            found.append(f"row {host} {address} belongs to {owner}, which is no server")
        elif servers[owner]["host"] != host:
            found.append(f"row {host} {address} belongs to {owner}, which is on {servers[owner]['host']}")
    for uuid, count in cards.items():
        wanted = count if uuid in servers and servers[uuid]["host"] else 0
        if len(held.get(uuid, [])) != wanted:
            found.append(f"server {uuid} has {len(held.get(uuid, []))} rows, not {wanted}")
    return found


def _domains(lab: Lab, cards: dict[str, int], servers: dict[str, dict[str, str]]) -> list[str]:
    found = []
    rows = owners(lab)
    seen: set[str] = set()
    for host in lab.hosts():
        for domain in lab.domains(host):
            if domain.uuid not in servers or servers[domain.uuid]["host"] != host:
                found.append(f"domain {domain.uuid} on {host} does not belong there")
                continue
            seen.add(domain.uuid)
            mine = {address for (where, address), owner in rows.items() if where == host and owner == domain.uuid}
            if set(domain.hostdevs) != mine:
                found.append(f"domain {domain.uuid} has {domain.hostdevs}, its rows say {sorted(mine)}")
            if domain.running != (servers[domain.uuid]["vm_state"] == "active"):
                found.append(f"domain {domain.uuid} running: {domain.running}, {servers[domain.uuid]['vm_state']}")
    found += [
        f"server {uuid} is active and has no domain"
        for uuid in cards
        if uuid in servers and servers[uuid]["vm_state"] == "active" and uuid not in seen
    ]
    return found


def _placement(lab: Lab, cards: dict[str, int], servers: dict[str, dict[str, str]], *, tracked: bool) -> list[str]:
    found = []
    rows = owners(lab)
    mine: dict[str, set[str]] = {}
    for row in lab.sql(_HELD):
        # Nova writes a device's address in capitals there.
        mine.setdefault(row["consumer"], set()).add(row["provider"].lower())
    for consumer, providers in mine.items():
        if consumer not in servers:
            found.append(f"{consumer} holds {sorted(providers)} in Placement and is no server")
    for uuid in cards:
        host = servers[uuid]["host"] if uuid in servers else None
        wanted = {host} if host else set()
        if tracked:
            wanted |= {
                f"{where}_{address}" for (where, address), owner in rows.items() if (where, owner) == (host, uuid)
            }
        if mine.get(uuid, set()) != wanted:
            found.append(f"server {uuid} holds {sorted(mine.get(uuid, set()))} in Placement, not {sorted(wanted)}")
    return found


def _leftovers(lab: Lab, servers: dict[str, dict[str, str]]) -> list[str]:
    found = []
    for host in lab.hosts():
        for name in lab.instance_folders(host):
            uuid = name.partition("_")[0]
            if name.endswith("_resize") or uuid not in servers or servers[uuid]["host"] != host:
                found.append(f"folder {name} on {host}")
    return found
