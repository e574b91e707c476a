"""A plan is carried out: eight flavors at a time, one listing reads them back, those that are right are opened."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import TypeVar

from gpuctl.cloud import CloudError
from gpuctl.flavors.api import FlavorApi
from gpuctl.flavors.birth import bear, fatal
from gpuctl.flavors.diff import Difference, Step, compare
from gpuctl.flavors.errors import FlavorError, HalfMade, Verification
from gpuctl.flavors.model import Standing, Wanted
from gpuctl.flavors.replacement import replace_flavor

AT_ONCE = 8
T = TypeVar("T")
Told = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a step.

    Attributes:
        step: what was meant to be.
        state: "unchanged", "done", "waiting" (needs --replace), "failed", "not-tried".
        id: the flavor's id, where there is one.
        error: why it failed.
    """

    step: Step
    state: str
    id: str | None = None
    error: CloudError | FlavorError | None = None


@dataclass
class Sync:
    """One run.

    Attributes:
        api: the cloud.
        may_replace: whether --replace was said.
        told: hears (text, done, total) while it works.
    """

    api: FlavorApi
    may_replace: bool = False
    told: Told = lambda *_: None

    def run(self, steps: Sequence[Step]) -> list[Result]:
        """Carry out a plan; return one result a step, in its order, each read back from the cloud."""
        results = self._each(steps, self._do, "writing")
        if any(result.state == "done" for result in results):
            results = self._read_back(results)
            results = self._each(results, self._open, "opening")
        return results

    def _each(self, items: Sequence[T], work: Callable[[T], Result], text: str) -> list[Result]:
        """Do ``work`` on every item, some at a time; after an error that would meet them all, leave the rest."""
        stop = threading.Event()

        def one(item: T) -> Result:
            if stop.is_set() and isinstance(item, Step) and item.action not in {"none", "conflict"}:
                return Result(item, "not-tried", item.standing.id if item.standing else None)
            result = work(item)
            if result.error is not None and fatal(result.error):
                stop.set()
            return result

        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="flavor")
        try:
            futures = [pool.submit(one, item) for item in items]
            for done, _ in enumerate(as_completed(futures), 1):
                self.told(text, done, len(futures))
            return [future.result() for future in futures]
        finally:
            # Interrupted: what is being made is finished, what was not begun is not begun.
            pool.shutdown(wait=True, cancel_futures=True)

    def _do(self, step: Step) -> Result:
        """Carry out one step."""
        flavor = step.standing.id if step.standing else None
        try:
            return self._done(step, flavor)
        except (CloudError, FlavorError) as error:
            return Result(step, "failed", flavor, error)

    def _done(self, step: Step, flavor: str | None) -> Result:
        if step.action == "none":
            return Result(step, "unchanged", flavor)
        if step.action == "conflict":
            return Result(step, "failed", flavor, Verification(step.notes[-1]))
        if step.wanted is None:
            return self._prune(step, flavor)
        if step.standing is None:
            return Result(step, "done", bear(self.api, step.wanted))
        if step.action == "replace":
            if not self.may_replace:
                self._mend(step.standing, step.differences)
                return Result(step, "waiting", flavor)
            return Result(step, "done", replace_flavor(self.api, step.wanted, step.standing))
        self._mend(step.standing, step.differences)
        return Result(step, "done", flavor)

    def _prune(self, step: Step, flavor: str | None) -> Result:
        """Remove a flavor that the catalogue no longer has."""
        if flavor is not None:
            self.api.delete(flavor)
        return Result(step, "done", flavor)

    def _mend(self, standing: Standing, differences: Sequence[Difference]) -> None:
        """Put right what Nova lets change, but whom it is open to: that comes after reading back."""
        specs = {one.field.partition(".")[2]: one.after for one in differences if one.field.startswith("extra_specs.")}
        kept = {key: value for key, value in specs.items() if value is not None}
        # New values first: an alias that takes the place of a stale key is there before the key goes.
        if kept:
            self.api.set_specs(standing.id, kept)
        for key in specs.keys() - kept.keys():
            self.api.unset_spec(standing.id, key)
        for one in differences:
            if one.field == "description":
                self.api.describe(standing.id, one.after)

    def _read_back(self, results: list[Result]) -> list[Result]:
        """Return the results, those failed that the cloud does not show as they were written."""
        try:
            shown = {flavor.id: flavor for flavor in self.api.every()}
        except CloudError as error:
            return [replace(one, state="failed", error=error) if one.state == "done" else one for one in results]
        return [self._judged(one, shown.get(one.id or "")) for one in results]

    def _judged(self, result: Result, found: Standing | None) -> Result:
        wish = result.step.wanted
        if result.state != "done":
            return result
        if wish is None:
            return result if found is None else _failed(result, "it is still there after it was deleted")
        if found is None:
            return _failed(result, "it is not there after it was made")
        wrong = [one for one in compare(wish, found) if one.field != "access"]
        if not wrong:
            return result
        text = "; ".join(f"{one.field} is {one.before}, was written as {one.after}" for one in wrong)
        if result.step.action == "create" and wish.gpu:
            try:
                self.api.delete(found.id)
            except CloudError as error:
                told = HalfMade(
                    f"{wish.name} ({found.id}) is not as written and could not be removed",
                    details=f"{text}\n{error.brief}",
                )
                return replace(result, state="failed", error=told)
            text += "; it was removed"
        return _failed(result, text)

    def _open(self, result: Result) -> Result:
        """Open a flavor that was read back to the projects that may use it, and close it to the others."""
        wish = result.step.wanted
        if result.state != "done" or wish is None or wish.access is None or result.id is None or wish.public:
            return result
        had = (result.step.standing.access or ()) if result.step.standing and result.step.action == "repair" else ()
        if set(had) == set(wish.access):
            return result
        try:
            open_to(self.api, result.id, wish, had)
        except (CloudError, FlavorError) as error:
            return replace(result, state="failed", error=error)
        return result


def open_to(api: FlavorApi, flavor: str, wish: Wanted, had: Sequence[str] = ()) -> None:
    """Let the flavor be open to exactly the projects of the wish.

    Raises:
        CloudError: the API refused it: an unknown project, for one.
        Verification: what was read back is something else.
    """
    projects = wish.access or ()
    for project in sorted(set(had) - set(projects)):
        api.revoke(flavor, project)
    for project in sorted(set(projects) - set(had)):
        api.grant(flavor, project)
    shown = api.access(flavor)
    if set(shown) != set(projects):
        raise Verification(
            f"flavor {wish.name} is open to {', '.join(shown) or 'nobody'}, not to {', '.join(projects) or 'nobody'}"
        )


def _failed(result: Result, text: str) -> Result:
    name = result.step.name
    return replace(
        result,
        state="failed",
        error=Verification(f"flavor {name}: read back: {text}", resolution="run it again; is somebody else at it?"),
    )
