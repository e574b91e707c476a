"""POST /servers/{id}/action: what is allowed when, and the texts of the refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.sim.cloud.flows import cold, evacuate, live, power, shelve
from tests.sim.cloud.records import Host, Migration, Server
from tests.sim.cloud.views import Version
from tests.sim.cloud.world import World
from tests.sim.front import Answer

#: The vm_states that an action is allowed in (nova/compute/api.py, check_instance_state), and the verb of the refusal.
STATES = {
    "migrate": ("migrate", {"active", "stopped"}), "confirmResize": ("confirmResize", {"resized"}), "revertResize": ("revertResize", {"resized"}),
    "os-stop": ("stop", {"active", "error"}), "os-start": ("start", {"stopped"}), "shelve": ("shelve", {"active", "stopped", "paused", "suspended"}),
    "shelveOffload": ("shelveOffload", {"shelved"}), "unshelve": ("unshelve", {"shelved", "shelved_offloaded"}),
    "evacuate": ("evacuate", {"active", "stopped", "error"}), "os-migrateLive": ("os-migrateLive", {"active", "paused"}),
}  # fmt: skip


def act(world: World, server: Server, body: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    """Do one action."""
    ((name, said),) = body.items()
    doer = _DOERS.get(name)
    if doer is None:
        raise Answer(400, f"There is no such action: {name}")
    if name in STATES:
        _allowed(server, *STATES[name])
    if server.host is None and name not in {"unshelve", "lock", "unlock", "os-resetState"}:
        raise Answer(409, f"Instance {server.id} is not ready")
    return doer(world, server, said or {}, version, request)


def _allowed(server: Server, verb: str, states: set[str]) -> None:
    if server.vm_state not in states:
        raise Answer(409, f"Cannot '{verb}' instance {server.id} while it is in vm_state {server.vm_state}")
    if server.task_state is not None:
        raise Answer(409, f"Cannot '{verb}' instance {server.id} while it is in task_state {server.task_state}")


def _target(world: World, server: Server, said: dict[str, Any], verb: str) -> str | None:
    target = said.get("host")
    if target is None:
        return None
    if target not in world.hosts:
        raise Answer(400, f"Compute host {target} could not be found.")
    if target == server.host:
        raise Answer(400, f"Cannot {verb} to the host where the server exists.")
    return str(target)


def _source_up(host: Host) -> None:
    if host.state != "up":
        raise Answer(409, "Service is unavailable at this time.")


def _finished(world: World, server: Server) -> Migration:
    """The first record that is `finished`: not always the newest (openstack-lab.md 5)."""
    for one in world.migrations_of(server.id):
        if one.status == "finished":
            return one
    raise Answer(400, "Instance has not been resized.")


def _migrate(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    if said and version < (2, 56):
        raise Answer(400, f"Invalid input for field/attribute migrate. Value: {said}. {said} is not of type 'null'")
    target = _target(world, server, said, "migrate")
    _source_up(world.on(server))
    cold.begin_migrate(world, server, target, request)
    return 202, None


def _confirm(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    migration = _finished(world, server)
    cold.begin_confirm(world, server, migration, request)
    return 204, None


def _revert(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    cold.begin_revert(world, server, _finished(world, server), request)
    return 202, None


def _reset(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    if said.get("state") not in {"active", "error"}:
        raise Answer(400, f"Invalid input for field/attribute state. Value: {said.get('state')}.")
    # The record and nothing else: no migration, no card, no allocation, no guest.
    world.touch(server, vm_state=said["state"], task_state=None)
    return 202, None


def _stop(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    power.begin_stop(world, server, request)
    return 202, None


def _start(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    power.begin_start(world, server, request)
    return 202, None


def _reboot(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    hard = said.get("type") == "HARD"
    _allowed(server, "reboot", {"active"} | ({"stopped", "paused", "suspended", "error"} if hard else set()))
    power.begin_reboot(world, server, hard, request)
    return 202, None


def _shelve(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    shelve.begin_shelve(world, server, request)
    return 202, None


def _offload(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    shelve.begin_offload(world, server, request)
    return 202, None


def _unshelve(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    allowed = ({"availability_zone"} if version >= (2, 77) else set()) | ({"host"} if version >= (2, 91) else set())
    if set(said) - allowed:
        raise Answer(400, f"Invalid input for field/attribute unshelve. Value: {said}.")
    target, zone = said.get("host"), said.get("availability_zone")
    if said and server.vm_state != "shelved_offloaded":
        raise Answer(409, f'Specifying an availability zone or a host when unshelving server {server.id} with status "{server.vm_state}" is not supported. The server status must be SHELVED_OFFLOADED.')  # fmt: skip
    if target is not None and target not in world.hosts:
        raise Answer(400, f"Compute host {target} could not be found.")
    if target and zone and world.hosts[target].zone != zone:
        raise Answer(409, f'Host "{target}" is not in the availability zone "{zone}".')
    if version >= (2, 77) and "availability_zone" in said:
        server.pinned_zone = zone
    shelve.begin_unshelve(world, server, request, target=target, zone=zone)
    return 202, None


def _evacuate(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    if said.get("host") == server.host and server.host is not None:
        raise Answer(400, "The target host can't be the same one.")
    target = _target(world, server, said, "evacuate")
    if world.on(server).state == "up":
        raise Answer(400, f"Compute service of {server.host} is still in use.")
    evacuate.begin_evacuate(world, server, target, request, stays_stopped=version >= (2, 95))
    return 200, None


def _live(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    target = _target(world, server, said, "migrate")
    _source_up(world.on(server))
    live.begin_live(world, server, target, request)
    return 202, None


def _lock(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    world.touch(server, locked=True, locked_reason=said.get("locked_reason"))
    return 202, None


def _unlock(world: World, server: Server, said: dict[str, Any], version: Version, request: str) -> tuple[int, Any]:
    world.touch(server, locked=False, locked_reason=None)
    return 202, None


Doer = Callable[[World, Server, "dict[str, Any]", Version, str], "tuple[int, Any]"]
_DOERS: dict[str, Doer] = {
    "migrate": _migrate,
    "confirmResize": _confirm,
    "revertResize": _revert,
    "os-resetState": _reset,
    "os-stop": _stop,
    "os-start": _start,
    "reboot": _reboot,
    "shelve": _shelve,
    "shelveOffload": _offload,
    "unshelve": _unshelve,
    "evacuate": _evacuate,
    "os-migrateLive": _live,
    "lock": _lock,
    "unlock": _unlock,
}
