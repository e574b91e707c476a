"""Any number of moves in one loop: one poll a tick for all; what each needs besides is done in threads.

The loop decides (ways/), threads do: a request that hangs, or a host that is slow to be looked at, holds up its own
move alone. Each move has at most one thing under way, so that nothing is asked twice.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, Self

from gpuctl.cloud_errors import CloudError
from gpuctl.errors import OperatorError
from gpuctl.moves.conduct import Conduct
from gpuctl.moves.move import Move, Sight, Track
from gpuctl.moves.result import INTERRUPTED, REFUSED, UNKNOWN, Result
from gpuctl.moves.running import Running
from gpuctl.moves.watch import Watch
from gpuctl.moves.ways import next_step
from gpuctl.moves.ways.begin import stale
from gpuctl.moves.ways.steps import End, Look, Step, Wait

if TYPE_CHECKING:
    from gpuctl.cloud import Cloud
    from gpuctl.moves.books import HostLook, NovaDatabase
    from gpuctl.moves.model import Books, Row
    from gpuctl.moves.nova_api import NovaApi
    from gpuctl.moves.placement_api import PlacementApi

Reader = Callable[[str, frozenset[str]], "Books"]
"""Return all books about one server (and these hosts, where they can be looked at), read now."""


class Queue(Protocol):
    """Hands out moves."""

    def ready(self, running: Collection[Move]) -> list[Move | Track]:
        """Return what is to start now: a Move, or the Track of one that is taken up again. Nothing, twice: the end."""
        ...

    def ended(self, result: Result) -> None:
        """Hear what became of one; the queue may stop handing out more."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """What is told while a move goes on.

    Attributes:
        step: what is being done or waited for: "migrate", "wait", "proof", "confirm", ...
        detail: for a person.
        seconds: since the move began in this process.
        result: set once it is over.
    """

    move: Move
    step: str
    detail: str
    seconds: float
    result: Result | None = None


Told = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often one looks.

    Attributes:
        shortest, longest: seconds between two polls.
        share: of the time that a move's present step has taken so far; in between it is waited that long.
        look: seconds between two close looks at one server, at most.
        quiet: seconds without news of a server after which it is looked at closely.
        together: requests and looks that are under way at once.
    """

    shortest: float = 0.2
    longest: float = 5.0
    share: float = 0.03
    look: float = 1.0
    quiet: float = 60.0
    together: int = 8


@dataclass
class Engine:
    """Runs moves.

    Attributes:
        cloud: its name, for the journals.
        api: Nova.
        reader: reads the books for proofs and checks.
        placement: None where it cannot be asked: then allocations are not put right.
        interrupt: called each tick; true ends the loop as Ctrl-C does (drain's second one).
        rows: returns the cards that Nova's books give to a server; None where nobody can see them.
    """

    cloud: str
    api: NovaApi
    reader: Reader
    placement: PlacementApi | None = None
    pace: Pace = Pace()
    interrupt: Callable[[], bool] = lambda: False
    rows: Callable[[str], tuple[Row, ...]] | None = None
    _watch: Watch = field(init=False)
    _running: dict[str, Running] = field(default_factory=dict)
    _futures: dict[Future[object], Running] = field(default_factory=dict)
    _results: list[Result] = field(default_factory=list)
    _polled: float = 0.0

    def __post_init__(self) -> None:
        self._watch = Watch(self.api, self.rows)

    @classmethod
    def of(
        cls,
        cloud: Cloud,
        api: NovaApi,
        *,
        hosts: HostLook | None = None,
        database: NovaDatabase | None = None,
        pace: Pace | None = None,
        interrupt: Callable[[], bool] = lambda: False,
    ) -> Self:
        """Return the engine for a cloud's moves, with every view of it that there is."""
        from gpuctl.moves.placement_api import PlacementApi
        from gpuctl.moves.planning import reader

        look = reader(cloud, hosts=hosts, database=database)
        placement = PlacementApi(cloud.service("placement"))
        return cls(cloud.name, api, look, placement, pace or Pace(), interrupt, database.rows_of if database else None)

    def run(self, queue: Queue, told: Told = lambda _: None) -> list[Result]:
        """Return what became of every move that the queue handed out.

        A journal that is locked, or cannot be written, is a result of its own server; the others go on. Ctrl-C ends it:
        what was under way goes on in Nova, and is "interrupted".
        """
        conduct = Conduct(self.cloud, self.api, self._watch, self.reader, self.placement)
        pool = ThreadPoolExecutor(self.pace.together, thread_name_prefix="move")
        patient = True
        try:
            while self._start(queue, told) or self._running:
                self._tick(queue, conduct, pool, told)
                if self.interrupt():
                    patient = not self._interrupted(queue, told)
                    break
        except KeyboardInterrupt:
            patient = not self._interrupted(queue, told)
        finally:
            pool.shutdown(wait=patient, cancel_futures=True)
            for one in self._running.values():
                one.close()
        return self._results

    # ------------------------------------------------------------ one tick

    def _start(self, queue: Queue, told: Told) -> bool:
        """Start what is to start; say whether anything did."""
        found = queue.ready([one.track.move for one in self._running.values()])
        for each in found:
            track = each if isinstance(each, Track) else Track(each)
            try:
                one = Running.start(self.cloud, track)
            except OperatorError as error:
                self._end(Running.refused(track), End(REFUSED, error.brief, error.resolution), queue, told)
                continue
            self._running[track.move.server.id] = one
            self._watch.add(track.move.server, ())
        return bool(found)

    def _tick(self, queue: Queue, conduct: Conduct, pool: ThreadPoolExecutor, told: Told) -> None:
        for one in list(self._running.values()):
            if one.busy:
                continue
            step, sight = self._step(one)
            if isinstance(step, End):
                self._end(one, step, queue, told, sight)
            elif isinstance(step, Wait):
                told(one.progress("wait", step.detail))
            else:
                told(one.progress(conduct.name(step), step.detail if not hasattr(step, "what") else step.what))
                one.busy = True
                self._futures[pool.submit(conduct.do, one, step)] = one
        pause = self._pause()
        done = self._collect(pause)
        # What was just looked at, or asked for, needs no poll to go on; the others get theirs at their pace.
        due = not done or time.monotonic() - self._polled >= pause
        if due and any(not one.busy for one in self._running.values()):
            self._polled = time.monotonic()
            self._poll(told)

    def _step(self, one: Running) -> tuple[Step, Sight]:
        """Return what comes next for a move, its deadline and the pace of close looks heeded."""
        sight = one.fresh or self._watch.sight(one.server)
        one.fresh = None
        if one.trouble is not None:
            return one.trouble, sight
        if one.stumbles and one.looked_ago < min(one.stumbles, 10) * self.pace.look:
            return Wait("begin", "it is tried again in a moment"), sight
        if one.unseen:
            return Look("begin", "where is it now?"), sight
        changed = None if one.track.sent else stale(one.track, sight)
        step = changed or next_step(one.track, sight)
        if isinstance(step, (Wait, Look)):
            begun = max(one.track.asked_at, step.since)
            limit = one.track.move.options.deadline(step.kind)
            if sight.now - begun > limit:
                return (
                    End(
                        UNKNOWN,
                        f"still going after {limit:g} s: {step.detail}; it is not known how it ends",
                        f"gpuctl instance migrate {one.server} goes on with it; --timeout gives it longer",
                    ),
                    sight,
                )
        if isinstance(step, Wait) and self._watch.quiet(one.server) > self.pace.quiet:
            step = Look(step.kind, step.detail)
        first = isinstance(step, Look) and step.rows and not one.track.held
        if isinstance(step, Look) and self._too_soon(one) and not first:
            step = Wait(step.kind, step.detail)
        return step, sight

    def _too_soon(self, one: Running) -> bool:
        """Say whether it was looked at a moment ago, or asked for something that cannot have done anything yet.

        Between two close looks is a fifth of what the present step has taken so far.
        """
        age = time.time() - one.track.asked_at
        between = min(max(age / 5, self.pace.shortest), self.pace.look)
        return one.looked_ago < between or 0 <= age < between  # below 0 where the clock was set back

    def _pause(self) -> float:
        """Return how long to wait for what is under way, or for the next poll."""
        ages = [time.time() - one.track.asked_at for one in self._running.values()]
        if not ages:
            return 0.0
        return min(max(min(ages) * self.pace.share, self.pace.shortest), self.pace.longest)

    def _collect(self, seconds: float) -> bool:
        """What was done beside the loop is known: the first of it within so many seconds; say whether there was any."""
        if self._futures:
            done, _ = wait(self._futures, timeout=seconds, return_when=FIRST_COMPLETED)
        else:
            time.sleep(seconds)
            done = set()
        for future in done:
            one = self._futures.pop(future)
            one.busy = False
            try:
                future.result()
            except OperatorError as error:
                one.stumbled(error)
        return bool(done)

    def _poll(self, told: Told) -> None:
        try:
            self._watch.poll()
        except CloudError as error:
            # Nova goes on by itself; each move's deadline says when this has gone on for too long.
            for one in self._running.values():
                told(one.progress("wait", f"Nova cannot be asked just now: {error.brief}"))

    # ------------------------------------------------------------ the end

    def _end(self, one: Running, step: End, queue: Queue, told: Told, sight: Sight | None = None) -> None:
        try:
            result = one.end(step, sight.server if sight else None)
        except OperatorError as error:
            result = replace(one.result(End(UNKNOWN, error.brief, error.resolution), None), state=UNKNOWN)
        finally:
            one.close()
            self._running.pop(one.server, None)
            self._watch.drop(one.server)
        self._results.append(result)
        told(one.progress("end", result.detail, result))
        queue.ended(result)

    def _interrupted(self, queue: Queue, told: Told) -> bool:
        """What was sent is waited for, so that its answer is in the journal; after a second Ctrl-C it is not.

        Returns whether there was a second one.
        """
        with _noted() as again:
            for future in self._futures:
                future.cancel()
            while not again() and wait(self._futures, timeout=0.1).not_done:
                pass
            for one in list(self._running.values()):
                self._end(
                    one,
                    End(
                        INTERRUPTED,
                        "interrupted: Nova goes on by itself",
                        f"gpuctl instance migrate {one.server} takes it up",
                    ),
                    queue,
                    told,
                )
            return again()


@contextmanager
def _noted() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is noted, and interrupts nothing; yields the question whether there was one."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    old = signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    try:
        yield lambda: bool(caught)
    finally:
        signal.signal(signal.SIGINT, old)
