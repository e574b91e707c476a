"""`fleet facts` and `fleet check`: the hosts are asked, each answer goes to the run's file, and a summary is left."""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gpuctl.fleet import runs
from gpuctl.fleet.runner import Outcome, Target, ask_all
from gpuctl.fleet.shape import sound
from gpuctl.fleet.summary import FAILED, NOT_READY, READ, READY, Summary, changes
from gpuctl.remote.errors import BadAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gpuctl.fleet.inventory import Inventory
    from gpuctl.remote.endpoint import Settings

CHECK, FACTS = "gpuctl.fleet.check/1", "gpuctl.fleet.facts/1"
_OBJECTS = 50_000  # new ones until the collector looks for circles: some ten answers
_BACK = 10  # kept runs that are looked through for one with the same hosts


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, of whom.

    Attributes:
        check: judge them; else facts alone.
        vendors: whose GPUs; empty for the host's own default.
        strict: a warning fails too.
        forks: how many hosts at once.
        timeout: seconds for one host in all.
        inventory: what -i said.
        limit: what --limit said.
    """

    check: bool
    vendors: tuple[str, ...] = ()
    strict: bool = False
    forks: int = 50
    timeout: float = 60.0
    inventory: tuple[str, ...] = ()
    limit: str | None = None

    @property
    def request(self) -> dict[str, Any]:
        """What each host's half is sent."""
        common = {"command": "check" if self.check else "facts", "vendors": list(self.vendors) or None}
        return {**common, "strict": self.strict, "facts": True} if self.check else common


def targets(inventory: Inventory, limit: str | None, base: Settings) -> list[Target]:
    """Return the hosts to ask; how each is reached is found out when its turn comes, so that one's fault is its own."""
    from gpuctl.remote.endpoint import endpoint

    chosen = inventory.select(limit)
    groups: dict[str, list[str]] = {host: [] for host in chosen}
    for name in sorted(inventory.groups):
        for host in inventory.groups[name]:
            if host in groups:
                groups[host].append(name)

    def way(host: str) -> Any:  # noqa: ANN401 - a callable that makes an endpoint
        return lambda: endpoint(host, inventory.settings(host, base))

    return [Target(host, tuple(groups[host]), way(host)) for host in chosen]


def ask(
    question: Question,
    hosts: Sequence[Target],
    heard: Callable[[dict[str, Any], Summary], None],
    *,
    debug: Callable[[str], None] | None = None,
) -> tuple[runs.Run, Summary]:
    """Ask every host; return the run's file and its summary. A check's file is kept.

    Args:
        question: what is asked.
        hosts: of whom.
        heard: is called with each host's entry as it comes, and the summary up to then.
        debug: is told the traceback of an unforeseen error.
    """
    from gpuctl_host import __version__

    began, run_id, summary = time.monotonic(), runs.new_id(), Summary()
    head: dict[str, Any] = {"schema": CHECK if question.check else FACTS}
    if question.check:
        head["run"] = run_id
    head |= {"version": __version__, "started_at": now(), "vendors": list(question.vendors) or ["10de"]}
    if question.check:
        head["strict"] = question.strict
    head |= {"inventory": list(question.inventory), "limit": question.limit}
    before = earlier({target.host for target in hosts}) if question.check else None
    writer = runs.Writer(head, runs.place() / f"{run_id}.json.gz" if question.check else None)
    try:
        with _seldom_collected():
            for outcome in ask_all(
                hosts, question.request, forks=question.forks, timeout=question.timeout, debug=debug
            ):
                entry = _entry(_sound(outcome, check=question.check), check=question.check)
                summary.add(entry)
                writer.add(entry)
                heard(entry, summary)
        seconds = time.monotonic() - began
        run = writer.finish(check_tail(summary, before, seconds) if question.check else _tail(summary, READ, seconds))
    except BaseException:
        writer.drop()
        raise
    if question.check:
        runs.prune()
    return run, summary


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Let the collector of circles rest: answers have none, and it would go through all modules for each few hosts."""
    import paramiko  # noqa: F401 - here, once: fifty threads would wait for one another's import

    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _tail(summary: Summary, good: str, seconds: float) -> dict[str, Any]:
    return {"finished_at": now(), "seconds": round(seconds, 1), "counts": summary.counts(good)}


def check_tail(summary: Summary, before: runs.Run | None, seconds: float) -> dict[str, Any]:
    """Return what a check's document says after its hosts (docs/reference/fleet.md)."""
    return {
        **_tail(summary, READY, seconds),
        "findings": summary.findings(),
        "changes": _changes(before, summary),
        "states": summary.states,
        "problems": summary.problems(),
    }


def now() -> str:
    """Return the time, RFC 3339."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _sound(outcome: Outcome, *, check: bool) -> Outcome:
    """Return the outcome; an answer that is none becomes an error, this host's alone."""
    if outcome.document is None:
        return outcome
    try:
        sound(outcome.target.host, outcome.document, check=check)
    except BadAnswer as error:
        return replace(outcome, document=None, error=error)
    return outcome


def _entry(outcome: Outcome, *, check: bool) -> dict[str, Any]:
    """Return one host's entry, as the documents have it."""
    document, error = outcome.document, outcome.error
    entry: dict[str, Any] = {"host": outcome.target.host, "groups": list(outcome.target.groups)}
    facts = document
    if check:
        facts = document.pop("facts", None) if document is not None else None
        entry["state"] = FAILED if document is None else READY if document.get("ready") is True else NOT_READY
    else:
        entry["state"] = FAILED if document is None else READ
    entry["seconds"] = round(outcome.seconds, 2)
    if check:
        entry["check"] = document
    entry["facts"] = facts
    entry["error"] = None
    if error is not None:
        entry["error"] = {
            "code": getattr(error, "code", "failed"),
            "brief": error.brief,
            "details": error.details,
            "resolution": error.resolution,
            "exit_code": error.exit_code,
        }
    return entry


def earlier(hosts: set[str], *, but: str = "") -> runs.Run | None:
    """Return the newest kept run that asked any of these hosts; ``but``: not the one with this id."""
    for path in reversed([path for path in runs.kept() if path.name != f"{but}.json.gz"][-_BACK:]):
        try:
            run = runs.open_run(path)
        except runs.NoRun:
            continue
        if hosts & set(run.tail.get("states", ())):
            return run
    return None


def _changes(before: runs.Run | None, summary: Summary) -> dict[str, Any] | None:
    if before is None:
        return None
    return changes(str(before.head.get("run")), before.tail["states"], before.tail.get("problems", {}), summary)
