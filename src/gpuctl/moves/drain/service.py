"""The compute service of a host: disabled with our reason, forced down, given back only where it is ours to give."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl.moves.drain.record import Before, Past, Record
from gpuctl.moves.errors import CellSilent, MoveError, Unsafe
from gpuctl.moves.nova_api import NovaApi

if TYPE_CHECKING:
    from gpuctl.cloud import Cloud
    from gpuctl.moves.model import Compute

_OURS = re.compile(r"gpuctl drain (\S+) by ")
_LONGEST = 255  # characters of a disabled_reason (nova/api/openstack/compute/schemas/services.py)


class NoSuchHost(MoveError):
    """No nova-compute has that name."""

    exit_code = 2


class NotDone(MoveError):
    """The API said yes, and the service is not so."""


def reason(run: str, user: str) -> str:
    """Return the reason that a drain gives; by it the service is known as this run's."""
    return f"gpuctl drain {run} by {user}"[:_LONGEST]


def run_of(compute: Compute) -> str | None:
    """Return the run that disabled a service; None where it is enabled, or somebody else did."""
    found = _OURS.match(compute.reason or "") if not compute.enabled else None
    return found[1] if found else None


def enable_command(host: str) -> str:
    """Return how an operator gives the host back."""
    return f"openstack compute service set --enable {host} nova-compute"


def find(api: NovaApi, host: str) -> Compute:
    """Return a host's compute service as it is now.

    Raises:
        NoSuchHost: there is none.
        CellSilent: its cell does not answer: what is on it is unknown.
    """
    found = api.computes().get(host)
    if found is None:
        raise NoSuchHost(f"no compute host {host!r}", resolution="openstack compute service list shows them")
    if found.silent:
        raise CellSilent(f"the cell of {host}")
    return found


def disable(api: NovaApi, record: Record, run: str, user: str, compute: Compute) -> Compute:
    """The scheduler sends nothing there any more: read back. One that was disabled before keeps its own reason.

    Raises:
        NotDone: Nova took it, and it is not so.
        CloudError: Nova did not take it.
    """
    _remember(record, run, compute)
    if not compute.enabled:
        return compute
    change = {"status": "disabled", "disabled_reason": reason(run, user)}
    api.set_compute(compute, change, f"disable nova-compute on {compute.host}")
    now = find(api, compute.host)
    if now.enabled:
        raise NotDone(f"nova-compute on {compute.host} is still enabled", resolution="openstack compute service list")
    return now


def force_down(api: NovaApi, record: Record, run: str, compute: Compute) -> Compute:
    """Nova holds the host for dead: read back.

    Raises:
        NotDone: Nova took it, and it is not so.
        CloudError: Nova did not take it.
    """
    if compute.forced_down:
        return compute
    _remember(record, run, compute)
    api.set_compute(compute, {"forced_down": True}, f"force nova-compute on {compute.host} down")
    now = find(api, compute.host)
    if now.up or not now.forced_down:
        raise NotDone(f"nova-compute on {compute.host} is not forced down", resolution="openstack compute service list")
    return now


def _remember(record: Record, run: str, compute: Compute) -> None:
    """What the service was is on disk before it is changed."""
    before = {"enabled": compute.enabled, "reason": compute.reason, "forced_down": compute.forced_down}
    record.write("service", run, before=before)


def enable_again(cloud: Cloud, host: str, run: str) -> None:
    """The scheduler may use the host again, if it was this run that took it away: read back.

    A host that was evacuated is first no longer held for dead, once its nova-compute has ended its evacuations.

    Raises:
        NoSuchHost: there is no such host.
        Unsafe: somebody else disabled it, or evacuations from it have not ended.
        NotDone: Nova took it, and it is not so.
        CloudError: Nova did not take it.
    """
    api = NovaApi.of(cloud.service("compute"))
    compute = find(api, host)
    with Record.open(cloud.name, host) as record:
        past = next((one for one in record.past() if one.run == run), None)
        if compute.forced_down:
            _raise(api, compute, past)
        if not compute.enabled:
            _enable(api, compute, run)
        now = find(api, host)
        if not now.enabled or now.forced_down:
            raise NotDone(f"nova-compute on {host} is not enabled", resolution=enable_command(host))
        record.write("enabled", run)


def _enable(api: NovaApi, compute: Compute, run: str) -> None:
    if run_of(compute) != run:
        raise Unsafe(
            f"{compute.host} was not disabled by drain {run}",
            details=f"its reason: {compute.reason or 'none'}",
            resolution=f"ask who did; then {enable_command(compute.host)}",
        )
    api.set_compute(compute, {"status": "enabled"}, f"enable nova-compute on {compute.host}")


def _raise(api: NovaApi, compute: Compute, past: Past | None) -> None:
    """It is no longer held for dead, if it was us who did that, and every evacuation from it has ended."""
    if past is None or past.before is None or past.before.forced_down:
        raise Unsafe(
            f"{compute.host} was forced down by somebody else",
            resolution=f"once it is known to be well: openstack compute service set --up {compute.host} nova-compute",
        )
    refuse_undone(api, compute.host)
    api.set_compute(compute, {"forced_down": False}, f"no longer hold nova-compute on {compute.host} for dead")


def refuse_undone(api: NovaApi, host: str) -> None:
    """No evacuation from a host waits for its nova-compute.

    Raises:
        Unsafe: some do: Nova would refuse to hold the host for alive (nova.md 4.7).
    """
    waiting = [
        one
        for one in api.migrations(host=host)
        if one.source == host and one.kind == "evacuation" and one.status == "done"
    ]
    if waiting:
        raise Unsafe(
            f"{len(waiting)} evacuations from {host} have not ended",
            details=", ".join(f"migration {one.id} of {one.server}" for one in waiting[:8]),
            resolution=f"start nova-compute on {host}: it removes the old guests and ends them; then ask again",
        )


__all__ = ["Before", "NoSuchHost", "NotDone", "disable", "enable_again", "enable_command", "find", "force_down"]
