"""The chain: each phase in its turn, timed, with those hosts that got so far; a phase that holds already is left."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gpuctl.errors import OperatorError
from gpuctl.fleet.history import Event
from gpuctl.fleet.run_state import REBOOT_NEEDED
from gpuctl.up import configuration, offers, smoke
from gpuctl.up.hosts import checked, not_ready, verified
from gpuctl.up.offers import outcome as offered
from gpuctl.up.phase import (
    CHECK,
    CONFIGURATION,
    DONE,
    FAILED,
    FLAVORS,
    GOOD,
    HOLDS,
    INTERRUPTED,
    NOT_ASKED,
    PART,
    PREPARE,
    SMOKE,
    VERIFY,
    WAITING,
    LeftOut,
    Outcome,
    Row,
    lost,
)
from gpuctl.up.preparing import Prepared, prepare_hosts
from gpuctl.up.sellable import sellable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuctl.up.hosts import HostView
    from gpuctl.up.look import Look
    from gpuctl.up.state import State
    from gpuctl.up.wish import Means, UpWish

SCHEMA = "gpuctl.up/1"
_INTERRUPTED = 130
_LOST = "no host got further; each is named with what to do"


@dataclass
class Chain:
    """One run.

    Attributes:
        wish: what is asked for.
        means: the rooms' doors.
        seen: the first look.
        state: what earlier runs noted.
        phased: is told each phase as it ends.
    """

    wish: UpWish
    means: Means
    seen: Look
    state: State
    phased: Callable[[Row], None] = lambda _: None
    run: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}")
    rows: list[Row] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    interrupted: bool = False
    _views: list[HostView] = field(default_factory=list)
    _prepared: Prepared = field(default_factory=Prepared)
    _written: configuration.Written | None = None
    _flavors: list[str] = field(default_factory=list)

    def go(self) -> dict[str, Any]:
        """Every phase had its turn, or one ended the chain; return what it came to (schema gpuctl.up/1)."""
        self._views = list(self.seen.views)
        self._note(CHECK, checked(self._views), self.seen.seconds)
        self._leave(self.seen.left_out)
        try:
            for phase, work in (
                (PREPARE, self._prepare),
                (VERIFY, self._verify),
                (CONFIGURATION, self._configure),
                (FLAVORS, self._offer),
                (SMOKE, self._smoke),
            ):
                if not self._views or not self._timed(phase, work):
                    break
        except KeyboardInterrupt:
            self.interrupted = True
        return self._document()

    # ------------------------------------------------------------ phases

    def _prepare(self) -> Outcome:
        planned = self.seen.planned
        self._leave(planned.left_out)
        if not planned.hosts:
            return Outcome(PART if planned.left_out else HOLDS, (f"{len(self._views)} hosts need no change",))
        prepare_hosts(self.wish, self.means, planned, self._prepared)
        done = self._prepared
        self._leave(done.left_out())
        line = done.summary()
        waiting = done.in_state(REBOOT_NEEDED)
        if waiting:
            why = done.stopped or "rebooting was not agreed to"
            said = f"{len(waiting)} hosts hold it only after a reboot; {why}: {', '.join(waiting[:6])}"
            fix = "reboot them and run this again, or say --reboot"
            return Outcome(WAITING, (line, said), fix, 5 if self.left_out else 4)
        return Outcome(PART if done.left_out() or planned.left_out else DONE, (line,))

    def _verify(self) -> Outcome:
        touched = [view.host for view in self._views if view.host in self._prepared.states]
        if touched:
            again = {view.host: view for view in self.means.ask(touched)}
            self._views = [again.get(view.host, view) for view in self._views]
        outcome = verified(self._views, asked_again=bool(touched))
        self._leave(not_ready(self._views))
        return outcome

    def _configure(self) -> Outcome:
        written = self._written = configuration.write(self.wish, self.seen.release, self._views)
        lines = [f"{len(written.changed)} of {len(written.files)} files written to {self.wish.folder}"]
        changed = bool(written.changed)
        if self.wish.control is not None:
            laid = configuration.lay_down(self.wish, self.means, [view.host for view in self._views])
            lines.append(f"{laid.changed} files laid down by gpuctl.host.nova")
            changed = changed or bool(laid.changed)
            if laid.problems:
                lines += [f"{host}: {what}" for host, what in laid.problems.items()]
                return Outcome(FAILED, tuple(lines), "mend what it says, then run this again", 5)
        elif changed:
            told = configuration.what_to_lay(self.wish, written)
            self.means.say("\n".join(told))
            lines += told
        left = configuration.wait_for_computes(self.wish, self.means, self.seen.nova, self._views)
        self._leave(left)
        lines.append(f"{len(self._views)} hosts are known to Nova, up and enabled")
        if left and not self._views:
            return Outcome(WAITING, tuple(lines), left[0].resolution, 5)
        return Outcome(PART if left else DONE if changed else HOLDS, tuple(lines))

    def _offer(self) -> Outcome:
        aliases = self._written.aliases if self._written else {}
        entries, planned = offers.wanted(self.wish, self._views, aliases)
        steps = offers.steps_for(self.means, self.seen.api, entries)
        results = offers.apply(self.wish, self.means, self.seen.api, steps, planned)
        self._flavors = offers.names(results)
        return offered(results)

    def _smoke(self) -> Outcome:
        if not self.wish.smoke:
            return Outcome(NOT_ASKED, ("whether a server gets its cards is not known",), "gpuctl flavor verify NAME")
        names = set(self._flavors)
        chosen = smoke.choose([one for one in self.seen.api.every() if one.name in names])
        if not chosen:
            return Outcome(FAILED, ("no flavor here asks for a card by an alias",), "give a --catalogue with one", 1)
        return smoke.prove(self.wish, self.means, self.seen.api, chosen)

    # ------------------------------------------------------------ what goes on around them

    def _timed(self, phase: str, work: Callable[[], Outcome]) -> bool:
        """Do a phase and note it; say whether the chain goes on."""
        began = time.monotonic()
        try:
            outcome = work()
        except KeyboardInterrupt:
            said = (self._prepared.summary(),) if phase == PREPARE and self._prepared.runs else ()
            self._note(phase, Outcome(INTERRUPTED, said), time.monotonic() - began)
            raise
        except OperatorError as error:
            lines = (error.brief, *error.details.splitlines())
            outcome = Outcome(FAILED, lines, error.resolution, error.exit_code)
        self._note(phase, outcome, time.monotonic() - began)
        return outcome.state not in (FAILED, WAITING)

    def _note(self, phase: str, outcome: Outcome, seconds: float) -> None:
        row = Row(phase, outcome, seconds, self.state.earlier(phase) if outcome.state == HOLDS else None)
        self.rows.append(row)
        self.state.note(row)
        self.phased(row)

    def _leave(self, found: Sequence[LeftOut]) -> None:
        """Go on without these hosts."""
        self.left_out += found
        gone = {one.host for one in found}
        self._views = [view for view in self._views if view.host not in gone]

    def exit_code(self) -> int:
        """Return the exit code (CONTRACT: Exit codes): 0 only if all that was asked for is there."""
        if self.interrupted:
            return _INTERRUPTED
        last = self.rows[-1].outcome
        if last.state in (FAILED, WAITING) and last.exit_code:
            return last.exit_code
        if not self._views:
            return lost(self.left_out, len(self.left_out))
        short = [row for row in self.rows if row.outcome.state not in (*GOOD, NOT_ASKED) or row.outcome.exit_code]
        return 5 if self.left_out or short else 0

    def _document(self) -> dict[str, Any]:
        reached = {row.phase for row in self.rows}
        return {
            "schema": SCHEMA,
            "run": self.run,
            "inventory": list(self.wish.inventory),
            "exit_code": self.exit_code(),
            "interrupted": self.interrupted,
            "seconds": round(sum(row.seconds for row in self.rows), 1),
            "phases": [row.document() for row in self.rows],
            "left_out": [one.document() for one in self.left_out],
            "resolution": _LOST if not self._views and self.left_out else "",
            "sellable": sellable(
                self.seen.api,
                self._views if FLAVORS in reached else [],
                self._flavors,
                self._written.aliases if self._written else {},
                proven=any(row.phase == SMOKE and row.outcome.state == DONE for row in self.rows),
            ),
        }

    def event(self, document: dict[str, Any]) -> Event:
        """Return the audit trail's line of it."""
        results = {0: "done", 3: "refused", 4: "done", 5: "part", _INTERRUPTED: "interrupted"}
        return Event(
            "up",
            results.get(document["exit_code"], "failed"),
            self.run,
            tuple(view.host for view in self.seen.views),
            self._prepared.changes,
            {
                "phases": {row.phase: row.outcome.state for row in self.rows},
                "fleet_runs": self._prepared.runs,
                "flavors": self._flavors,
            },
        )
