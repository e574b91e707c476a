"""What a person sees of a drain: the plan before, a bar a move meanwhile, what became of each server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gpuctl.moves.result import INTERRUPTED
from gpuctl.output.bars import Bar, Bars, duration
from gpuctl.output.migrate_tables import NOTICES, findings
from gpuctl.output.table import columns, fold

if TYPE_CHECKING:
    from gpuctl.moves.drain.plan import Entry, Plan
    from gpuctl.moves.drain.prepare import Job
    from gpuctl.moves.drain.result import DrainResult
    from gpuctl.moves.drain.run import Tally
    from gpuctl.moves.engine import Progress
    from gpuctl.moves.result import Result

_COLOURS = {"done": "green", "refused": "red", "failed": "red"}
_EVACUATE = "rebuilt elsewhere; it is not to be started, stopped or rebooted before the old host is back"


def plan_table(job: Job, *, verbose: bool = False) -> str:
    """Return the whole plan: who goes where, in which order, by which way and why; what cannot go; how long."""
    plan = job.plan
    text = columns(_rows(job), ("SERVER", "CARDS", "FROM", "TO", "WAY", "ESTIMATE", "WHY")) if plan.total else ""
    text += _ways(plan)
    for entry in plan.entries if verbose else plan.refused:
        text += f"{click.style(entry.server.name, bold=True)} ({entry.server.id})\n"
        text += findings(entry.planned.findings, verbose=verbose)
    for one in job.away:
        text += f"{one.name} ({one.server}): {one.detail}\n"
    if plan.staying:
        text += f"Without cards, they stay: {', '.join(plan.staying)}\n"
    if not plan.most:
        text += "Whether a better plan would place more servers was not found out: the search was cut off.\n"
    return fold(text + _closing(job))


def _rows(job: Job) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for track in job.plan.resumed:
        move = track.move
        cards = str(move.server.cards)
        why = f"goes on: {track.sent[-1].name} was asked for ({track.sent[-1].outcome})"
        rows.append((move.server.name, cards, move.source, move.to or "Nova chooses", move.strategy, "", why))
    for entry in job.plan.entries:
        one, server = entry.planned, entry.server
        if one.move is None:
            why = "; ".join(bad.title for bad in one.failed)
            rows.append((server.name, str(server.cards), job.host, "-", click.style("stays", fg="red"), "", why))
            continue
        to = one.move.to or "Nova chooses"
        rows.append((server.name, str(server.cards), job.host, to, one.move.strategy, _estimate(entry), one.choice.why))
    return rows


def _estimate(entry: Entry) -> str:
    return "?" if entry.seconds is None else f"~{duration(entry.seconds)}"


def _ways(plan: Plan) -> str:
    """Return what the guests notice, once for each way."""
    used = sorted({one.planned.move.strategy for one in plan.entries if one.planned.move is not None})
    return "".join(f"{name}: {NOTICES.get(name, _EVACUATE)}\n" for name in used)


def _closing(job: Job) -> str:
    plan, caps = job.plan, job.settings.caps
    stuck, count = len(plan.refused), plan.total - len(plan.refused)
    if not plan.total:
        return f"No GPU server is on {job.host}.\n" + _service(job)
    text = f"{count} of {plan.total} servers, at most {caps.total} at a time"
    text += f", {caps.per_destination} to one host" if caps.per_destination < caps.total else ""
    if plan.seconds is not None:
        text += f": about {duration(plan.seconds)}, an estimate from moves measured here"
    elif count:
        text += ": how long is not known, for not all of these ways were measured here before"
    text += f". No more are started once {job.settings.max_fail} of them failed.\n"
    if job.refused:
        text += f"Refused: {stuck} cannot be moved; nothing was touched (--skip-failing moves the others).\n"
    else:
        text += _service(job)
    return text


def _service(job: Job) -> str:
    text = f"nova-compute on {job.host} will be disabled, and stays so.\n"
    if not job.compute.enabled:
        text = f"nova-compute on {job.host} is disabled already ({job.compute.reason or 'no reason given'}).\n"
    if job.settings.evacuate:
        text += f"It will be forced down: Nova then holds {job.host} for dead. Make sure that it is powered off.\n"
    return text


def result_table(result: DrainResult, *, verbose: bool = False) -> str:
    """Return what became of each server, and of the host."""
    rows = [_row(one, result) for one in result.results]
    text = columns(rows, ("SERVER", "STATE", "FROM", "TO", "WAY", "TOOK", "WHAT HAPPENED")) if rows else ""
    for one in result.results:
        text += _notes(one, verbose=verbose)
    if result.staying:
        text += f"Without cards, they stay: {', '.join(result.staying)}\n"
    if result.stopped:
        text += f"Stopped: {result.stopped}\n"
    text += _outcome(result)
    return fold(text + "".join(f"{one}\n" for one in result.advice))


def _notes(one: Result, *, verbose: bool) -> str:
    """Return what speaks against a server's end, and what to do; said once."""
    bad = [each for each in one.findings if verbose or each.status == "fail"]
    text = findings(bad, verbose=verbose)
    if one.resolution and one.resolution not in {each.fix for each in bad}:
        text += f"    what to do: {one.resolution}\n"
    return f"{click.style(one.name, bold=True)} ({one.server})\n{text}" if text else ""


def _row(one: Result, of: DrainResult) -> tuple[str, ...]:
    state = click.style(one.state, fg=_COLOURS.get(one.state, "yellow"))
    seconds = duration(of.took[one.server]) if one.server in of.took else ""
    return (one.name, state, one.source or "-", one.dest or "-", one.strategy, seconds, one.detail)


def _outcome(result: DrainResult) -> str:
    done = sum(one.state == "done" for one in result.results)
    text = f"{done} of {len(result.results)} done" if result.results else "No GPU server was there to move"
    text += f" in {duration(result.seconds)}" if result.touched else ""
    if result.planned or not result.touched:
        return f"{text}.\n"
    if result.left is None:
        return f"{text}; whether {result.host} is empty could not be read back.\n"
    if result.left:
        return f"{text}; still on {result.host}: {', '.join(result.left)}.\n"
    return f"{text}; no GPU server is on {result.host} any more.\n"


class Live:
    """A bar a move on a terminal's stderr, and below them how far the whole is and how long it may still take."""

    def __init__(self) -> None:
        self._bars = Bars()
        self._running: dict[str, Bar] = {}
        self._told = False

    def __enter__(self) -> Live:  # noqa: PYI034 - there is no other
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bars away."""
        self._bars.hide()

    def __call__(self, said: Progress, tally: Tally) -> None:
        """Draw it."""
        server = said.move.server
        if said.result is not None:
            self._running.pop(server.id, None)
        else:
            share = min(said.seconds / tally.expected, 0.99) if tally.expected else None
            text = f"{said.step}: {said.detail}" if said.detail else said.step
            self._running[server.id] = Bar(server.name, text, share, said.seconds)
        if tally.stopped and not self._told:
            self._told = True
            self._bars.say(f"{tally.stopped[:1].upper()}{tally.stopped[1:]}; {_meanwhile(tally)}.")
        self._bars.show(list(self._running.values()), foot(tally))


def _meanwhile(tally: Tally) -> str:
    """Return what becomes of the moves that are under way, where no more are started."""
    if not tally.running:
        return "none is under way"
    often = "again" if tally.stopped.startswith(INTERRUPTED) else "twice"
    return f"{tally.running} under way are waited for (Ctrl-C {often} leaves them to Nova)"


def foot(tally: Tally) -> str:
    """Return the line below the bars."""
    text = f"{tally.done} of {tally.total} done, {tally.running} under way, {tally.waiting} to go"
    text += f", {tally.failed} failed" if tally.failed else ""
    text += f", about {duration(tally.left)} left" if tally.left is not None else ""
    return text + (f"; {tally.stopped}" if tally.stopped else "")
