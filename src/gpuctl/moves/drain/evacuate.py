"""Servers off a host that is dead: what must be so before (nova.md 4.7), their plans, and what is left to say after."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpuctl.errors import OperatorError
from gpuctl.moves.drain.service import enable_command
from gpuctl.moves.errors import Unsafe
from gpuctl.moves.guards import cards, place, services, state
from gpuctl.moves.guards.say import fail, good, warn
from gpuctl.moves.model import Books, Finding, moment
from gpuctl.moves.move import Move, new_id
from gpuctl.moves.planning import Planned
from gpuctl.moves.proof import cards_held
from gpuctl.moves.result import DONE, Result
from gpuctl.moves.ways.choice import Choice
from gpuctl.moves.ways.evacuate import EVACUATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuctl.moves.books import HostLook
    from gpuctl.moves.guards.situation import Situation
    from gpuctl.moves.model import Compute
    from gpuctl.moves.nova_api import NovaApi

STAYS_STOPPED = (2, 95)
ONE_HOST = 26
"""From this release on a start with rows on two hosts is a KeyError, and the guest is gone (nova.md 4.5)."""

FENCED = (
    "Evacuation is for a machine that cannot come back by itself: powered off, or cut from its storage and network. "
    "Where its guests still run, two of each will write to the same volumes"
)


_SILENT = ("unreachable", "timed-out")
"""What a machine that is off says to SSH (gpuctl.remote.errors); any other error is an answer."""


RECENT_S = 60.0
"""Nova's service_down_time: a service that wrote its record since is up, unless it is forced down."""


def refuse_alive(api: NovaApi, compute: Compute, confirmed: str, hosts: HostLook | None = None) -> None:
    """Whoever asks knows that the host is dead, and nothing that can be seen says otherwise.

    Raises:
        Unsafe: its service is up, or reports although it is forced down; it answers over SSH; nobody typed its name.
    """
    host = compute.host
    if compute.up and not compute.forced_down:
        raise Unsafe(
            f"nova-compute on {host} is up: it is not dead",
            resolution=f"gpuctl instance drain {host} moves its servers while they are alive",
        )
    _refuse_reporting(api, compute)
    if confirmed != host:
        raise Unsafe(
            f"that {host} is dead has to be said by whoever has seen to it",
            details=FENCED,
            resolution=f"power the machine off (BMC), then --confirmed-dead {host}",
        )
    if hosts is None:
        return
    try:
        view = hosts.look(host)
        running = ", ".join(one.name for one in view.domains or () if one.runs)
        seen = f"guests that run there: {running or 'none seen'}"
    except OperatorError as error:
        if getattr(error, "code", _SILENT[0]) in _SILENT:
            return
        seen = error.brief
    raise Unsafe(
        f"{host} answers over SSH: it is not powered off",
        details=seen,
        resolution="power it off first; if only nova-compute is broken there, start that instead",
    )


def _refuse_reporting(api: NovaApi, compute: Compute) -> None:
    """Nobody wrote the record of a service that is forced down: Nova calls such a one down however often it reports."""
    wrote = moment(compute.updated or "")
    ago = time.time() + api.service.ahead - wrote.timestamp() if wrote is not None else RECENT_S
    if not compute.forced_down or ago >= RECENT_S:
        return
    raise Unsafe(
        f"{compute.host} is forced down, and yet its service wrote its record {max(ago, 0.0):.0f} s ago",
        details="its nova-compute reports still, and its guests run; or it was forced down, or disabled, just now",
        resolution=f"power it off if it is on; ask again {RECENT_S:.0f} s after the last of these",
    )


def plan_evacuation(at: Situation, *, accept_disk_loss: bool) -> Planned:
    """Return the plan for one server: pure."""
    chosen = replace(at, strategy=EVACUATE)
    choice = Choice(EVACUATE, at.to, "its host is dead: it is rebuilt elsewhere", {})
    found: list[Finding] = []
    for guard in _GUARDS:
        said = guard(chosen)
        found += said if isinstance(said, tuple) else (said,)
    found.append(_disks(chosen, accept_disk_loss=accept_disk_loss))
    if any(one.status == "fail" for one in found):
        return Planned(at.server, choice, tuple(found), None)
    return Planned(
        at.server,
        choice,
        tuple(found),
        Move(new_id(), at.server, at.source, at.to, EVACUATE, choice.why, at.options),
    )


def _state(at: Situation) -> Finding:
    """Nova evacuates it, and nobody is at work on it."""
    name, server = "evacuate-state", at.server
    said = f"{server.status}, vm_state {server.vm_state}, task {server.task_state or 'none'}"
    recover = f"gpuctl instance recover {server.id}"
    if server.task_state is not None:
        return fail(
            name, at, f"it is in the middle of {server.task_state}, which its host will never end", said, recover
        )
    if server.vm_state not in {"active", "stopped", "error"}:
        return fail(name, at, f"a server in {server.status} is not evacuated", said, recover)
    return good(name, at, "it can be evacuated", said)


def _start(at: Situation) -> Finding:
    """It is said beforehand whether it will run."""
    name, newest = "evacuate-start", at.books.newest
    said = f"newest microversion {newest[0]}.{newest[1]}: release {at.releases}"
    if newest >= STAYS_STOPPED:
        return warn(name, at, "it will be SHUTOFF until the old host is back: a start before that destroys it", said)
    if at.releases.high >= ONE_HOST:
        return warn(name, at, "Nova starts it; a stop or hard reboot before the old host is back destroys it", said)
    return warn(name, at, "Nova starts it; a reboot before the old host is back may give it another's card", said)


def _disks(at: Situation, *, accept_disk_loss: bool) -> Finding:
    """Its disks are not on the machine that died, or it was said that they may be lost."""
    name, server = "evacuate-disks", at.server
    local = (0 if server.boots_from_volume else server.root_gib or 1) + server.ephemeral_gib
    said = f"root {'on a volume' if server.boots_from_volume else 'on the host'}, ephemeral {server.ephemeral_gib} GiB"
    if not local:
        return good(name, at, "its disks are volumes", said)
    if accept_disk_loss:
        return warn(name, at, "its local disks are made anew from the image, as accepted", said)
    title = "its local disks are made anew from the image, unless the instances lie on shared storage: no API tells"
    return fail(name, at, title, said, "--accept-disk-loss, where they are shared or may be lost; else --skip-failing")


_GUARDS: tuple[Callable[[Situation], Finding | tuple[Finding, ...]], ...] = (
    state.cards,
    _state,
    state.locked,
    state.history,
    _start,
    services.destination,
    cards.free_card,
    cards.alias,
    place.headroom,
    place.group,
    place.zone,
)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What an operator has to know once the servers are elsewhere."""

    results: tuple[Result, ...]
    advice: tuple[str, ...]


def after(results: Sequence[Result], books: Books | None, host: str) -> Aftermath:
    """Return the results with what each server holds twice, and what to do when the old host is back.

    Args:
        results: of the evacuations.
        books: read after them; None where that was not possible.
        host: the dead one.
    """
    noted = tuple(
        replace(one, findings=(*one.findings, *_holds(one, books))) if one.state == DONE else one for one in results
    )
    names = " ".join(one.server for one in results if one.state == DONE)
    if not names:
        return Aftermath(noted, ())
    back = f"nova-compute on {host}"
    return Aftermath(
        noted,
        (
            f"Do not start, stop or hard reboot these servers before {back} is up again: they hold cards on two hosts.",
            f"When {host} is repaired, start {back}: it removes the old guests and ends the evacuations (completed).",
            f"Then: gpuctl instance recover {names}",
            f"Then give {host} back (refused before that): openstack compute service set --up {host} nova-compute",
            f"and: {enable_command(host)}",
            f"If {host} never comes back its rows stay in the database: gpuctl instance recover says what can be done.",
        ),
    )


def _holds(one: Result, books: Books | None) -> tuple[Finding, ...]:
    """Return what Placement and the rows have for a server on two hosts, or twice on one."""
    server = books.servers.get(one.server) if books is not None else None
    if books is None or server is None:
        return ()
    found = []
    rows = books.rows_of(server.id)
    if rows is not None:
        said = ", ".join(f"{row.host}/{row.address}" for row in rows)
        found.append(_note(server.id, "evacuated-two-hosts", "its rows, until the old host is back", said))
    providers = books.providers or {}
    here = {uuid: count for uuid, count in cards_held(books, server.id).items() if providers[uuid].host == server.host}
    if sum(here.values()) > server.cards:
        said = ", ".join(sorted(providers[uuid].name for uuid in here))
        title = f"Placement has {sum(here.values())} cards for it on {server.host}, not {server.cards} (4.6)"
        found.append(_note(server.id, "evacuated-double", title, said))
    return tuple(found)


def _note(server: str, name: str, title: str, evidence: str) -> Finding:
    return Finding(
        name, "warn", server, title, evidence, f"gpuctl instance recover {server}, once the old host is back"
    )
