"""Repairs one server: read, diagnose, plan, do the first step, read back; and again, until nothing is left to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gpuctl.moves.journal import Journal, stamp
from gpuctl.moves.model import Finding
from gpuctl.moves.recover.diagnosis import diagnose
from gpuctl.moves.recover.draft import SETTLED
from gpuctl.moves.recover.owed import settle
from gpuctl.moves.recover.perform import Outcome, Performer
from gpuctl.moves.recover.plan import plan
from gpuctl.moves.recover.sight import FORCE_LOCKED, ROWS_CHECKED, Sight
from gpuctl.moves.recover.step import Ask, Await, Plan, Resume, Step
from gpuctl.moves.result import DONE, FAILED, INTERRUPTED, PLANNED, REFUSED, UNFINISHED, UNKNOWN, Result
from gpuctl.moves.result import Step as Taken

if TYPE_CHECKING:
    from gpuctl.errors import OperatorError
    from gpuctl.moves.model import Statement
    from gpuctl.moves.recover.case import Case
    from gpuctl.moves.recover.reader import Reader

APART = ("allocation", "orphan-")
"""Steps that need no other step before them: they are done even where one before them was not."""

THINKING_S = 0.5
"""Seconds that a person may take to agree without everything being read again before the step is done."""

_WORST = (UNKNOWN, FAILED, UNFINISHED, REFUSED)


class Person(Protocol):
    """Whoever is asked."""

    def agrees(self, step: Step) -> bool:
        """Say whether a step may be done; one that destroys something is agreed to by its name alone."""
        ...

    def ran(self, step: Step, statement: Statement, *, watched: bool) -> bool | None:
        """Show a statement; say whether the person ran it and saw what its check must show.

        None: nobody said anything, for nobody is there, or its effect is watched (--nova-db).
        """
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """How far to go.

    Attributes:
        dry_run: show cases and plan, change nothing.
        back: revert a move that waits, instead of confirming it.
        rows_checked: the person looked at the server's rows in the database.
        force_locked: repair it although it is locked.
        wait: seconds to wait for what a person, or Nova by itself, has to do.
    """

    dry_run: bool = False
    back: bool = False
    rows_checked: bool = False
    force_locked: bool = False
    wait: float = 0.0

    @property
    def believed(self) -> frozenset[str]:
        """What is believed from the beginning."""
        said = ((self.rows_checked, ROWS_CHECKED), (self.force_locked, FORCE_LOCKED))
        return frozenset(word for given, word in said if given)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was found, what was planned, and what became of it."""

    before: tuple[Case, ...]
    plan: Plan
    after: tuple[Case, ...]
    result: Result


Shown = Callable[[Sight, "tuple[Case, ...]", Plan], None]


@dataclass
class Repair:
    """Repairs servers, one after the other.

    Attributes:
        reader: reads them.
        performer: does the steps.
        person: is asked.
        resume: takes up gpuctl's own move of a server, with the journal's lock free.
        shown: is called with what was found, before anything is asked.
    """

    reader: Reader
    performer: Performer
    person: Person
    settings: Settings = Settings()
    resume: Callable[[str], Outcome] | None = None
    shown: Shown = lambda *_: None
    _taken: list[Taken] = field(default_factory=list)
    _lock: Journal | None = None
    _asking: bool = False

    @property
    def taken(self) -> Sequence[Taken]:
        """What was done for the newest server so far."""
        return tuple(self._taken)

    def run(self, server: str) -> Recovery:
        """Return what was found of a server and what became of it: done only where nothing is left to repair.

        Raises:
            Busy: another gpuctl has the server.
            OperatorError: it could not be read.
        """
        if self.settings.dry_run:
            return self._run(server)
        self._lock = Journal.open(self.reader.cloud.name, server)
        try:
            return self._run(server)
        finally:
            self._lock.close()

    def _run(self, server: str) -> Recovery:
        self._taken = []
        believed = self.settings.believed
        sight = first = self.reader.read(server, believed)
        before = diagnose(sight)
        draft = plan(sight, before, back=self.settings.back)
        self.shown(sight, before, draft)
        states: set[str] = set()
        tried: set[str] = set()
        while not self.settings.dry_run:
            step = _next(plan(sight, diagnose(sight), back=self.settings.back), tried)
            if step is None:
                break
            tried.add(step.id)
            outcome = self._do(step, sight)
            states.add(outcome.state)
            believed |= {ROWS_CHECKED} if outcome.believed else frozenset()
            sight = self.reader.read(server, believed)
        if sight.owed is not None and sight.status in SETTLED and not self.settings.dry_run:
            settle(self.reader.cloud.name, server)
        after = diagnose(sight)
        left = plan(sight, after, back=self.settings.back)
        state = self._state(after, left, states)
        return Recovery(before, draft, after, self._result(first, sight, after, left, state))

    def _state(self, after: tuple[Case, ...], left: Plan, states: set[str]) -> str:
        if all(one.harmless for one in after):
            return DONE
        if self.settings.dry_run:
            return PLANNED
        worst = next((one for one in _WORST if one in states), None)
        if worst is None:
            # Everything that was tried was done, and yet something is left.
            return REFUSED if left.refused and not states else UNFINISHED
        return UNFINISHED if worst == REFUSED and DONE in states else worst

    def _do(self, step: Step, sight: Sight) -> Outcome:
        """Do one step, with consent; what became of it is on record."""
        at, self._asking = time.time(), False
        try:
            outcome = self._outcome(step, sight)
        except KeyboardInterrupt:
            state, said = (REFUSED, "interrupted: not begun") if self._asking else (UNKNOWN, "interrupted")
            self._taken.append(Taken(step.id, state, stamp(at), None, said))
            raise
        seconds = round(time.time() - at, 3)
        self._taken.append(Taken(step.id, outcome.state, stamp(at), seconds, outcome.detail))
        return outcome

    def _outcome(self, step: Step, sight: Sight) -> Outcome:
        if isinstance(step.request, Ask):
            return self._asked(step, step.request.statement, sight)
        if isinstance(step.request, Await):
            outcome = self.performer.watch(step, sight, max(step.seconds, self.settings.wait))
            return outcome if outcome.state == DONE else Outcome(UNFINISHED, outcome.detail)
        asked = time.monotonic()
        self._asking = True
        agreed = self.person.agrees(step)
        self._asking = False
        if not agreed:
            how = f"--accept {step.id}" if step.destroys else "--yes"
            return Outcome(UNFINISHED, f"not agreed to: {step.title} ({how} agrees beforehand)")
        if isinstance(step.request, Resume):
            return self._resumed(sight.id)
        if time.monotonic() - asked > THINKING_S:
            sight = self.reader.read(sight.id, sight.believed)
            now = plan(sight, diagnose(sight), back=self.settings.back)
            if step.request not in [one.request for one in now.steps]:
                return Outcome(UNFINISHED, "it changed while it was asked about: nothing was done; run recover again")
        return self.performer.do(step, sight, accepted=bool(step.destroys))

    def _asked(self, step: Step, statement: Statement, sight: Sight) -> Outcome:
        """Go on once a statement took effect: seen in the database, or said by the person."""
        watched = sight.rows is not None
        ran = self.person.ran(step, statement, watched=watched)
        if ran is False:
            return Outcome(UNFINISHED, "the statement was not run, or did not show what it must")
        outcome = self.performer.watch(step, sight, self.settings.wait)
        if outcome.state != DONE:
            return Outcome(UNFINISHED, f"{outcome.detail}; run the statement, then recover again")
        if watched or not (step.expect.free or not step.expect.migration):
            return outcome
        if ran or ROWS_CHECKED in sight.believed:
            return Outcome(DONE, "believed: a person looked at the rows", believed=True)
        return Outcome(
            UNFINISHED, "its effect is in no API: --nova-db shows it, or --rows-checked says that you looked"
        )

    def _resumed(self, server: str) -> Outcome:
        """Let the engine take up gpuctl's own move; it locks the journal itself."""
        if self.resume is None or self._lock is None:
            return Outcome(REFUSED, "gpuctl instance migrate SERVER takes it up")
        self._lock.close()
        try:
            return self.resume(server)
        finally:
            self._lock = Journal.open(self.reader.cloud.name, server)

    def _result(self, first: Sight, now: Sight, after: tuple[Case, ...], left: Plan, state: str) -> Result:
        bad = [one for one in after if not one.harmless]
        why = [text for _, text in left.refused]
        detail = "; ".join(one.title for one in bad) or "; ".join(one.title for one in after)
        undone = [one.detail for one in self._taken if one.state != DONE]
        return Result(
            server=now.id,
            name=(now.server or first.server).name if (now.server or first.server) else "",  # type: ignore[union-attr]
            source=first.home,
            dest=now.home,
            strategy="recover",
            state=state,
            detail=detail,
            resolution="; ".join(dict.fromkeys([*undone, *why, *left.advice])) if state != DONE else "",
            steps=tuple(self._taken),
            findings=tuple(finding(now.id, one) for one in after),
            statements=left.statements if state != DONE else (),
        )


def _next(now: Plan, tried: set[str]) -> Step | None:
    """Return the first step that was not tried; behind one that is needed still, only those that stand apart."""
    blocked = False
    for one in now.steps:
        if one.id in tried:
            blocked = True
        elif not blocked or one.id.startswith(APART):
            return one
    return None


def interrupted(server: str, taken: Sequence[Taken]) -> Recovery:
    """Return the recovery of a server in whose midst somebody pressed Ctrl-C; what was done before is in it."""
    detail = "interrupted: what was asked of Nova goes on by itself"
    again = f"gpuctl instance recover {server} looks where it is now"
    result = Result(server, "", None, None, "recover", INTERRUPTED, detail, again, tuple(taken))
    return Recovery((), Plan(), (), result)


def not_read(server: str, error: OperatorError) -> Recovery:
    """Return the recovery of a server that could not be read, or that another gpuctl has."""
    detail = f"{error.brief}: {error.details}" if error.details else error.brief
    result = Result(server, "", None, None, "recover", FAILED, detail, error.resolution)
    return Recovery((), Plan(), (), result)


def finding(server: str, case: Case) -> Finding:
    """Return a case in the grammar of findings."""
    status = "pass" if case.harmless else "fail" if case.certainty != "possible" else "warn"
    return Finding(
        case.id,
        status,
        server,
        case.title,
        "; ".join(case.evidence),
        "" if case.harmless else f"gpuctl instance recover {server}",
        f"reference/recovery-cases.md#{case.id}",
    )
