"""How a drain ended: every server once, what is still on the host, and what to do next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.cloud_errors import CloudError
from gpuctl.errors import OperatorError
from gpuctl.moves.drain.evacuate import after
from gpuctl.moves.drain.queue import DrainQueue, move_of
from gpuctl.moves.drain.service import NoSuchHost, enable_command, find
from gpuctl.moves.model import AWAITS
from gpuctl.moves.result import DONE, INTERRUPTED, REFUSED, Result

SOFT = "SOFT_DELETED"

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from gpuctl.moves.drain.prepare import Job
    from gpuctl.moves.drain.record import Before
    from gpuctl.moves.drain.result import DrainResult
    from gpuctl.moves.move import Move


def everybody(job: Job, queue: DrainQueue, ran: Sequence[Result], *, interrupted: bool) -> tuple[Result, ...]:
    """Return one result a server: those of before, those that ran, those that never had their turn, those refused."""
    said = queue.stopped or "the drain ended before its turn"
    state = INTERRUPTED if interrupted else REFUSED
    again = f"gpuctl instance drain {job.host} goes on with it"
    waiting = [replace(not_begun(move_of(one.what), said, again), state=state) for one in queue.waiting]
    refused = [one.planned.result() for one in job.plan.refused]
    never = (*queue.results, *waiting)
    # One that was planned anew has ended before: its last word counts.
    last = {one.server: _as_gone(one, queue) for one in ran} | {one.server: one for one in never}
    return (*job.away, *last.values(), *refused)


def _as_gone(result: Result, queue: DrainQueue) -> Result:
    """Return the result of a server that left the host by itself as what a drain wanted."""
    if result.server not in queue.gone:
        return result
    return replace(result, state=DONE, detail=f"not moved by this drain: {result.detail}", resolution="")


def not_begun(move: Move, why: str, resolution: str) -> Result:
    """Return the result of a server that nothing was done with."""
    return Result(
        move.server.id,
        move.server.name,
        move.source,
        move.to,
        move.strategy,
        REFUSED,
        f"not begun: {why}",
        resolution,
        why=move.why,
    )


def still_there(job: Job) -> tuple[str, ...] | None:
    """Return the GPU servers that are on the host now: none, and only that, is what a drain is for.

    One that is only soft-deleted (reclaim_instance_interval) is in no list that does not ask for it, and has its cards.
    One that is half way from or to the host is Nova's other host's, and has cards and a folder here. None where it
    cannot be read: a list of Nova's leaves a silent cell's servers out, and says nothing.
    """
    try:
        find(job.api, job.host)
        found = job.api.servers(host=job.host, soft_deleted="true")
        half = () if job.settings.evacuate else tuple(_half_here(job, {one.id for one in found}))
    except NoSuchHost:
        return ()
    except CloudError:
        return None
    return half + tuple(
        f"{one.name} (soft-deleted: it can be restored, and keeps its cards)" if one.status == SOFT else one.name
        for one in sorted(found, key=lambda one: one.name)
        if one.cards and one.host == job.host
    )


def _half_here(job: Job, known: Collection[str]) -> Iterator[str]:
    """Yield the GPU servers whose moves from or to the host are not over."""
    for one in job.api.migrations(host=job.host):
        if one.server in known or not (one.open or one.status == AWAITS):
            continue
        server = job.api.server(one.server)
        if server is None or not server.cards:
            continue
        if one.source != job.host:
            yield f"{server.name} (on its way here: migration {one.id} from {one.source} is `{one.status}`)"
        elif one.open:
            yield f"{server.name} (on its way to {one.dest}: migration {one.id} is `{one.status}`)"
        else:
            what = f"until migration {one.id} to {one.dest} is confirmed: gpuctl instance recover {server.id}"
            yield f"{server.name} (its cards and its disks from before are held here {what})"


def advice(job: Job, before: Before) -> tuple[str, ...]:
    """Return what is left to do with the host."""
    if job.settings.evacuate:
        return ()
    if before.enabled or job.compute.enabled or (before.reason or "").startswith(f"gpuctl drain {job.run} "):
        return (f"{job.host} stays disabled. To give it back: {enable_command(job.host)}",)
    return (f"{job.host} was disabled before ({before.reason or 'no reason given'}) and stays so.",)


def with_aftermath(job: Job, result: DrainResult) -> DrainResult:
    """Return the result with what each server holds twice now, and what to do when the host is back."""
    from gpuctl.moves.planning import read

    done = [one.server for one in result.results if one.state == DONE and one.steps]
    try:
        books = read(job.cloud, done, (), database=job.database) if done else None
    except OperatorError:
        books = None  # what each holds is then not said; what to do is
    found = after(result.results, books, job.host)
    return replace(result, results=found.results, advice=found.advice)
