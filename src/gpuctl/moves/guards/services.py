"""Guards about the two nova-computes."""

from __future__ import annotations

from gpuctl.moves.guards.say import fail, good
from gpuctl.moves.guards.situation import Situation
from gpuctl.moves.model import Compute, Finding


def source(at: Situation) -> Finding:
    """The source's nova-compute is up: it does half of the work, and the confirm."""
    name, one = "move-source-up", at.books.computes.get(at.source)
    if one is None:
        return fail(
            name, at, f"there is no compute service {at.source}", "GET /os-services", "openstack compute service list"
        )
    if not one.up or one.forced_down:
        fix = "start it; if the machine is dead: gpuctl instance drain --evacuate"
        return fail(name, at, f"nova-compute on {at.source} is down", _said(one), fix)
    return good(name, at, f"nova-compute on {at.source} is up", _said(one))


def destination(at: Situation) -> Finding:
    """The destination's nova-compute is up and enabled; or one is, where Nova chooses."""
    name = "move-destination-up"
    if at.to is None:
        able = others(at)
        if able:
            return good(name, at, f"{len(able)} hosts could take it", ", ".join(able[:8]))
        return fail(
            name, at, "no other compute service is up and enabled", "GET /os-services", "openstack compute service list"
        )
    one = at.books.computes.get(at.to)
    if at.to == at.source:
        return fail(name, at, f"it is on {at.to} already", f"server {at.server.id}", "name another host")
    if one is None:
        return fail(name, at, f"there is no compute host {at.to}", "GET /os-services", "openstack compute service list")
    if at.books.apart(at.source, at.to):
        said = (
            f"{at.source} and {at.to} are in the databases of different cells; Nova unshelves in a server's own alone"
        )
        return fail(
            name, at, f"{at.to} is in another cell: gpuctl moves no server there", said, "name a host of its cell"
        )
    if not ready(one):
        fix = f"openstack compute service set --enable {at.to} nova-compute, or name another host"
        return fail(name, at, f"nova-compute on {at.to} is {_why(one)}", _said(one), fix)
    return good(name, at, f"nova-compute on {at.to} is up and enabled", _said(one))


def ready(one: Compute) -> bool:
    """Say whether the scheduler sends servers there."""
    return one.up and one.enabled and not one.forced_down


def others(at: Situation) -> list[str]:
    """Return the hosts that the scheduler could choose, by name."""
    return sorted(
        one.host
        for one in at.books.computes.values()
        if ready(one) and one.host != at.source and not at.books.apart(at.source, one.host)
    )


def _why(one: Compute) -> str:
    if one.forced_down:
        return "forced down"
    return "disabled" if one.up else "down"


def _said(one: Compute) -> str:
    return f"{one.host}: {'up' if one.up else 'down'}, {'enabled' if one.enabled else f'disabled ({one.reason})'}"
