"""What tests ask of a lab's Nova, past gpuctl: servers made, actions done, and waited for."""

from __future__ import annotations

import time
import urllib.error
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .lab import Lab

SOON_S = 180.0


def until(condition: Callable[[], Any], what: str, seconds: float = SOON_S) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)
    return value


def boot(lab: Lab, alias: str, host: str, *, name: str = "guest", **specs: str) -> str:
    """The id of a server that runs on the host with the alias's device."""
    flavor = f"gpu-{alias.replace(':', '-')}"
    if flavor not in {one["id"] for one in lab.rest.call("compute", "GET", "/flavors?is_public=None")["flavors"]}:
        wish = {"id": flavor, "name": flavor, "vcpus": 2, "ram": 2048, "disk": 10}
        lab.rest.call("compute", "POST", "/flavors", {"flavor": wish})
        extra = {"pci_passthrough:alias": alias, **specs}
        lab.rest.call("compute", "POST", f"/flavors/{flavor}/os-extra_specs", {"extra_specs": extra})
    server = {"name": name, "flavorRef": flavor, "imageRef": lab.image_id(), "networks": "none", "host": host}
    made = str(lab.rest.call("compute", "POST", "/servers", {"server": server})["server"]["id"])
    if settle(lab, made)["status"] != "ACTIVE":
        raise AssertionError(f"it did not boot: {show(lab, made)}")
    return made


def show(lab: Lab, server: str) -> dict[str, Any]:
    """The server as the API shows it."""
    found: dict[str, Any] = lab.rest.call("compute", "GET", f"/servers/{server}")["server"]
    return found


def settle(lab: Lab, server: str) -> dict[str, Any]:
    """The server, once nothing is being done to it."""

    def quiet() -> dict[str, Any] | None:
        found = show(lab, server)
        return found if found["OS-EXT-STS:task_state"] is None and found["status"] != "BUILD" else None

    found: dict[str, Any] = until(quiet, f"server {server} at rest")
    return found


def act(lab: Lab, server: str, body: dict[str, Any]) -> None:
    """The API took the request."""
    lab.rest.call("compute", "POST", f"/servers/{server}/action", body)


def reset_state(lab: Lab, server: str, state: str = "active") -> None:
    """The server says that it is in this state."""
    act(lab, server, {"os-resetState": {"state": state}})


def migrate(lab: Lab, server: str, host: str | None = None) -> list[str]:
    """A migration was asked for and has ended, one way or the other; returns the statuses of all its records."""
    before = len(lab.migrations(server))
    act(lab, server, {"migrate": {"host": host} if host else None})

    def ended() -> bool:
        rows = lab.migrations(server)
        return len(rows) > before and rows[-1]["status"] in {"finished", "error", "failed", "confirmed", "reverted"}

    until(ended, f"the end of the migration of {server}")
    settle(lab, server)
    return [str(row["status"]) for row in lab.migrations(server)]


def action_ended(lab: Lab, server: str, action: str) -> dict[str, Any]:
    """The newest instance action of this name, once nova-compute is through with it."""

    def ended() -> dict[str, Any] | None:
        path = f"/servers/{server}/os-instance-actions"
        found = lab.rest.call("compute", "GET", path)["instanceActions"]
        newest = next((one for one in found if one["action"] == action), None)
        if newest is None:
            return None
        whole: dict[str, Any] = lab.rest.call("compute", "GET", f"{path}/{newest['request_id']}")["instanceAction"]
        over = all(event["finish_time"] for event in whole["events"])
        over = over and any(event["event"].startswith("compute_") for event in whole["events"])
        # Nova reads an action before its events: what it says of itself may be older than they are, so it is asked again.
        return lab.rest.call("compute", "GET", f"{path}/{newest['request_id']}")["instanceAction"] if over else None

    found: dict[str, Any] = until(ended, f"{action} of {server}")
    settle(lab, server)
    return found


def insist(lab: Lab, server: str, body: dict[str, Any], action: str, status: str) -> None:
    """The server reached the status by this action, asked for again where an earlier failure's end undid it.

    A failed operation clears the task once more after the server came to rest (reverts_task_state in
    nova/compute/manager.py); what was asked for in between ends in UnexpectedTaskStateError and changed nothing.
    """
    for _ in range(3):
        act(lab, server, body)
        action_ended(lab, server, action)
        if show(lab, server)["status"] == status:
            return
    raise AssertionError(f"{action} of {server} did not end in {status}: {show(lab, server)}")


def compute_service(lab: Lab, host: str) -> dict[str, Any]:
    """The nova-compute service of a host."""
    services = lab.rest.call("compute", "GET", f"/os-services?binary=nova-compute&host={host}")["services"]
    found: dict[str, Any] = services[0]
    return found


def force_down(lab: Lab, host: str, *, down: bool) -> int:
    """Nova was told that the host is down, or up again; returns the status of the answer."""
    path = f"/os-services/{compute_service(lab, host)['id']}"
    try:
        lab.rest.call("compute", "PUT", path, {"forced_down": down})
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200
