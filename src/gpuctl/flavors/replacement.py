"""A flavor is replaced: what Nova cannot change is deleted and made anew, with its id and its access list.

Servers keep the copy of the flavor that they were made with (nova/objects/instance.py: flavor): deleting it harms none.
"""

from __future__ import annotations

from gpuctl.cloud import CloudError
from gpuctl.flavors.api import FlavorApi
from gpuctl.flavors.birth import bear
from gpuctl.flavors.errors import FlavorError, HalfMade, Verification
from gpuctl.flavors.model import Standing, Wanted


def replace_flavor(api: FlavorApi, wish: Wanted, old: Standing) -> str:
    """Return the id of the new flavor; where it could not be made, the old one is there again.

    The access list is the wish's, or the old one's where the wish says nothing; granting it is done here, after
    reading back, as the old flavor was open too.

    Raises:
        CloudError, FlavorError: the new flavor could not be made; the old one is back.
        HalfMade: neither is there.
    """
    access = () if old.public else api.access(old.id)
    api.delete(old.id)
    try:
        flavor = bear(api, wish, wish.id or old.id)
        _check(api, wish, flavor)
    except (CloudError, FlavorError) as error:
        _put_back(api, old, access, wish.id or old.id, error)
        raise
    if wish.access is None and not wish.public:
        for project in access:
            api.grant(flavor, project)
    return flavor


def _check(api: FlavorApi, wish: Wanted, flavor: str) -> None:
    """Let nothing be opened whose extra specs are not there."""
    found = api.get(flavor)
    if found is None or any(found.specs.get(key) != value for key, value in wish.specs.items()):
        raise Verification(f"flavor {wish.name}: read back: its extra specs are not as written")


def _put_back(
    api: FlavorApi, old: Standing, access: tuple[str, ...], half: str, cause: CloudError | FlavorError
) -> None:
    """Make the old flavor again; ``half`` is the id of what may be there of the new one."""
    before = Wanted(
        old.name, old.vcpus, old.ram, old.disk, old.ephemeral, old.swap, old.public, old.specs, old.id, old.description
    )
    try:
        api.delete(half)
        bear(api, before, checked=False)  # what is there already may be what validation would refuse
        for project in access:
            api.grant(old.id, project)
    except (CloudError, FlavorError) as error:
        raise HalfMade(
            f"flavor {old.name} ({old.id}) was deleted to be replaced, and neither the new nor the old could be made",
            details=f"{cause.brief}\n{error.brief}\nit was: {old.vcpus} vCPUs, {old.ram} MiB, {old.disk} GiB, "
            f"{old.specs}, open to {', '.join(access) or ('everybody' if old.public else 'nobody')}",
            resolution="run it again once the API is well: the catalogue's flavor is made then",
        ) from error
