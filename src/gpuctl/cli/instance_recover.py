"""`gpuctl instance recover`: what a broken move left of a server, said in plain words and put right."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli import books_options, instance_leftovers, options
from gpuctl.cli.asking import confirmed, line, there
from gpuctl.cli.cloud_options import cloud, yes
from gpuctl.cli.failure import Failure
from gpuctl.cli.host import verbose
from gpuctl.cli.out import emit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl.moves.model import Statement
    from gpuctl.moves.recover.case import Case
    from gpuctl.moves.recover.reader import Reader
    from gpuctl.moves.recover.run import Recovery, Repair
    from gpuctl.moves.recover.sight import Sight
    from gpuctl.moves.recover.step import Plan, Step

ON_A_TERMINAL_S = 600.0


def add_to(group: click.Group) -> None:
    """The group has these commands."""
    group.add_command(recover)
    group.add_command(instance_leftovers.leftovers)


@click.command()
@options.common
@click.argument("servers", nargs=-1, required=True, metavar="SERVER...")
@click.option("--dry-run", is_flag=True, help="Say the case and the plan, change nothing.")
@yes
@click.option(
    "--accept",
    "accepted",
    multiple=True,
    metavar="STEP",
    help="Agree to a step that loses something, by its name (the plan says it); --yes does not. May be repeated.",
)
@click.option("--revert", "back", is_flag=True, help="Take a move back that waits, instead of confirming it.")
@click.option(
    "--rows-checked",
    is_flag=True,
    help="You looked with the SELECT that gpuctl printed, and it showed what it must: go on without --nova-db.",
)
@click.option("--force-locked", is_flag=True, help="Repair it although it is locked.")
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=None,
    metavar="SECONDS",
    help="Wait so long for a statement to take effect; 600 on a terminal, else 0.",
)
@books_options.audit_interval
@books_options.nova_db
@books_options.hosts
@cloud
@options.form()
@click.pass_context
def recover(
    ctx: click.Context,
    /,
    form: str,
    os_cloud: str | None,
    region: str | None,
    servers: tuple[str, ...],
    **said: Any,  # noqa: ANN401 - click's
) -> int:
    """Find out what a move that broke left of a server, say it in plain words, and put it right step by step.

    Each step is judged right before it is done, done once and read back; done means that nothing is left. What only
    Nova's database can repair is printed as a statement with its guard; gpuctl never writes to a database.

    Example: gpuctl instance recover train-7 --nova-db @nova-db.txt --ssh --dry-run
    """
    from gpuctl.cloud import connect
    from gpuctl.moves.move import Options
    from gpuctl.moves.recover.reader import Reader
    from gpuctl.output.recover_tables import document, result_table

    if said["rows_checked"] and len(servers) > 1:
        raise Failure(
            "--rows-checked is about one server's rows", resolution="recover one server at a time with it", exit_code=2
        )
    base = books_options.database(said["nova_db"])
    link = books_options.link(ssh=said["ssh"], instances_path=said["instances_path"])
    reader = Reader(connect(os_cloud, region), link, base, Options(audit_interval=said["audit_interval"]).audit)
    ids = list(dict.fromkeys(reader.find(one) for one in servers))
    found = _each(_repair(ctx, reader, said), ids)
    if not said["dry_run"]:
        _record(found, reader.cloud.name)
    emit(document(reader.cloud.name, found), form, result_table(found, verbose=verbose(ctx)))
    return exit_code(found)


def exit_code(found: Sequence[Recovery]) -> int:
    """Return what the process says of these recoveries."""
    states = {one.result.state for one in found}
    if "interrupted" in states:
        return 130
    if states <= {"done", "planned"}:
        return 0
    if "done" in states:
        return 5
    return 3 if states <= {"refused"} else 1


def _repair(ctx: click.Context, reader: Reader, said: dict[str, Any]) -> Repair:
    """Return what repairs, with the terminal as its person."""
    from gpuctl.moves.recover.perform import Performer
    from gpuctl.moves.recover.resume import resume
    from gpuctl.moves.recover.run import Repair, Settings
    from gpuctl.output.recover_tables import plan_text

    person = Terminal(yes=said["yes"], accepted=said["accepted"])
    settings = Settings(
        dry_run=said["dry_run"],
        back=said["back"],
        rows_checked=said["rows_checked"],
        force_locked=said["force_locked"],
        wait=said["wait"] if said["wait"] is not None else ON_A_TERMINAL_S if person.there else 0.0,
    )

    def shown(sight: Sight, cases: tuple[Case, ...], plan: Plan) -> None:
        if not settings.dry_run:
            person.needed(plan)
        if person.there and not settings.dry_run:
            click.echo(plan_text(sight, cases, plan, verbose=verbose(ctx)), nl=False, err=True)

    performer = Performer(reader, heard=Told())
    return Repair(reader, performer, person, settings, resume=lambda one: resume(reader, one), shown=shown)


def _each(repair: Repair, servers: Sequence[str]) -> list[Recovery]:
    """Return what became of each; one that cannot even be read does not keep the others from being repaired.

    After Ctrl-C none is begun any more; what was done until then is in the answer.
    """
    from gpuctl.errors import OperatorError
    from gpuctl.moves.recover.run import interrupted, not_read

    found = []
    for server in servers:
        try:
            found.append(repair.run(server))
        except KeyboardInterrupt:
            if sys.stderr.isatty():
                click.echo(err=True)  # what comes next is not on the line on which the terminal wrote ^C
            found.append(interrupted(server, repair.taken))
            break
        except OperatorError as error:
            if len(servers) == 1:
                raise
            found.append(not_read(server, error))
    return found


class Terminal:
    """The person at the terminal; without one, what was said on the command line."""

    def __init__(self, *, yes: bool, accepted: Sequence[str]) -> None:
        self._yes, self._accepted = yes, frozenset(accepted)
        self.there = there()

    def needed(self, plan: Plan) -> None:
        """Refuse where somebody has to be asked and nobody can be: nothing was touched.

        Raises:
            Failure: exit 2.
        """
        from gpuctl.moves.recover.step import Ask, Await

        first = plan.steps[:1]
        asks = [one for one in first if not isinstance(one.request, (Ask, Await)) and one.id not in self._accepted]
        if asks and not self._yes and not self.there:
            say = f"--accept {asks[0].id}" if asks[0].destroys else "--yes"
            raise Failure(
                f"a step to agree to ({asks[0].title}), and no terminal to ask on",
                resolution=f"say {say} to agree beforehand, or --dry-run to see what would be done",
                exit_code=2,
            )

    def agrees(self, step: Step) -> bool:
        """Ask; what destroys something wants its name typed."""
        if step.id in self._accepted or (self._yes and not step.destroys):
            return True
        if not self.there:
            return False
        from gpuctl.output.table import fold

        why = f"\n{step.title}\n  safe now because: {step.safe}\n  it must show: {step.expect.words}"
        click.echo(fold(why), err=True)
        if not step.destroys:
            return confirmed("Do it?")
        click.echo(fold(f"  {click.style(f'lost by it: {step.destroys}', fg='red')}"), err=True)
        return line(f"Type {step.id} to do it: ") == step.id

    def ran(self, step: Step, statement: Statement, *, watched: bool) -> bool | None:
        """Show the statement and wait for the person to run it."""
        from gpuctl.output.recover_tables import statement_text

        if not self.there:
            return None
        click.echo(f"\n{step.title}\n{statement_text(statement)}", nl=False, err=True)
        if watched:
            click.echo("Run it; gpuctl watches the database for its effect.", err=True)
            return None
        return confirmed(f"Did the last SELECT show it: {step.expect.words}?")


class Told:
    """A line on stderr for what is waited for, where it is new; silent where stderr is no terminal."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, text: str) -> None:
        """Say it."""
        if text != self._last and sys.stderr.isatty():
            click.echo(f"  {text}", err=True)
        self._last = text


def _record(found: Sequence[Recovery], cloud_name: str) -> None:
    """The operator's audit trail has this run."""
    from gpuctl.fleet.history import AuditFailed, Event, record

    states = {one.result.state for one in found}
    changes = {
        one.result.server: [f"{step.step}: {step.state}" for step in one.result.steps]
        for one in found
        if one.result.steps
    }
    word = "done" if states <= {"done"} else "part" if "done" in states else "failed"
    word = "interrupted" if "interrupted" in states else word
    subjects = tuple(one.result.server for one in found)
    try:
        record(Event("instance recover", word, subjects=subjects, changes=changes, detail={"cloud": cloud_name}))
    except AuditFailed as error:
        click.echo(f"gpuctl: {error.brief}: {error.details}", err=True)
