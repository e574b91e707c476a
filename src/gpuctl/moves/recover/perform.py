"""Does one step: judged once more right before, asked for once, and read back until it shows or its time is over."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.cloud_errors import CloudError, Rejected, Uncertain
from gpuctl.errors import OperatorError
from gpuctl.moves.placement_api import PlacementApi
from gpuctl.moves.recover import leftovers
from gpuctl.moves.recover.never import never
from gpuctl.moves.recover.owed import Owed, owe
from gpuctl.moves.recover.step import Act, Clear, Put, Step
from gpuctl.moves.recover.verify import missing, not_settled
from gpuctl.moves.result import DONE, FAILED, REFUSED, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuctl.moves.model import Action
    from gpuctl.moves.recover.reader import Glance, Reader
    from gpuctl.moves.recover.sight import Sight

SHORTEST, LONGEST = 0.2, 3.0  # seconds between two looks; a tenth of the time waited so far in between


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step.

    Attributes:
        state: done, failed, refused, unfinished or unknown.
        detail: what was seen, in one sentence.
        believed: a person says so, and no view shows it.
    """

    state: str
    detail: str = ""
    believed: bool = False


@dataclass
class Performer:
    """Does steps.

    Attributes:
        reader: what is read back, and the APIs.
        pause: waits so many seconds.
        heard: is told what is waited for.
        clock: seconds, on whatever clock ``pause`` waits by.
    """

    reader: Reader
    pause: Callable[[float], None] = time.sleep
    heard: Callable[[str], None] = lambda _: None
    clock: Callable[[], float] = time.monotonic

    def do(self, step: Step, sight: Sight, *, accepted: bool = False) -> Outcome:
        """Return what became of a step and of those that belong to it; what must never be done is refused.

        Args:
            step: the step.
            sight: read right before.
            accepted: the person agreed to it by its name.
        """
        if step.id == "shelve-unshelve" and not never(step.request, sight):
            owe(self.reader.cloud.name, sight.id, Owed(sight.home or "", sight.status == "SHUTOFF"))
        outcome = self._one(step, sight, accepted=accepted)
        for one in step.then:
            if outcome.state != DONE:
                return outcome
            now = self.reader.read(sight.id, sight.believed)
            if now.status != one.unless:
                outcome = self._one(one, now, accepted=accepted)
        return outcome

    def watch(self, step: Step, sight: Sight, seconds: float, request: str = "") -> Outcome:
        """Return done once everything that a step must show is seen, failed once its action failed, else unknown."""
        begun, why = self.clock(), ""
        while True:
            try:
                glance = self.reader.glance(sight.id, request)
                failed = _failure(glance.action)
                if failed:
                    return Outcome(FAILED, failed)
                why = _running(glance) or not_settled(step.expect, glance)
                if not why:
                    now = self.reader.read(sight.id, sight.believed)
                    why = missing(step.expect, now)
                    if not why:
                        return Outcome(DONE, f"seen: {step.expect.words}")
            except CloudError as error:
                why = f"the cloud cannot be asked just now: {error.brief}"
            waited = self.clock() - begun
            if waited >= seconds:
                return Outcome(UNKNOWN, f"after {waited:.0f} s: {why}; it must show: {step.expect.words}")
            self.heard(f"{step.title}: {why}")
            self.pause(min(max(SHORTEST, waited / 10), LONGEST, seconds - waited))

    def _one(self, step: Step, sight: Sight, *, accepted: bool) -> Outcome:
        """Do one step and read it back."""
        against = never(step.request, sight, accepted=accepted)
        if against:
            return Outcome(REFUSED, against)
        self.heard(step.title)
        lost, request = "", ""
        try:
            if isinstance(step.request, Act):
                _, request = self.reader.nova.act(sight.id, step.request.body, step.title)
            elif isinstance(step.request, Put):
                wanted = [one for one in (step.request.allocation, step.request.emptied) if one is not None]
                PlacementApi(self.reader.cloud.service("placement")).put(*wanted, what=step.title)
            elif isinstance(step.request, Clear):
                return self._clear(step, step.request.host, sight)
        except Rejected as error:
            return Outcome(FAILED, f"refused: {error.text or error.brief}")
        except Uncertain as error:
            lost = f"; the answer was lost ({error.brief}), it is not asked again"
        except OperatorError as error:
            return Outcome(FAILED, f"{error.brief}: {error.details}" if error.details else error.brief)
        outcome = self.watch(step, sight, step.seconds, request)
        return outcome if not lost or outcome.state == DONE else Outcome(outcome.state, outcome.detail + lost)

    def _clear(self, step: Step, host: str, sight: Sight) -> Outcome:
        """Put what is left on a host into its quarantine."""
        link = self.reader.hosts
        if link is None:
            return Outcome(REFUSED, f"{host} was not looked at; --ssh reaches it")
        plan = leftovers.planned(link, sight.books, [sight.id], host)
        stays = [one for one in plan["leftovers"] if not one["may_go"]]
        reasons = "; ".join(f"{one['name']}: {reason['text']}" for one in stays for reason in one["reasons"])
        if len(stays) == len(plan["leftovers"]) and stays:
            return Outcome(REFUSED, f"the host's half leaves it: {reasons}")
        answer = leftovers.quarantine(link, sight.books, [sight.id], host, plan)
        failed = [one for one in answer["results"] if one["state"] != leftovers.QUARANTINED]
        if failed:
            return Outcome(FAILED, "; ".join(f"{one['name']}: {one.get('detail', '')}" for one in failed))
        return self.watch(step, sight, step.seconds) if not stays else Outcome(FAILED, f"in part: {reasons}")


def _running(glance: Glance) -> str:
    """Return the step of the action that has not ended yet."""
    events = glance.action.events if glance.action is not None else None
    return next((f"{one.name} is under way" for one in events or () if one.result is None), "")


def _failure(action: Action | None) -> str:
    """Return what failed of an action; empty where nothing did."""
    if action is None or action.message != "Error":
        return ""
    said = [f"{one.name}: {one.words}" for one in action.events or () if one.result == "Error"]
    return f"{action.action} failed: {'; '.join(said) or 'no event says why'}"
