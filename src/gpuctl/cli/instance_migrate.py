"""`gpuctl instance migrate`: GPU servers to other hosts, by the way that is right for this cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli import books_options, options
from gpuctl.cli.asking import agree, show
from gpuctl.cli.cloud_options import cloud, yes
from gpuctl.cli.host import verbose
from gpuctl.cli.out import emit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl.moves.migrate import Job
    from gpuctl.moves.result import Result

KINDS = ("begin", "move", "confirm", "revert", "shelve", "unshelve", "live", "power", "audit")


def add_to(group: click.Group) -> None:
    """The group has this command."""
    group.add_command(migrate)


def _timeouts(_ctx: click.Context, _param: click.Parameter, said: tuple[str, ...]) -> dict[str, float]:
    """Return the deadlines that --timeout names: SECONDS for every kind of step, or KIND=SECONDS for one."""
    found: dict[str, float] = {}
    for one in said:
        kind, equals, seconds = one.rpartition("=")
        if (equals and kind not in KINDS) or not seconds.isdigit() or not int(seconds):
            raise click.BadParameter(f"{one!r} is not SECONDS or KIND=SECONDS; kinds: {', '.join(KINDS)}")
        found.update({kind: float(seconds)} if equals else dict.fromkeys(KINDS, float(seconds)))
    return found


@click.command()
@options.common
@click.argument("servers", nargs=-1, required=True, metavar="SERVER...")
@click.option("--host", "to", default=None, metavar="HOST", help="Where to; by default a host with a free card.")
@click.option(
    "--strategy",
    type=click.Choice(["auto", "cold", "shelve", "live", "legacy"]),
    default="auto",
    show_default=True,
    help="The way; one that is not safe here is refused whoever asks.",
)
@click.option("--no-confirm", is_flag=True, help="Leave it in VERIFY_RESIZE: both hosts' cards stay held.")
@click.option(
    "--on-bad",
    type=click.Choice(["leave", "revert"]),
    default="leave",
    show_default=True,
    help="What becomes of a move whose guest is not proven good.",
)
@click.option("--parallel", type=click.IntRange(1, 64), default=1, show_default=True, help="Moves at a time.")
@click.option(
    "--live-alias",
    "live_aliases",
    multiple=True,
    metavar="ALIAS",
    help="An alias that is live_migratable in nova.conf (no API shows it); may be repeated.",
)
@click.option("--force-locked", is_flag=True, help="Move it although it is locked.")
@click.option("--accept-ephemeral-loss", is_flag=True, help="Shelve it although that loses its ephemeral disk.")
@click.option(
    "--timeout",
    "deadlines",
    multiple=True,
    callback=_timeouts,
    metavar="[KIND=]SECONDS",
    help="After that a step is reported as unknown, still going. May be repeated; kinds: " + ", ".join(KINDS) + ".",
)
@click.option(
    "--settle",
    type=click.FloatRange(0.1),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="A request whose answer was lost and that left no trace for so long was not taken.",
)
@books_options.audit_interval
@click.option("--dry-run", is_flag=True, help="Show the way and every guard, and change nothing.")
@yes
@books_options.nova_db
@books_options.hosts
@cloud
@options.form()
@click.pass_context
def migrate(
    ctx: click.Context,
    /,
    form: str,
    os_cloud: str | None,
    region: str | None,
    servers: tuple[str, ...],
    to: str | None,
    **said: Any,  # noqa: ANN401 - click's
) -> int:
    """Move GPU servers to other hosts, by the way that is right for this cloud and each server.

    Guards look first, and one that fails stops everything (exit 3). The move is followed by its migration record and
    its instance action; a guest is proven good before anything is confirmed; and it is done only when all books agree.
    Killed or interrupted, the same command goes on from where the cloud is.

    Example: gpuctl instance migrate train-7 --host gpu18 --dry-run
    """
    from gpuctl.cloud import connect
    from gpuctl.moves.migrate import prepare, run
    from gpuctl.moves.move import Options
    from gpuctl.output.migrate_tables import document, plan_table, result_table

    asked = Options(
        strategy=said["strategy"],
        confirm=not said["no_confirm"],
        on_bad=said["on_bad"],
        force_locked=said["force_locked"],
        accept_ephemeral_loss=said["accept_ephemeral_loss"],
        live_aliases=said["live_aliases"],
        settle=said["settle"],
        audit_interval=said["audit_interval"],
        deadlines=said["deadlines"],
    )
    found = connect(os_cloud, region)
    base = books_options.database(said["nova_db"])
    link = books_options.link(ssh=said["ssh"], instances_path=said["instances_path"])
    job = prepare(found, servers, to=to, options=asked, hosts=link, database=base)
    if job.refused or said["dry_run"]:
        results = job.results()
        table = plan_table(job, verbose=verbose(ctx)) if form == "table" else ""
        emit(document(job.cloud.name, results), form, table)
        return 3 if job.refused else 0
    if not said["yes"]:
        show(plan_table(job, verbose=verbose(ctx)), form)
        agree("Move them?" if job.count > 1 else "Move it?", f"{job.count} servers, and no terminal to ask on")
    with _lines() as told:
        results = run(job, parallel=said["parallel"], told=told)
    _record(job, results)
    table = result_table(results, verbose=verbose(ctx)) if form == "table" else ""
    emit(document(job.cloud.name, results), form, table)
    return exit_code(results)


def exit_code(results: Sequence[Result]) -> int:
    """Return what the process says of these results."""
    states = {"done" if one.as_asked else one.state for one in results}
    if "interrupted" in states:
        return 130
    if states <= {"done"}:
        return 0
    if "done" in states:
        return 5
    return 3 if states <= {"refused"} else 1


def _lines() -> Any:  # noqa: ANN401 - a context manager of the output room, which is imported late
    from gpuctl.output.migrate_tables import Lines

    return Lines()


def _record(job: Job, results: Sequence[Result]) -> None:
    """The operator's audit trail has this run; that it could not be written does not undo the moves."""
    from gpuctl.fleet.history import AuditFailed, Event, record

    states = {one.state for one in results}
    word = "done" if states <= {"done"} else "interrupted" if "interrupted" in states else "failed"
    if "done" in states and word == "failed":
        word = "part"
    changes = {one.server: [f"{one.strategy} {one.source} -> {one.dest}: {one.state}"] for one in results if one.steps}
    event = Event(
        verb="instance migrate",
        result=word,
        subjects=tuple(one.server for one in results),
        changes=changes,
        detail={"cloud": job.cloud.name},
    )
    try:
        record(event)
    except AuditFailed as error:
        click.echo(f"gpuctl: {error.brief}: {error.details}", err=True)
