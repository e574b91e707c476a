"""What a drain is about to do, found out without changing anything: what consent, a dry run and `run` all stand on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from gpuctl.moves.drain.estimate import Estimate, history
from gpuctl.moves.drain.evacuate import plan_evacuation, refuse_alive
from gpuctl.moves.drain.plan import Judge, Plan, Wish, make_plan
from gpuctl.moves.drain.record import Past, past
from gpuctl.moves.drain.result import DrainResult
from gpuctl.moves.drain.service import find, run_of
from gpuctl.moves.drain.sight import Told, look
from gpuctl.moves.guards.services import ready
from gpuctl.moves.move import Track, new_id
from gpuctl.moves.nova_api import NovaApi
from gpuctl.moves.planning import plan as plan_one
from gpuctl.moves.planning import situations
from gpuctl.moves.result import PLANNED, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl.cloud import Cloud
    from gpuctl.moves.books import HostLook, NovaDatabase
    from gpuctl.moves.drain.settings import Settings
    from gpuctl.moves.model import Books, Compute, Server


@dataclass(frozen=True)
class Job:
    """What a drain is about to do.

    Attributes:
        run: the id of this drain, or of the one that it goes on with.
        away: servers of that one that have left the host.
    """

    cloud: Cloud
    api: NovaApi
    host: str
    run: str
    compute: Compute
    settings: Settings
    plan: Plan
    estimate: Estimate
    away: tuple[Result, ...] = ()
    hosts: HostLook | None = None
    database: NovaDatabase | None = None

    @property
    def refused(self) -> bool:
        """Whether it must not be begun: some server cannot be moved, and nobody said to go on without it."""
        stuck = self.plan.refused
        return bool(stuck) and (not self.settings.skip_failing or len(stuck) == self.plan.total)

    @property
    def judge(self) -> Judge:
        """How one server's way and guards are found."""
        if not self.settings.evacuate:
            return plan_one
        return partial(plan_evacuation, accept_disk_loss=self.settings.accept_disk_loss)

    def planned(self) -> DrainResult:
        """Return what a dry run, or a refusal, says; nothing was touched."""
        return DrainResult(
            self.cloud.name,
            self.host,
            self.run,
            (*self.away, *map(taken_up, self.plan.resumed), *(one.planned.result() for one in self.plan.entries)),
            self.plan.staying,
            reason=self.compute.reason,
            evacuated=self.settings.evacuate,
            estimate=self.plan.seconds,
            planned=True,
        )


def prepare(
    cloud: Cloud,
    host: str,
    settings: Settings,
    *,
    hosts: HostLook | None = None,
    database: NovaDatabase | None = None,
    told: Told = lambda *_: None,
) -> Job:
    """Return what is to be done; nothing is changed, nothing is asked for.

    Raises:
        NoSuchHost: there is no such compute host, or none of those to go to.
        Busy: another gpuctl drains it, or moves one of its servers.
        Unsafe: a dead host that does not seem to be, or a live one that is to be evacuated.
        CloudError: Nova cannot be asked.
    """
    api = NovaApi.of(cloud.service("compute"))
    compute = find(api, host)
    for one in settings.only:
        find(api, one)
    earlier = past(cloud.name, host)
    if settings.evacuate:
        refuse_alive(api, compute, settings.confirmed_dead, hosts)
    sight = look(
        cloud, host, unended(earlier), hosts=None if settings.evacuate else hosts, database=database, told=told
    )
    run = run_of(compute)
    known = any(one.run == run for one in earlier)
    estimate = history(cloud.name)
    job = Job(
        cloud,
        api,
        host,
        run if run is not None and known else new_id(),
        compute,
        settings,
        Plan(host, ()),
        estimate,
        sight.away,
        hosts,
        database,
    )
    tracks = [replace(one, move=replace(one.move, options=settings.options)) for one in sight.tracks]
    return replace(job, plan=plan_for(job, sight.books, sight.servers, tracks, sight.staying))


def plan_for(
    job: Job, books: Books, servers: Sequence[Server], busy: Sequence[Track], staying: tuple[str, ...] = ()
) -> Plan:
    """Return the plan for these servers of the host, with what is under way kept in mind."""
    found = situations(job.cloud, job.api, books, servers, to=None, options=job.settings.options)
    wish = Wish(job.host, books, found, job.settings, job.estimate, busy, staying, job.judge)
    return make_plan(wish)


def unended(past: Sequence[Past]) -> list[Past]:
    """Return the drains since the last one that ended well."""
    last = max((place for place, one in enumerate(past) if one.over), default=-1)
    return list(past[last + 1 :])


def taken_up(track: Track) -> Result:
    """Return what a plan says of a move that did not end."""
    move, last = track.move, track.sent[-1]
    said = f"goes on: move {move.id} did not end; the last thing asked of Nova was {last.name} ({last.outcome})"
    return Result(move.server.id, move.server.name, move.source, move.to, move.strategy, PLANNED, said, why=move.why)


def usable(computes: dict[str, Compute], host: str) -> bool:
    """Say whether a host can be gone to now."""
    return host in computes and ready(computes[host])
