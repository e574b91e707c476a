"""Flavors of a cloud by their names, and who may use them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.flavors.errors import NotFound
from gpuctl.flavors.prepare import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl.flavors.api import FlavorApi
    from gpuctl.flavors.model import Standing


def named(flavors: Sequence[Standing], names: Sequence[str]) -> list[Standing]:
    """Return the flavors of these names or ids.

    Raises:
        NotFound: there is no such flavor.
    """
    by = {**{one.id: one for one in flavors}, **{one.name: one for one in flavors}}
    missing = [name for name in names if name not in by]
    if missing:
        raise NotFound(
            f"no flavor {', '.join(missing)}", resolution="gpuctl flavor list --all shows those that there are"
        )
    return [by[name] for name in dict.fromkeys(names)]


def with_access(api: FlavorApi, flavors: Sequence[Standing]) -> list[Standing]:
    """Return the flavors with their access lists read."""

    def read(one: Standing) -> Standing:
        return one if one.public else replace(one, access=api.access(one.id))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(read, flavors))
