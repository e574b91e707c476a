"""Guards about where it may go: server groups, zones, room."""

from __future__ import annotations

from gpuctl.moves.guards.say import fail, good, skip, warn
from gpuctl.moves.guards.situation import Group, Situation
from gpuctl.moves.model import Books, Finding


def group(at: Situation) -> Finding:
    """Its server group allows the destination."""
    name = "move-group"
    if not at.server.groups and at.server.groups is not None:
        return good(name, at, "in no server group")
    if at.groups is None or at.server.groups is None:
        return skip(name, at, "its server groups could not be read", "GET /os-server-groups (2.71 names them)")
    for one in at.groups:
        there = ", ".join(sorted(host or "no host" for host in one.members.values()))
        said = f"{one.policy}: {there or 'no other member'}"
        if at.to is None:
            if one.policy == "affinity" and at.source in one.members.values():
                return fail(
                    name,
                    at,
                    "its group wants all members on one host, and others are on this one",
                    said,
                    "move it out of the group's policy first",
                )
            continue
        if not allows(one, at.to):
            fix = "name another host; Nova would refuse this one, or break the policy"
            return fail(name, at, f"its server group ({one.policy}) does not allow {at.to}", said, fix)
        if one.policy.startswith("soft-") and not allows(one, at.to, soft=True):
            return warn(name, at, f"its server group ({one.policy}) would rather not have it on {at.to}", said)
    return good(name, at, "its server groups allow it", f"{len(at.groups)} groups")


def allows(one: Group, host: str, *, soft: bool = False) -> bool:
    """Say whether a group lets its server be on a host.

    Args:
        one: the group.
        host: a compute host.
        soft: hold soft policies for hard ones.
    """
    policy = one.policy.removeprefix("soft-") if soft else one.policy
    there = [each for each in one.members.values() if each == host]
    if policy == "anti-affinity":
        return len(there) < one.limit
    if policy == "affinity":
        return not [each for each in one.members.values() if each not in {host, None}]
    return True


def zone(at: Situation) -> Finding:
    """The destination is in the zone that the server was asked for in."""
    name, books, server = "move-zone", at.books, at.server
    if at.to is None or at.to not in books.computes:
        return good(name, at, "Nova keeps to its zone", f"zone {server.zone}, pinned to {server.pinned_zone or 'none'}")
    there = books.computes[at.to].zone
    said = f"{at.to} is in {there}, the server in {server.zone}, pinned to {server.pinned_zone or 'none'}"
    if there is None:
        return skip(name, at, f"the zone of {at.to} is not known", said)
    if server.pinned_zone is not None and there != server.pinned_zone:
        return fail(
            name,
            at,
            f"it is pinned to zone {server.pinned_zone}, {at.to} is not in it",
            said,
            "name a host of that zone",
        )
    if there != server.zone:
        if books.newest < (2, 96):
            title = "another zone than now, and whether it is pinned to one is shown from 2.96 on only"
            return warn(name, at, title, said)
        return warn(name, at, "another zone than now; it is pinned to none", said)
    return good(name, at, "in its zone", said)


NEEDS = ("VCPU", "MEMORY_MB", "DISK_GB")


def headroom(at: Situation) -> Finding:
    """The destination has the memory, the CPUs and the disk, as Placement counts them."""
    name = "move-headroom"
    if at.to is None:
        return good(name, at, "Nova's scheduler finds room")
    lacking = short(at.books, at, at.to)
    if lacking is None:
        return skip(name, at, f"the room on {at.to} is not seen", "Placement shows it")
    if lacking:
        return fail(name, at, f"{at.to} has no room for it", "; ".join(lacking), "name another host")
    return good(name, at, f"{at.to} has room", _flavor(at))


def short(books: Books, at: Situation, host: str) -> list[str] | None:
    """Return what a host has too little of; None where Placement does not say."""
    root = next((one for one in (books.providers or {}).values() if one.host == host and one.parent is None), None)
    if root is None or root.usages is None or not root.inventories:
        return None
    found = []
    for kind, need in _need(at).items():
        left = root.inventories.get(kind, 0) - root.usages.get(kind, 0)
        if kind in root.inventories and left < need:
            found.append(f"{kind}: {need} needed, {left} left")
    return found


def _need(at: Situation) -> dict[str, int]:
    server = at.server
    disk = server.ephemeral_gib + -(-server.swap_mib // 1024) + (0 if server.boots_from_volume else server.root_gib)
    cpus = "PCPU" if server.specs.get("hw:cpu_policy") == "dedicated" else "VCPU"
    return {cpus: server.vcpus, "MEMORY_MB": server.ram_mib, "DISK_GB": disk}


def _flavor(at: Situation) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in _need(at).items())
