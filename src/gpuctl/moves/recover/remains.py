"""What a move left on hosts that the server is not on: its `_resize` folder, its domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.recover.case import Case

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl.moves.recover.sight import Sight


def remains(sight: Sight) -> Iterator[Case]:
    """Yield folders and domains that belong to no move any more."""
    if sight.status == "VERIFY_RESIZE" or sight.evacuation is not None:
        return  # they are the way back, or the old host removes them itself
    for host, view in sorted(sight.books.hosts.items()):
        folders = [one.name for one in view.folders or () if one.uuid == sight.id and one.kind == "resize"]
        if folders:
            yield Case(
                "stale-resize",
                f"{host} keeps a copy of its disks from before a move",
                (f"{host}: {', '.join(folders)}",),
                host=host,
            )
        stale = [one for one in view.domains or () if one.uuid == sight.id and host != sight.home]
        if stale:
            yield Case(
                "stale-domain",
                f"{host} keeps a domain of it, though Nova has it on {sight.home or 'no host'}",
                tuple(
                    f"{host}: {one.name} is {one.state}, with {', '.join(one.hostdevs) or 'no cards'}" for one in stale
                ),
                host=host,
            )
