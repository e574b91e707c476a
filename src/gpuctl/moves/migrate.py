"""`instance migrate` behind its command: what is to be done (planned anew, or taken up), and doing it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gpuctl.cloud_errors import CloudError
from gpuctl.moves.engine import Engine, Pace, Told
from gpuctl.moves.errors import Unsafe
from gpuctl.moves.journal import peek, refuse_busy
from gpuctl.moves.move import SHELVE, Move, Options, Track
from gpuctl.moves.nova_api import NovaApi
from gpuctl.moves.planning import Planned, plan_all, read, situations
from gpuctl.moves.result import DONE, PLANNED, REFUSED, UNFINISHED, Result

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gpuctl.cloud import Cloud
    from gpuctl.moves.books import HostLook, NovaDatabase
    from gpuctl.moves.model import Server


@dataclass(frozen=True)
class Job:
    """What `instance migrate` is about to do.

    Attributes:
        plans: for the servers that are planned anew.
        tracks: moves that did not end, and are taken up.
    """

    cloud: Cloud
    api: NovaApi
    to: str | None
    options: Options
    plans: tuple[Planned, ...]
    tracks: tuple[Track, ...]
    hosts: HostLook | None = None
    database: NovaDatabase | None = None

    @property
    def count(self) -> int:
        """How many servers it is about."""
        return len(self.plans) + len(self.tracks)

    @property
    def refused(self) -> tuple[Planned, ...]:
        """The plans that a guard stops: then nothing is touched."""
        return tuple(one for one in self.plans if one.move is None)

    def results(self) -> list[Result]:
        """Return what a dry run says."""
        return [*(taken_up(one) for one in self.tracks), *(one.result() for one in self.plans)]


def prepare(
    cloud: Cloud,
    names: Sequence[str],
    *,
    to: str | None,
    options: Options,
    hosts: HostLook | None = None,
    database: NovaDatabase | None = None,
) -> Job:
    """Return what is to be done; nothing is changed, nothing is asked for.

    Raises:
        NoSuchServer, Ambiguous: a name.
        Busy: another gpuctl is moving one of them.
        Unsafe: a move of it is under way, by another way or to another host than is asked for now.
        CloudError: Nova cannot be asked.
    """
    api = NovaApi.of(cloud.service("compute"))
    servers = {one.id: one for one in map(api.find, dict.fromkeys(names))}
    tracks, fresh = [], []
    for one in servers.values():
        refuse_busy(cloud.name, one.id)
        track = peek(cloud.name, one.id)
        if track is None:
            fresh.append(one)
        else:
            tracks.append(_again(track, to, options))
    job = Job(cloud, api, to, options, (), tuple(tracks), hosts, database)
    return replace(job, plans=tuple(_plans(job, fresh)))


def _plans(job: Job, servers: Sequence[Server]) -> list[Planned]:
    if not servers:
        return []
    about = {one.host for one in servers if one.host} | {job.to} if job.to else None
    books = read(job.cloud, [one.id for one in servers], about, hosts=job.hosts, database=job.database)
    now = [books.servers[one.id] for one in servers]
    return plan_all(situations(job.cloud, job.api, books, now, to=job.to, options=job.options))


def _again(track: Track, to: str | None, options: Options) -> Track:
    """Return the track of a move that is taken up, with what is asked for now."""
    move = track.move
    if options.strategy not in {"auto", move.strategy}:
        raise Unsafe(
            f"a move of {move.server.name} by {move.strategy} did not end; --strategy {options.strategy} is another",
            resolution=f"leave --strategy out: it goes on; or gpuctl instance recover {move.server.id}",
        )
    if to is not None and to != move.to:
        if move.strategy != SHELVE:
            raise Unsafe(
                f"a move of {move.server.name} to {move.to or 'a host of Nova'} did not end; {to} is another host",
                resolution=f"leave --host out: it goes on; or gpuctl instance recover {move.server.id}",
            )
        move = replace(move, to=to)
    return replace(track, move=replace(move, options=options))


def taken_up(track: Track) -> Result:
    """Return what a dry run says of a move that did not end."""
    move, last = track.move, track.sent[-1]
    return Result(
        server=move.server.id,
        name=move.server.name,
        source=move.source,
        dest=move.to,
        strategy=move.strategy,
        state=PLANNED,
        detail=f"goes on: move {move.id} did not end; the last thing asked of Nova was {last.name} ({last.outcome})",
        why=move.why,
    )


STALE_S = 30.0
"""Seconds after which a plan is looked at again before its move starts: others take cards meanwhile."""

Again = Callable[[Move], "Planned | None"]


@dataclass
class Line:
    """The queue of one command: so many at a time, in the order of the command line.

    Attributes:
        again: plans a move once more, the same way to the same host; None: as planned.
        refused: what that refused; the engine never had it.
        stopped: a move did not end well: nothing new is started.
    """

    waiting: list[Move | Track]
    parallel: int
    again: Again = lambda _: None
    refused: list[Result] = field(default_factory=list)
    stopped: bool = False
    _planned: float = field(default_factory=time.monotonic)

    def ready(self, running: Collection[Move]) -> list[Move | Track]:
        """Return those that may start now."""
        found: list[Move | Track] = []
        while self.waiting and not self.stopped and len(running) + len(found) < self.parallel:
            one = self.waiting.pop(0)
            if isinstance(one, Move) and time.monotonic() - self._planned > STALE_S:
                planned = self.again(one)
                if planned is not None and planned.move is None:
                    self.refused.append(planned.result())
                    self.stopped = True
                    break
                one = planned.move if planned is not None and planned.move is not None else one
            found.append(one)
        return found

    def ended(self, result: Result) -> None:
        """After a failure nothing new is started: what broke one may break the next."""
        if result.state != DONE and not result.as_asked and not result.not_taken:
            self.stopped = True


def run(job: Job, *, parallel: int = 1, told: Told = lambda _: None, pace: Pace | None = None) -> list[Result]:
    """Return what became of each server.

    Moves that did not end are taken up first. One whose first request never reached Nova is planned anew, under the
    consent that was given for it.
    """
    results = _run(job, job.tracks, parallel, told, pace)
    anew = [one.server for one in results if one.not_taken]
    stop = any(one.state != DONE and not one.not_taken and not one.as_asked for one in results)
    plans = list(job.plans)
    if anew and not stop:
        servers = [found for one in anew if (found := job.api.server(one)) is not None]
        again = _plans(job, servers)
        results = [one for one in results if one.server not in anew] + [
            one.result() for one in again if one.move is None
        ]
        plans = [one for one in again if one.move is not None] + plans
    if not stop:
        results += _run(job, [one.move for one in plans if one.move], parallel, told, pace)
    done = {one.server for one in results}
    open_ = [_not_tried(taken_up(one), UNFINISHED) for one in job.tracks]
    left = [*open_, *(_not_tried(one.result(), REFUSED) for one in plans)]
    return results + [one for one in left if one.server not in done]


def _run(job: Job, what: Sequence[Move | Track], parallel: int, told: Told, pace: Pace | None) -> list[Result]:
    if not what:
        return []
    line = Line(list(what), parallel, lambda move: _once_more(job, move))
    engine = Engine.of(job.cloud, job.api, hosts=job.hosts, database=job.database, pace=pace)
    return engine.run(line, told) + line.refused


def _once_more(job: Job, move: Move) -> Planned | None:
    """Return a move's plan as it would be made now; None where it cannot be read now: its own request will say so."""
    try:
        server = job.api.server(move.server.id)
        if server is None:
            return None
        options = replace(move.options, strategy=move.strategy)
        return next(iter(_plans(replace(job, to=move.to, options=options), [server])), None)
    except CloudError:
        return None


def _not_tried(one: Result, state: str) -> Result:
    detail = "not tried: one before it did not end well"
    return replace(one, state=state, detail=detail, resolution=f"gpuctl instance migrate {one.server}")
