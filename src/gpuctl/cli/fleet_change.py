"""`gpuctl fleet prepare|restore`: every change on many hosts, through Ansible."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli import options
from gpuctl.cli.asking import agree, show
from gpuctl.cli.failure import Failure
from gpuctl.cli.fleet_change_options import passwords, shared, wish
from gpuctl.cli.host import verbose
from gpuctl.cli.interrupted import interruptible
from gpuctl.cli.out import emit
from gpuctl.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gpuctl.fleet.prepare_drain import Drainer
    from gpuctl.fleet.run_state import HostState, Wish

_INTERRUPTED = 130


@click.command()
@options.common
@shared
@options.vendor
@click.option("--gpu", "gpus", multiple=True, metavar="SEL", help="As `gpuctl host prepare --gpu`; may be repeated.")
@click.option(
    "--audio", type=click.Choice(["remove", "bind", "leave"]), default=None, help="The cards' audio functions."
)
@click.option(
    "--nvswitch",
    type=click.Choice(["leave", "guest"]),
    default=None,
    help="NVSwitches stay with the host, or go to vfio-pci with the GPUs.",
)
@options.consent
@options.form()
@click.pass_context
def prepare(ctx: click.Context, /, form: str, **said: Any) -> int:  # noqa: ANN401 - click's
    """Make the GPU hosts of an inventory ready for passthrough: canary first, then batches.

    Shows what will be done, equal plans together, and asks. What the inventory says (prepare_gpus, prepare_audio, ...)
    holds where no option says otherwise. A run is journalled, and can be resumed.

    Exit code 0: all done and read back; 4: done, some hold after a reboot; 5: some hosts did not make it; 1, 3, 6: none
    did (failed, refused, unreachable); 130: interrupted, journalled.

    Example: gpuctl fleet prepare -i inventory.yml --serial 20% --reboot
    """
    given = {
        "prepare_vendors": list(said["vendors"]),
        "prepare_gpus": list(said["gpus"]),
        "prepare_audio": said["audio"],
        "prepare_nvswitch": said["nvswitch"],
    }
    return _run(ctx, "prepare", {key: value for key, value in given.items() if value}, form, said)


@click.command()
@options.common
@shared
@options.consent
@options.form()
@click.pass_context
def restore(ctx: click.Context, /, form: str, **said: Any) -> int:  # noqa: ANN401 - click's
    """Bring the GPU hosts of an inventory back to what they were before, byte for byte.

    Exit codes as with prepare.

    Example: gpuctl fleet restore -i inventory.yml --limit rack3 --dry-run
    """
    return _run(ctx, "restore", {}, form, said)


def _run(ctx: click.Context, verb: str, variables: dict[str, Any], form: str, said: dict[str, Any]) -> int:
    """Plan, show, ask, do, show what became of it; return the exit code."""
    from gpuctl.fleet.ansible.collection import stage
    from gpuctl.fleet.ansible.place import private_folder
    from gpuctl.fleet.ansible.playbook import Access, Ansible
    from gpuctl.fleet.run_state_journal import Journal

    if said["last"]:
        return _last(verb, form)
    secrets = passwords(said)
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(Journal.load(said["resume"])) if said["resume"] else None
        wanted = journal.wish if journal else wish(verb, variables, said)
        if wanted.verb != verb:
            raise Failure(
                f"that run was a {wanted.verb}", resolution=f"gpuctl fleet {wanted.verb} --resume", exit_code=2
            )
        patience = max(said["timeout"], wanted.reboot_timeout + 60 if wanted.reboot else 0)
        access = Access(wanted.inventory, wanted.limit, said["forks"], secrets, said["vault_password_file"], patience)
        stop = stack.enter_context(interruptible())
        folder = stack.enter_context(private_folder())
        stage(folder / "collections")
        work = _Work(ctx, form, said, Ansible(folder, access, stop), wanted)
        if journal is None:
            hosts = work.hosts()
        else:
            from gpuctl.fleet.prepare import left

            hosts = left(journal)
        return work.go(hosts, journal, stack)


def _last(verb: str, form: str) -> int:
    """Show what the last run of this verb came to, as its journal has it."""
    from gpuctl.fleet.run_state_journal import last_document
    from gpuctl.output.fleet_run_tables import run_table

    document = last_document(verb)
    emit(document, form, run_table(document))
    return int(document["exit_code"])


class _Work:
    """One run of the command, from the hosts to the exit code."""

    def __init__(self, ctx: click.Context, form: str, said: dict[str, Any], ansible: Any, wish: Wish) -> None:  # noqa: ANN401
        self.ctx, self.form, self.said, self.ansible, self.wish = ctx, form, said, ansible, wish
        self.cloud: Any = None

    def hosts(self) -> list[str]:
        """Return the hosts that are meant."""
        found = list(self.ansible.hosts())
        if self.ansible.stop():
            raise KeyboardInterrupt
        if not found:
            raise Failure("no host of the inventory is meant", resolution="see -i and --limit", exit_code=2)
        return found

    def go(self, hosts: list[str], journal: Any, stack: contextlib.ExitStack) -> int:  # noqa: ANN401 - a Journal
        """Plan if it is to be seen or asked for, then do it."""
        from gpuctl.fleet.prepare import FleetRun, idle
        from gpuctl.fleet.run_state import PLANNED
        from gpuctl.fleet.run_state_journal import Journal

        names = self._nova_names(journal.hosts if journal else hosts) if self.wish.drain else {}
        before = frozenset(journal.states) - frozenset(hosts) if journal else frozenset()
        planned: list[HostState] = []
        if hosts and (self.said["dry_run"] or not self.said["yes"] or names):
            planned = self._plan(hosts)
            if self.said["dry_run"]:
                return self._emit_plan(planned)
            if any(state.state == PLANNED for state in planned) and not self.said["yes"]:
                self._agree(planned)
        if journal is None:
            journal = stack.enter_context(Journal.new(self.wish, hosts))
        for state in planned:
            if state.state != PLANNED:
                journal.settle(state)  # it was tried just now: it is not tried twice
        todo = [state.host for state in planned if state.state == PLANNED] if planned else hosts
        with self._told(len(todo)) as told:
            run = FleetRun(
                self.ansible,
                journal,
                told,
                fingerprints={state.host: state.fingerprint for state in planned if state.fingerprint},
                drainer=self._drainer(names, told.phase) if names else None,
                idle=idle(planned),
            )
            states = run.go(todo)
        return self._emit_run(run, states, before)

    def _plan(self, hosts: list[str]) -> list[HostState]:
        from gpuctl.fleet.prepare import plan

        with self._told(len(hosts)) as told:
            planned, interrupted = plan(self.ansible, self.wish, hosts, told)
        if interrupted:
            raise KeyboardInterrupt
        return planned

    def _emit_plan(self, planned: list[HostState]) -> int:
        from gpuctl.fleet.run_state import plan_document
        from gpuctl.output.fleet_run_tables import plan_table

        document = plan_document(self.wish, planned)
        emit(document, self.form, plan_table(document, verbose=verbose(self.ctx)))
        return int(document["exit_code"])

    def _agree(self, planned: list[HostState]) -> None:
        from gpuctl.fleet.run_state import PLANNED, plan_document
        from gpuctl.output.fleet_run_tables import plan_table

        # With -f json the result alone goes to stdout; the plan is for the person who is asked.
        table = plan_table(plan_document(self.wish, planned), verbose=verbose(self.ctx))
        show(table, self.form)
        count = sum(state.state == PLANNED for state in planned)
        caught = signal.signal(signal.SIGINT, signal.default_int_handler)  # an interrupt is an answer, too
        try:
            agree(self._question(count), f"{count} hosts to change, and no terminal to ask on")
        finally:
            signal.signal(signal.SIGINT, caught)

    def _question(self, count: int) -> str:
        first = "move their GPU instances away, " if self.wish.drain else ""
        last = ", and reboot those that need it" if self.wish.reboot else ""
        said = f"{first}{self.wish.verb} {count} hosts{last}?"
        return said[0].upper() + said[1:]

    def _emit_run(self, run: Any, states: list[HostState], before: frozenset[str]) -> int:  # noqa: ANN401 - a FleetRun
        from gpuctl.fleet.prepare_check import keep
        from gpuctl.fleet.run_state import run_document
        from gpuctl.output.fleet_run_tables import run_table

        document = run_document(
            run.journal.run, self.wish, states, stopped=run.stopped, interrupted=run.interrupted, before=before
        )
        # The hosts are as they are: that a file of ours cannot be written does not hide what became of them.
        for write in (
            lambda: run.journal.write({"end": document["exit_code"], "stopped": document["stopped"]}),
            lambda: keep(run.journal.run, self.wish, states),
            lambda: _record(document, states, before),
        ):
            try:
                write()
            except OperatorError as error:
                click.echo(f"gpuctl: {error.brief}", err=True)
        emit(document, self.form, run_table(document))
        return int(document["exit_code"])

    @contextlib.contextmanager
    def _told(self, total: int) -> Iterator[Any]:
        from gpuctl.fleet.prepare import Told
        from gpuctl.output.progress import Progress

        with Progress() as progress:
            yield Told(progress.show, total)

    def _nova_names(self, hosts: Sequence[str]) -> dict[str, str]:
        """Return Nova's name of each host; nothing is drained before all are known."""
        from gpuctl.cloud import connect
        from gpuctl.fleet.nova_drainer import VARIABLE, nova_names
        from gpuctl.moves.nova_api import NovaApi

        self.cloud = connect(self.wish.cloud or None, self.wish.region or None)
        known = NovaApi.of(self.cloud.service("compute")).computes()
        return nova_names(self.ansible.variable(VARIABLE, hosts), known)

    def _drainer(self, names: dict[str, str], told: Callable[[str], None]) -> Drainer:
        from gpuctl.fleet.nova_drainer import NovaDrainer

        return NovaDrainer(self.cloud, names, self.wish.reboot, told, self.ansible.stop)


def _record(document: dict[str, Any], states: Sequence[HostState], before: frozenset[str]) -> None:
    """The operator's audit trail has this run."""
    from gpuctl.fleet.history import Event, record

    changes = {
        state.host: [f"{one['kind']} {one['target']}" for one in state.changes if one.get("state") == "done"]
        for state in states
        if state.host not in before
    }
    results = {0: "done", 4: "done", 3: "refused", 5: "part", _INTERRUPTED: "interrupted"}
    record(
        Event(
            f"fleet {document['verb']}",
            results.get(document["exit_code"], "failed"),
            document["run"],
            tuple(state.host for state in states),
            {host: lines for host, lines in changes.items() if lines},
            {"summary": document["summary"]},
        )
    )
