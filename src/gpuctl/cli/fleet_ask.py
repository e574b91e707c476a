"""`gpuctl fleet facts` and `gpuctl fleet check`: many hosts asked at once, nothing changed on any."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli import fleet_options, options
from gpuctl.cli.failure import Failure
from gpuctl.cli.host import verbose
from gpuctl.cli.out import put

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuctl.fleet.ask import Question
    from gpuctl.fleet.runner import Target
    from gpuctl.fleet.runs import Run
    from gpuctl.fleet.summary import Summary
    from gpuctl.output.progress import Progress

_TIMEOUT = click.option(
    "--timeout",
    type=click.FloatRange(1, 3600),
    default=60.0,
    show_default=True,
    metavar="S",
    help="Seconds for one host in all: connection, login, answer.",
)


@click.command()
@options.common
@fleet_options.hosts
@fleet_options.reached
@_TIMEOUT
@options.vendor
@options.form("jsonl", "csv")
@click.pass_context
@fleet_options.tells
def facts(ctx: click.Context, /, inventory: tuple[str, ...], limit: str | None, form: str, **more: Any) -> int:  # noqa: ANN401
    """Read what the hosts are. -f jsonl: one host's facts a line, as `gpuctl nova configure --facts` reads them.

    Exit code 0: all were read; 5: some; 6: none could be reached.

    Example: gpuctl fleet facts -i inventory.ini -f jsonl > hosts.jsonl
    """
    from gpuctl.fleet.ask import Question

    way = {key: more[key] for key in ("user", "keys", "ssh_config")}
    chosen = fleet_options.targets(inventory, limit, **way)
    question = Question(
        check=False,
        vendors=more["vendors"],
        forks=more["forks"],
        timeout=more["timeout"],
        inventory=inventory,
        limit=limit,
    )
    run, summary = _ask(ctx, question, chosen, form)
    try:
        _print(run, form, lambda: _facts_text(run))
    finally:
        run.path.unlink(missing_ok=True)
        run.path.parent.rmdir()
    return summary.exit_code()


@click.command()
@options.common
@fleet_options.hosts
@fleet_options.reached
@_TIMEOUT
@options.vendor
@click.option("--strict", is_flag=True, help="Let a warning fail too.")
@click.option("--last", is_flag=True, help="Show the last run again; no host is asked.")
@options.form("jsonl", "csv", "prom", "nagios", "junit")
@click.pass_context
@fleet_options.tells
def check(
    ctx: click.Context,
    /,
    inventory: tuple[str, ...],
    limit: str | None,
    form: str,
    *,
    strict: bool,
    last: bool,
    **more: Any,  # noqa: ANN401 - how hosts are reached, passed on
) -> int:
    """Say which hosts are ready for passthrough, and what is wrong with the others: equal findings together.

    Hosts that are well are counted, not listed. -v prints each host with a problem as its answer comes.

    Exit code 0: all ready; 1: some not; 5: some could not be asked; 6: none could be reached. With -f nagios: 0-3.

    Example: gpuctl fleet check -i inventory.ini --limit 'rack7:!gpu0703'
    """
    from gpuctl.fleet.ask import Question
    from gpuctl.fleet.summary import Summary

    if last:
        from gpuctl.fleet.runs import last_run

        run, summary = last_run(), Summary()
        for entry in run.hosts():
            summary.add(entry)
    else:
        chosen = fleet_options.targets(inventory, limit, **{key: more[key] for key in ("user", "keys", "ssh_config")})
        question = Question(
            check=True,
            vendors=more["vendors"],
            strict=strict,
            forks=more["forks"],
            timeout=more["timeout"],
            inventory=inventory,
            limit=limit,
        )
        run, summary = _ask(ctx, question, chosen, form)
    if form == "nagios":
        from gpuctl.output.fleet_forms import nagios

        line, code = nagios(run)
        put(line + "\n")
        return code
    _print(run, form, lambda: _check_text(run, wordy=verbose(ctx)))
    return summary.exit_code()


def _check_text(run: Run, *, wordy: bool) -> str:
    from gpuctl.output.fleet_tables import check_summary

    return check_summary(run, verbose=wordy)


def _facts_text(run: Run) -> str:
    from gpuctl.output.fleet_tables import facts_summary

    return facts_summary(run)


def _print(run: Run, form: str, table: Callable[[], str]) -> None:
    if form == "table":
        put(table())
        return
    from gpuctl.output.fleet_forms import pieces

    for piece in pieces(run, form):
        put(piece)


def _ask(ctx: click.Context, question: Question, chosen: list[Target], form: str) -> tuple[Run, Summary]:
    from gpuctl.fleet.ask import ask
    from gpuctl.output.progress import Progress

    settings = ctx.find_root().obj or {}
    stream = form == "table" and verbose(ctx)
    with Progress() as progress:
        show = _Showing(len(chosen), progress, stream=stream)
        show.progress()

        def debug(text: str) -> None:
            progress.hide()
            click.echo(text, err=True)

        try:
            return ask(question, chosen, show, debug=debug if settings.get("debug") else None)
        except OSError as error:
            raise Failure(
                "the run's answers cannot be written", details=str(error), resolution="XDG_STATE_HOME says where"
            ) from error


class _Showing:
    """Hosts done and time left on stderr; with -v a line for each host with a problem."""

    def __init__(self, total: int, progress: Progress, *, stream: bool) -> None:
        self._total, self._progress, self._stream = total, progress, stream
        self._began = time.monotonic()

    def __call__(self, entry: dict[str, Any], summary: Summary) -> None:
        if self._stream:
            from gpuctl.output.fleet_tables import host_line

            line = host_line(entry)
            if line:
                self._progress.hide()
                put(line)
        self.progress(summary)

    def progress(self, summary: Summary | None = None) -> None:
        done = len(summary.states) if summary is not None else 0
        text = "hosts"
        if summary is not None and done:
            left = (time.monotonic() - self._began) / done * (self._total - done)
            text = f"hosts, {len(summary.errors)} could not be asked, about {left:.0f} s left"
        self._progress.show({"text": text, "done": done, "total": self._total})
