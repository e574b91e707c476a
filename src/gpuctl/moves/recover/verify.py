"""Whether a step did what it was to do: read back, never assumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.recover.accounts import devices
from gpuctl.moves.recover.guest import OFF, RUNS, guest_of
from gpuctl.moves.recover.holds import untracked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl.moves.recover.reader import Glance
    from gpuctl.moves.recover.sight import Sight
    from gpuctl.moves.recover.step import Expect


def missing(expect: Expect, sight: Sight) -> str:
    """Return what is not yet as it must be; empty where everything is, as far as it can be seen."""
    return "; ".join(_missing(expect, sight))


def not_settled(expect: Expect, glance: Glance) -> str:
    """Return what Nova alone already shows to be missing: then there is no need to read everything."""
    server = glance.server
    if expect.status and (server is None or server.status not in expect.status):
        return f"status {server.status if server else 'gone'}"
    if server is not None and server.task_state:
        return f"task_state {server.task_state}"
    if expect.migration is not None:
        number, wanted = expect.migration
        now = next((one.status for one in glance.migrations if one.id == number), "gone")
        if now not in wanted:
            return f"migration {number} is {now}"
    return ""


def is_unseen(expect: Expect, sight: Sight) -> bool:
    """Say whether a part of it is of the database, and the database was not read: then a person has to look."""
    return sight.rows is None and bool(expect.free or expect.exactly)


def _missing(expect: Expect, sight: Sight) -> Iterator[str]:
    if expect.status and sight.status not in expect.status:
        yield f"status {sight.status or 'gone'}"
    if expect.migration is not None:
        number, wanted = expect.migration
        now = next((one.status for one in sight.migrations if one.id == number), "gone")
        if now not in wanted:
            yield f"migration {number} is {now}"
    for host in expect.free if sight.rows is not None else ():
        held = [one.address for one in sight.rows or () if one.host == host]
        if held:
            yield f"{host} still holds {', '.join(held)} for it"
    if expect.exactly is not None and sight.rows is not None:
        host, count = expect.exactly
        held = [one.address for one in sight.rows if one.host == host]
        if len(held) != count or len(sight.rows) != count:
            yield f"{len(sight.rows)} cards held, {len(held)} of them on {host}"
    if expect.guest == RUNS and guest_of(sight).seen and guest_of(sight).state == OFF:
        yield f"no running guest on {sight.home}"
    if expect.tracked and (came := untracked(sight)) is not None:
        yield f"migration {came.id} ended less than {sight.audit:.0f} s ago"
    yield from _accounts(expect, sight)
    for host in expect.gone:
        view = sight.books.hosts.get(host)
        left = (
            [one.name for one in (view.folders or ()) if one.uuid == sight.id and one.kind == "resize"] if view else []
        )
        left += [one.name for one in (view.domains or ()) if one.uuid == sight.id] if view else []
        if left:
            yield f"{host} still has {', '.join(left)}"


def _accounts(expect: Expect, sight: Sight) -> Iterator[str]:
    """Yield what Placement still holds."""
    allocations = sight.books.allocations
    if allocations is None:
        return
    for consumer in expect.empty:
        held = allocations.get(consumer)
        if held is not None and held.holds:
            yield f"Placement still holds something for {consumer}"
    if expect.devices is not None:
        held_devices = devices(allocations.get(sight.id), sight.books.providers or {})
        if len(held_devices) != expect.devices:
            yield f"Placement holds {len(held_devices)} cards for it"
