"""`gpuctl instance drain`: every GPU server off one host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli import books_options, options
from gpuctl.cli.asking import agree, show
from gpuctl.cli.cloud_options import cloud, yes
from gpuctl.cli.host import verbose
from gpuctl.cli.out import emit

if TYPE_CHECKING:
    from gpuctl.moves.drain.prepare import Job
    from gpuctl.moves.drain.result import DrainResult
    from gpuctl.moves.drain.settings import Settings


def add_to(group: click.Group) -> None:
    """The group has this command."""
    group.add_command(drain)


@click.command()
@options.common
@click.argument("host")
@click.option("--parallel", type=click.IntRange(1, 64), default=4, show_default=True, help="Moves at a time.")
@click.option("--per-destination", type=click.IntRange(1, 64), default=None, metavar="N",
              help="Moves at a time to one host; by default as many as --parallel.")  # fmt: skip
@click.option("--per-source", type=click.IntRange(1, 64), default=None, metavar="N",
              help="Moves at a time off the host; by default as many as --parallel.")  # fmt: skip
@click.option("--max-fail", default="1", show_default=True, metavar="N|N%",
              help="No more are started once N did not make it, or more than N% of all.")  # fmt: skip
@click.option("--skip-failing", is_flag=True, help="Move what can be moved, though other servers cannot.")
@click.option("--to", "only", multiple=True, metavar="HOST", help="Only to this host; may be repeated.")
@click.option("--any-zone", is_flag=True, help="Servers that are pinned to no zone may leave theirs.")
@click.option("--strategy", type=click.Choice(["auto", "cold", "shelve", "live", "legacy"]), default="auto",
              show_default=True, help="The way; one that is not safe for a server is refused.")  # fmt: skip
@click.option("--live-alias", "live_aliases", multiple=True, metavar="ALIAS",
              help="An alias that is live_migratable in nova.conf; may be repeated.")  # fmt: skip
@click.option("--force-locked", is_flag=True, help="Move servers although they are locked.")
@click.option("--accept-ephemeral-loss", is_flag=True, help="Shelve servers although that loses ephemeral disks.")
@click.option("--evacuate", is_flag=True, help="HOST is dead: rebuild its servers elsewhere. They stay off.")
@click.option("--confirmed-dead", default="", metavar="HOST",
              help="HOST's name again: whoever types it has seen to it that the machine is powered off.")  # fmt: skip
@click.option("--accept-disk-loss", is_flag=True,
              help="Evacuate servers with local disks, which are made anew unless on shared storage.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(1), default=None, metavar="SECONDS",
              help="After that a step of a move is reported as unknown, still going; hours by default.")  # fmt: skip
@books_options.audit_interval
@click.option("--dry-run", is_flag=True, help="Show the plan and every guard that refuses, and change nothing.")
@yes
@books_options.nova_db
@books_options.hosts
@cloud
@options.form()
@click.pass_context
def drain(
    ctx: click.Context,
    /,
    host: str,
    form: str,
    os_cloud: str | None,
    region: str | None,
    **said: Any,  # noqa: ANN401 - click's
) -> int:
    """Move every GPU server off HOST: planned as a whole, several at a time; the host is disabled, and stays so.

    Guards look at every server first; if one cannot be moved, nothing is touched (exit 3; --skip-failing). Servers
    without cards stay. Ctrl-C once: no more are started; twice: what runs is left to Nova. The same command goes on.

    Exit code 0: no GPU server is on HOST any more, read back; 5: some are; 1: none was moved; 130: interrupted.

    Example: gpuctl instance drain gpu17 --dry-run
    """
    from gpuctl.cloud import connect
    from gpuctl.moves.drain.prepare import prepare
    from gpuctl.moves.drain.run import run
    from gpuctl.output.drain_tables import Live, plan_table, result_table
    from gpuctl.output.progress import Progress

    settings = _settings(said)
    found = connect(os_cloud, region)
    base = books_options.database(said["nova_db"])
    link = books_options.link(ssh=said["ssh"], instances_path=said["instances_path"])
    with Progress() as progress:
        job = prepare(
            found,
            host,
            settings,
            hosts=link,
            database=base,
            told=lambda text, done, total: progress.show({"text": text, "done": done, "total": total}),
        )
    if job.refused or said["dry_run"]:
        planned = job.planned()
        table = plan_table(job, verbose=verbose(ctx)) if form == "table" else ""
        emit(planned.document(), form, table)
        return 3 if job.refused else 0
    if not said["yes"]:
        show(plan_table(job, verbose=verbose(ctx)), form)
        agree(_question(job), f"{job.plan.total} servers, and no terminal to ask on")
    with Live() as told:
        result = run(job, told=told)
    _record(result)
    emit(result.document(), form, result_table(result, verbose=verbose(ctx)) if form == "table" else "")
    return result.exit_code


def _settings(said: dict[str, Any]) -> Settings:
    """Return what was asked for.

    Raises:
        UsageError: options that make no sense together.
        BadShare: --max-fail.
    """
    from gpuctl.moves.drain.caps import Caps
    from gpuctl.moves.drain.settings import MaxFail, Settings
    from gpuctl.moves.move import DEADLINES, Options

    if not said["evacuate"] and (said["confirmed_dead"] or said["accept_disk_loss"]):
        raise click.UsageError("--confirmed-dead and --accept-disk-loss go with --evacuate")
    if said["evacuate"] and said["strategy"] != "auto":
        raise click.UsageError("--strategy does not go with --evacuate")
    return Settings(
        caps=Caps(said["parallel"], said["per_source"], said["per_destination"] or said["parallel"]),
        max_fail=MaxFail.of(said["max_fail"]),
        skip_failing=said["skip_failing"],
        options=Options(
            strategy=said["strategy"],
            force_locked=said["force_locked"],
            accept_ephemeral_loss=said["accept_ephemeral_loss"],
            live_aliases=said["live_aliases"],
            audit_interval=said["audit_interval"],
            deadlines=dict.fromkeys(DEADLINES, said["timeout"]) if said["timeout"] else {},
        ),
        only=said["only"],
        any_zone=said["any_zone"],
        evacuate=said["evacuate"],
        confirmed_dead=said["confirmed_dead"],
        accept_disk_loss=said["accept_disk_loss"],
    )


def _question(job: Job) -> str:
    if job.settings.evacuate:
        return f"{job.host} is powered off for certain, and its servers are to be rebuilt elsewhere?"
    return f"Drain {job.host}?"


def _record(result: DrainResult) -> None:
    """The operator's audit trail has this run; that it could not be written does not undo the moves."""
    from gpuctl.fleet.history import AuditFailed, Event, record

    if not result.touched:
        return
    changes = {
        one.server: [f"{one.strategy} {one.source} -> {one.dest}: {one.state}"] for one in result.results if one.steps
    }
    event = Event(
        verb="instance drain",
        result=result.state,
        run=result.run,
        subjects=(result.host,),
        changes=changes,
        detail={"cloud": result.cloud, "left": list(result.left or ())},
    )
    try:
        record(event)
    except AuditFailed as error:
        click.echo(f"gpuctl: {error.brief}: {error.details}", err=True)
