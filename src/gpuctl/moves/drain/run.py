"""A drain, done: the service disabled, the moves within their caps, the host read back at the end."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gpuctl.cloud_errors import CloudError
from gpuctl.moves.drain.brakes import Brakes
from gpuctl.moves.drain.ending import advice, everybody, not_begun, still_there, with_aftermath
from gpuctl.moves.drain.estimate import Measured, copied
from gpuctl.moves.drain.evacuate import refuse_alive
from gpuctl.moves.drain.plan import jobs
from gpuctl.moves.drain.prepare import Job, plan_for, prepare, usable
from gpuctl.moves.drain.queue import DrainQueue, Work, move_of
from gpuctl.moves.drain.record import Before, Record
from gpuctl.moves.drain.result import DrainResult
from gpuctl.moves.drain.service import disable, find, force_down
from gpuctl.moves.drain.settings import Settings
from gpuctl.moves.drain.sight import with_allocations, with_groups
from gpuctl.moves.engine import Engine, Pace, Progress
from gpuctl.moves.journal import JournalFailed
from gpuctl.moves.move import Move, Track
from gpuctl.moves.result import DONE, FAILED, INTERRUPTED, REFUSED, Result

if TYPE_CHECKING:
    from gpuctl.cloud import Cloud
    from gpuctl.moves.books import HostLook, NovaDatabase
    from gpuctl.moves.model import Books


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a drain is.

    Attributes:
        total: servers that are to leave the host.
        done, failed, running, waiting: of these.
        left: seconds to go, an estimate; None where nothing like it was measured here.
        expected: seconds that the move of which is told just now was thought to take; None likewise.
        stopped: why no more are started.
    """

    total: int
    done: int
    failed: int
    running: int
    waiting: int
    left: float | None
    expected: float | None
    stopped: str


Told = Callable[[Progress, Tally], None]


@dataclass
class _Run:
    """One run of a drain: what the queue asks, and what is learnt on the way."""

    job: Job
    record: Record
    brakes: Brakes
    told: Told
    queue: DrainQueue = field(init=False)
    known: bool = field(init=False)
    done: int = 0
    took: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        job, plan = self.job, self.job.plan
        moving = [one for one in plan.entries if one.planned.move is not None]
        self.known = all(one.seconds is not None for one in moving) and not plan.resumed
        self.queue = DrainQueue(
            jobs(job.host, moving, plan.resumed),
            job.settings.caps,
            job.settings.max_fail,
            plan.total - len(plan.refused),
            eye=self,
            brake=lambda: self.brakes.slow,
            started=lambda move: self._note("start", server=move.server.id, move=move.id),
            settled=self.settled,
        )

    def progress(self, one: Progress) -> None:
        """Somebody is told."""
        queue = self.queue
        tally = Tally(
            queue.total,
            self.done,
            queue.failed,
            len(queue.running),
            0 if queue.stopped else len(queue.waiting),
            self._left(),
            self.job.estimate.seconds(one.move.strategy, one.move.server),
            queue.stopped,
        )
        self.told(one, tally)

    def _left(self) -> float | None:
        """Return the seconds to go; None where some move that was taken up, or any, is not known to take how long."""
        left = self.queue.left() if self.known else float("inf")
        return left if left < float("inf") else None

    # ------------------------------------------------------------ what the queue asks

    def gone(self, result: Result) -> bool:
        """Say whether a server that was not moved has left the host all the same: deleted, or moved by somebody."""
        if result.state not in {REFUSED, FAILED}:
            return False
        try:
            server = self.job.api.server(result.server)
        except CloudError:
            return False
        return server is None or (result.state == REFUSED and server.host not in {self.job.host, None})

    def fresh(self, waiting: Sequence[Work], running: Sequence[Work]) -> tuple[list[Work], list[Result]]:
        """Return what may still start; where a host went down, its servers go elsewhere or stay."""
        job = self.job
        try:
            computes = job.api.computes()
        except CloudError:
            return list(waiting), []  # each move's own request will say so
        source = computes.get(job.host)
        if not job.settings.evacuate and (source is None or not source.up):
            said = f"nova-compute on {job.host} went down meanwhile"
            what = f"start it; if the machine is dead: gpuctl instance drain {job.host} --evacuate"
            return [], [not_begun(move_of(one.what), said, what) for one in waiting]
        lost = [
            one for one in waiting if isinstance(one.what, Move) and one.to is not None and not usable(computes, one.to)
        ]
        if not lost:
            return list(waiting), []
        kept = [one for one in waiting if one not in lost]
        return self.anew(lost, kept, running)

    def anew(
        self, lost: Sequence[Work], kept: Sequence[Work], running: Sequence[Work]
    ) -> tuple[list[Work], list[Result]]:
        """Return ``(all that may start, what has no place)``, those that lost theirs planned anew for what is there."""
        servers = [move_of(one.what).server for one in lost]
        taken = [one.what if isinstance(one.what, Track) else Track(one.what) for one in (*kept, *running)]
        try:
            books = self._books([one.id for one in servers] + [one.move.server.id for one in taken])
            plan = plan_for(self.job, books, [books.servers.get(one.id, one) for one in servers], taken)
        except CloudError as error:
            return [*kept], [not_begun(move_of(one.what), error.brief, error.resolution) for one in lost]
        moving = [one for one in plan.entries if one.planned.move is not None]
        return [*kept, *jobs(self.job.host, moving)], [one.planned.result() for one in plan.refused]

    def _books(self, servers: Sequence[str]) -> Books:
        from gpuctl.moves.books import read_books

        job = self.job
        hosts = None if job.settings.evacuate else job.hosts
        only = () if hosts is not None else (job.host,)
        books = read_books(job.cloud, hosts=hosts, database=job.database, only=only)
        return with_allocations(job.cloud, with_groups(job.api, books, job.host), servers)

    def settled(self, result: Result) -> None:
        """It is on record; and how long it took tells how long the others will."""
        begun = self.queue.begun.get(result.server)
        if begun is not None:
            self.took[result.server] = time.monotonic() - begun
        self._note("result", server=result.server, state=result.state, detail=result.detail)
        if result.state != DONE:
            return
        self.done += 1
        mine = next((one.server for one in self.job.plan.entries if one.server.id == result.server), None)
        if begun is None or mine is None:
            return
        took = Measured(result.strategy, copied(result.strategy, mine), self.took[result.server])
        self.job = replace(self.job, estimate=self.job.estimate.plus(took))
        self._weigh()

    def _note(self, kind: str, **more: object) -> None:
        """It is on record; where it cannot be, nothing more is started, and what runs is still waited for."""
        try:
            self.record.write(kind, self.job.run, **more)
        except JournalFailed as error:
            self.queue.stop(f"{error.brief}: {error.details}")

    def _weigh(self) -> None:
        """What waits and what runs is estimated by what is known now."""
        found = {}
        for one in (*self.queue.waiting, *self.queue.running.values()):
            move = move_of(one.what)
            found[move.server.id] = self.job.estimate.seconds(move.strategy, move.server)
        if any(one is None for one in found.values()):
            return
        self.known = True
        self.queue.weigh(lambda move: found[move.server.id] or 0.0)


def run(
    job: Job,
    *,
    told: Told = lambda *_: None,
    brakes: Brakes | None = None,
    pace: Pace | None = None,
) -> DrainResult:
    """Return what became of it; a drain that is refused touches nothing.

    Raises:
        Busy: another gpuctl drains the host.
        Unsafe: a host that is to be evacuated came back since the plan was made.
        JournalFailed: what is done cannot be kept on record: then nothing is done.
        CloudError: the compute service could not be disabled: then nothing was moved.
    """
    if job.refused:
        return replace(job.planned(), planned=False, stopped="some servers cannot be moved; nothing was touched")
    user = getpass.getuser()
    with Record.open(job.cloud.name, job.host) as record, brakes or Brakes() as held:
        moving = {one.server.id: one.server.name for one in job.plan.entries if one.planned.move is not None}
        moving |= {one.move.server.id: one.move.server.name for one in job.plan.resumed}
        found = find(job.api, job.host)
        if job.settings.evacuate:
            refuse_alive(job.api, found, job.settings.confirmed_dead)
        record.write("begin", job.run, user=user, evacuate=job.settings.evacuate, servers=moving)
        before = Before(found.enabled, found.reason, found.forced_down)
        compute = disable(job.api, record, job.run, user, found)
        if job.settings.evacuate:
            compute = force_down(job.api, record, job.run, compute)
        mine = _Run(job, record, held, told)
        engine = Engine.of(
            job.cloud, job.api, hosts=job.hosts, database=job.database, pace=pace, interrupt=lambda: held.stop
        )
        began = time.monotonic()
        ran = engine.run(mine.queue, mine.progress)
        seconds = time.monotonic() - began
        result = DrainResult(
            job.cloud.name,
            job.host,
            job.run,
            everybody(job, mine.queue, ran, interrupted=held.slow),
            job.plan.staying,
            left=still_there(job),
            before=before,
            reason=compute.reason,
            touched=True,
            stopped=mine.queue.stopped,
            interrupted=held.slow or any(one.state == INTERRUPTED for one in ran),
            evacuated=job.settings.evacuate,
            advice=advice(job, before),
            seconds=seconds,
            took=dict(mine.took),
            estimate=job.plan.seconds,
        )
        if job.settings.evacuate:
            result = with_aftermath(job, result)
        record.write("end", job.run, exit_code=result.exit_code)
    return result


def drain_host(
    cloud: Cloud,
    host: str,
    settings: Settings | None = None,
    told: Told = lambda *_: None,
    *,
    hosts: HostLook | None = None,
    database: NovaDatabase | None = None,
    pace: Pace | None = None,
) -> DrainResult:
    """Return what became of a drain for which consent was given already.

    Args:
        cloud: as an administrator.
        host: a compute host.
        settings: caps, when to stop, options of the moves.
        told: hears of every step.
        hosts: a way to the hosts.
        database: Nova's.
        pace: how often Nova is looked at.

    Raises:
        OperatorError: it could not be begun; nothing was moved.
    """
    job = prepare(cloud, host, settings or Settings(), hosts=hosts, database=database)
    return run(job, told=told, pace=pace)
