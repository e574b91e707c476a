"""What a person sees of moves: the plan before, a line a step meanwhile, what became of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

import click

from gpuctl.moves.result import INTERRUPTED
from gpuctl.output.table import columns, fold, mark

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from gpuctl.moves.engine import Progress
    from gpuctl.moves.migrate import Job
    from gpuctl.moves.model import Finding
    from gpuctl.moves.planning import Planned
    from gpuctl.moves.result import Result

SCHEMA = "gpuctl.instance.migrate/1"

NOTICES = {
    "cold": "powered off while its disks are copied, then started; cards are held on both hosts until the confirm",
    "shelve": "powered off, a snapshot made of a local root disk, started; meanwhile nobody keeps a card for it",
    "live": "runs on; a pause of seconds",
    "legacy": "powered off while its disks are copied; where it does not start, a second time until the source's audit",
}
"""What the guest notices, and the risk."""

_SIGN = {
    "done": ("✔", "green"),
    "planned": ("·", "cyan"),
    "refused": ("✘", "red"),
    "failed": ("✘", "red"),
    "unfinished": ("!", "yellow"),
    "interrupted": ("!", "yellow"),
    "unknown": ("?", "yellow"),
}


def document(cloud: str, results: Sequence[Result]) -> dict[str, Any]:
    """Return the gpuctl.instance.migrate/1 document."""
    return {"schema": SCHEMA, "cloud": cloud, "results": [one.document() for one in results]}


def plan_table(job: Job, *, verbose: bool = False) -> str:
    """Return what would be done with each server, why, what its guest notices, and what the guards say."""
    text = ""
    for track in job.tracks:
        move, last = track.move, track.sent[-1]
        text += _head("planned", move.server.name, move.server.id, move.source, move.to, move.strategy)
        text += (
            f"    goes on: move {move.id} did not end; the last thing asked of Nova was {last.name} ({last.outcome})\n"
        )
    for one in job.plans:
        text += _plan(one, verbose=verbose)
    if job.refused:
        text += f"Refused: {len(job.refused)} of {job.count}; nothing was touched.\n"
    return fold(text)


def _plan(one: Planned, *, verbose: bool) -> str:
    server, choice = one.server, one.choice
    state = "planned" if one.move else "refused"
    text = _head(state, server.name, server.id, server.host, choice.to, choice.strategy or "no way")
    text += f"    why: {choice.why}\n"
    if one.move:
        text += f"    its guest: {NOTICES[one.move.strategy] if one.move.ran else 'is off, and stays off'}\n"
        if one.move.strategy == "shelve" and not one.move.ran:
            text += "    an unshelve starts it: it is stopped again\n"
    if verbose:
        text += "".join(f"    not {name}: {why}\n" for name, why in choice.refused.items())
    return text + findings(one.findings, verbose=verbose)


def _head(state: str, name: str, server: str, source: str | None, to: str | None, strategy: str) -> str:
    sign, colour = _SIGN[state]
    where = f"{source or 'no host'} -> {to or 'a host that Nova chooses'}"
    return f"{click.style(sign, fg=colour)} {click.style(name, bold=True)} ({server})  {where}  {strategy}\n"


def findings(found: Sequence[Finding], *, verbose: bool = False) -> str:
    """Return findings, a line each; passes only where ``verbose``."""
    text = ""
    for one in found:
        if one.status == "pass" and not verbose:
            continue
        text += f"    {mark(one.status)} {one.id}: {one.title}\n"
        if one.evidence and (verbose or one.status == "fail"):
            text += f"        {one.evidence}\n"
        if one.fix and one.status == "fail":
            text += f"        what to do: {one.fix}\n"
    return text


def result_table(results: Sequence[Result], *, verbose: bool = False) -> str:
    """Return what became of each server."""
    text = ""
    for one in results:
        text += _head(one.state, one.name, one.server, one.source, one.dest, one.strategy)
        text += f"    {one.state}: {one.detail.removeprefix(f'{one.state}: ')}\n"
        if one.resolution:
            text += f"    what to do: {one.resolution}\n"
        if verbose:
            steps = [
                (f"    {each.step}", each.state, "" if each.seconds is None else f"{each.seconds:.1f} s", each.detail)
                for each in one.steps
            ]
            text += columns(steps)
        text += findings(one.findings, verbose=verbose)
    if len(results) > 1:
        counts: dict[str, int] = {}
        for one in results:
            counts[one.state] = counts.get(one.state, 0) + 1
        text += ", ".join(f"{count} {state}" for state, count in counts.items()) + ".\n"
    return fold(text)


class Lines:
    """One line on stderr for each new step of a move; silent where stderr is no terminal."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()
        self._last: dict[str, tuple[str, str]] = {}
        self._interrupted = False

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to tidy up."""

    def __call__(self, said: Progress) -> None:
        """Show it, if it is new."""
        if self._on and said.result is not None and said.result.state == INTERRUPTED and not self._interrupted:
            self._interrupted = True
            click.echo(err=True)  # what comes next is not on the line on which the terminal wrote ^C
        key = said.step, said.detail
        if not self._on or said.step in {"look", "end"} or self._last.get(said.move.server.id) == key:
            return
        self._last[said.move.server.id] = key
        click.echo(f"{said.seconds:6.0f} s  {said.move.server.name}  {said.step}: {said.detail}", err=True)
