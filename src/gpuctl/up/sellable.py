"""What can be sold now: hosts, cards by model, flavors and who may use them; read from the hosts and the cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl.cloud import CloudError
from gpuctl.flavors.lookup import with_access
from gpuctl.flavors.model import ALIAS
from gpuctl.nova.hosts import host_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuctl.flavors.api import FlavorApi
    from gpuctl.up.hosts import HostView


def sellable(
    api: FlavorApi, views: Sequence[HostView], flavors: Sequence[str], aliases: Mapping[str, str], *, proven: bool
) -> dict[str, Any]:
    """Return it as a JSON value; ``flavors`` is null where the cloud could not be asked.

    Args:
        api: the cloud's flavors.
        views: the hosts that are ready and known to Nova.
        flavors: the names of those that are as wished.
        aliases: of the models, in Nova.
        proven: whether a server of each model was seen with its cards.
    """
    try:
        shown = with_access(api, [one for one in api.every() if one.name in set(flavors)]) if flavors else []
    except CloudError:
        shown = None
    return {
        "proven": proven,
        "hosts": [view.host for view in views],
        "cards": _cards(views, aliases),
        "flavors": None
        if shown is None
        else [
            {
                "name": one.name,
                "vcpus": one.vcpus,
                "ram_mib": one.ram,
                "disk_gib": one.disk,
                "gpus": one.specs.get(ALIAS),
                "open_to": "everybody" if one.public else list(one.access or ()),
            }
            for one in shown
        ],
    }


def _cards(views: Sequence[HostView], aliases: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return one row a model, of the cards that vfio-pci has."""
    found: dict[str, dict[str, Any]] = {}
    for view in views:
        for card in host_of(view.named_facts, origin=view.host).cards:
            if not card.prepared:
                continue
            row = found.setdefault(
                card.ids,
                {"model": card.ids, "name": card.what, "alias": aliases.get(card.ids), "count": 0, "hosts": []},
            )
            row["count"] += 1
            if view.host not in row["hosts"]:
                row["hosts"].append(view.host)
    return sorted(found.values(), key=lambda row: row["model"])
