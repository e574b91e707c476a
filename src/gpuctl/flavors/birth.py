"""A flavor is born: private first, its extra specs next; whatever happens, there is one of it or none.

Nova's create takes no extra specs, so that there is a moment in which the flavor has none. While it is private and open
to no project, nobody but an administrator can boot with it in that moment (nova/objects/flavor.py: for anybody else the
query joins the access list; the creator's project is not put on it, LP 1209101).
"""

from __future__ import annotations

import uuid

from gpuctl.cloud import CloudError, NotAuthorised, Rejected, Uncertain, Unreachable
from gpuctl.flavors.api import FlavorApi
from gpuctl.flavors.errors import FlavorError, HalfMade
from gpuctl.flavors.model import Standing, Wanted

TRIES = 4


def bear(api: FlavorApi, wish: Wanted, flavor: str | None = None, *, checked: bool = True) -> str:
    """Return the id of a flavor that was made and given its extra specs; not yet read back, not yet open to anybody.

    Args:
        api: the cloud.
        wish: what it is to be.
        flavor: the id to give it; the wish's own, or a new one, by default.
        checked: let Nova validate the extra specs, where it can.

    Raises:
        CloudError: it could not be made, and none was left behind.
        HalfMade: it could not be made, nor what is there of it be removed.
    """
    # The id is always ours: after a lost answer it tells our flavor from anybody else's.
    chosen = flavor or wish.id or str(uuid.uuid4())
    _create(api, wish, chosen)
    try:
        api.set_specs(chosen, wish.specs, checked=checked)
    except CloudError as error:
        _remove(api, wish, chosen, error)
        raise
    return chosen


def _create(api: FlavorApi, wish: Wanted, flavor: str) -> None:
    """Let the flavor be there, once."""
    lost: CloudError | None = None
    for _ in range(TRIES):
        try:
            api.create(flavor, wish)
        except (Uncertain, Unreachable) as error:
            if lost is None and isinstance(error, Unreachable):
                raise
            lost = error
        except Rejected as error:
            if error.status == 409 and lost is not None and _ours(api, wish, flavor):
                return
            raise
        else:
            return
        if _ours(api, wish, flavor):
            return
    if lost is None:
        raise AssertionError("a try ends with an answer or without one")
    _remove(api, wish, flavor, lost)
    raise lost


def _ours(api: FlavorApi, wish: Wanted, flavor: str) -> bool:
    """Say whether the flavor of this id is the one that we asked for."""
    found = api.get(flavor)
    return found is not None and same_size(wish, found)


def same_size(wish: Wanted, found: Standing) -> bool:
    """Say whether everything that cannot be changed is as wished."""
    return all(
        getattr(wish, name) == getattr(found, name)
        for name in ("name", "vcpus", "ram", "disk", "ephemeral", "swap", "public")
    )


def _remove(api: FlavorApi, wish: Wanted, flavor: str, cause: CloudError) -> None:
    """Take back what may be there of a flavor that was not finished."""
    try:
        api.delete(flavor)
    except CloudError as error:
        open_to = "everybody" if wish.public else "administrators alone"
        raise HalfMade(
            f"flavor {wish.name} ({flavor}) may be there without its extra specs, and could not be removed",
            details=f"{cause.brief}\n{cause.details}\n{error.brief}\n"
            f"A server of it would have no GPU; it can be used by {open_to}.",
            resolution=f"openstack flavor delete {flavor}, or run this again: it is finished then",
        ) from error


def fatal(error: Exception) -> bool:
    """Say whether it is no use to go on with other flavors after this."""
    return isinstance(error, (NotAuthorised, Unreachable)) and not isinstance(error, FlavorError)
