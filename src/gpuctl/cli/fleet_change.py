"""`gpuctl fleet prepare|restore`: every change on many hosts, through Ansible."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli import options
from gpuctl.cli.cloud_options import agree
from gpuctl.cli.failure import Failure
from gpuctl.cli.host import emit, verbose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuctl.fleet.prepare import Drainer
    from gpuctl.fleet.run_state import HostState, Wish

_INTERRUPTED = 130


def shared(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options that both verbs have."""
    for option in reversed(
        (
            click.option("-i", "--inventory", multiple=True, metavar="INVENTORY", help="As `ansible-playbook -i`."),
            click.option("--limit", default="", metavar="PATTERN", help="These hosts alone; a pattern of Ansible's."),
            click.option("--forks", type=click.IntRange(1), default=50, show_default=True, help="Hosts at a time."),
            click.option("--canary", type=click.IntRange(0), default=1, show_default=True,
                         help="So many hosts go first; if one of them fails, no other is touched."),
            click.option("--serial", default=None, metavar="N|N%|LIST", help="Batches after it: 5, 20%, or 1,10%; "
                         "by default all at once, with --reboot or --drain 10%."),
            click.option("--max-fail", default="10%", show_default=True, metavar="N%",
                         help="No further batch once more hosts than this did not make it."),
            click.option("--reboot", is_flag=True, help="Reboot what needs it, wait, and check it again."),
            click.option("--reboot-timeout", type=click.IntRange(1), default=1800, show_default=True,
                         metavar="SECONDS"),
            click.option("--timeout", type=click.IntRange(10), default=3600, show_default=True, metavar="SECONDS",
                         help="What a host may take for one step; a new initramfs for each kernel takes minutes."),
            click.option("--drain", is_flag=True, help="Move the GPU instances away first; enable the host again only "
                         "if it is done."),
            click.option("--resume", default=None, metavar="RUN", help="Go on with this run, or `last`: with its "
                         "inventory and options; hosts that are done are left alone."),
            click.option("--ask-pass", "-k", is_flag=True, help="Ask for the SSH password."),
            click.option("--ask-become-pass", "-K", is_flag=True, help="Ask for the password to become root."),
            click.option("--ask-vault-pass", is_flag=True, help="Ask for the password of ansible-vault."),
            click.option("--vault-password-file", type=click.Path(exists=True, dir_okay=False, resolve_path=True)),
        )
    ):  # fmt: skip
        function = option(function)
    return function


@click.command()
@options.common
@shared
@options.vendor
@click.option("--gpu", "gpus", multiple=True, metavar="SEL", help="As `gpuctl host prepare --gpu`; may be repeated.")
@click.option(
    "--audio", type=click.Choice(["remove", "bind", "leave"]), default=None, help="The cards' audio functions."
)
@click.option("--nvswitch", type=click.Choice(["leave", "guest"]), default=None)
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

    passwords = _passwords(said)
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(Journal.load(said["resume"])) if said["resume"] else None
        wish = journal.wish if journal else _wish(verb, variables, said)
        if wish.verb != verb:
            raise Failure(f"that run was a {wish.verb}", resolution=f"gpuctl fleet {wish.verb} --resume", exit_code=2)
        patience = max(said["timeout"], wish.reboot_timeout + 60 if wish.reboot else 0)
        access = Access(wish.inventory, wish.limit, said["forks"], passwords, said["vault_password_file"], patience)
        stop = stack.enter_context(_interruptible())
        folder = stack.enter_context(private_folder())
        stage(folder / "collections")
        work = _Work(ctx, form, said, Ansible(folder, access, stop), wish)
        if journal is None:
            hosts = work.hosts()
        else:
            from gpuctl.fleet.prepare import left

            hosts = left(journal)
        return work.go(hosts, journal, stack)


class _Work:
    """One run of the command, from the hosts to the exit code."""

    def __init__(self, ctx: click.Context, form: str, said: dict[str, Any], ansible: Any, wish: Wish) -> None:  # noqa: ANN401
        self.ctx, self.form, self.said, self.ansible, self.wish = ctx, form, said, ansible, wish

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

        drainer = self._drainer()
        before = frozenset(journal.states) - frozenset(hosts) if journal else frozenset()
        planned: list[HostState] = []
        if hosts and (self.said["dry_run"] or not self.said["yes"] or drainer):
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
                drainer=drainer,
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
        click.echo(table, nl=False, err=self.form != "table")
        count = sum(state.state == PLANNED for state in planned)
        caught = signal.signal(signal.SIGINT, signal.default_int_handler)  # an interrupt is an answer, too
        try:
            agree(
                f"{self.wish.verb.capitalize()} {count} hosts?", f"{count} hosts to change, and no terminal to ask on"
            )
        finally:
            signal.signal(signal.SIGINT, caught)

    def _emit_run(self, run: Any, states: list[HostState], before: frozenset[str]) -> int:  # noqa: ANN401 - a FleetRun
        from gpuctl.fleet.history import Event, record
        from gpuctl.fleet.run_state import run_document
        from gpuctl.output.fleet_run_tables import run_table

        document = run_document(
            run.journal.run, self.wish, states, stopped=run.stopped, interrupted=run.interrupted, before=before
        )
        run.journal.write({"end": document["exit_code"], "stopped": document["stopped"]})
        changes = {
            state.host: [f"{one['kind']} {one['target']}" for one in state.changes if one.get("state") == "done"]
            for state in states
            if state.host not in before
        }
        results = {0: "done", 4: "done", 3: "refused", 5: "part", _INTERRUPTED: "interrupted"}
        record(
            Event(
                f"fleet {self.wish.verb}",
                results.get(document["exit_code"], "failed"),
                run.journal.run,
                tuple(state.host for state in states),
                {host: lines for host, lines in changes.items() if lines},
                {"summary": document["summary"]},
            )
        )
        emit(document, self.form, run_table(document))
        return int(document["exit_code"])

    @contextlib.contextmanager
    def _told(self, total: int) -> Iterator[Any]:
        from gpuctl.fleet.prepare import Told
        from gpuctl.output.progress import Progress

        with Progress() as progress:
            yield Told(progress.show, total)

    def _drainer(self) -> Drainer | None:
        """What drains, where it was asked for; an embedding (or a test) gives its own by the context's object."""
        if not self.wish.drain or self.said["dry_run"]:
            return None
        factory = (self.ctx.find_root().obj or {}).get("drainer_factory")
        if factory is None:
            raise Failure(
                "--drain is not wired to `gpuctl instance drain` in this version",
                resolution="drain the hosts first: gpuctl instance drain HOST",
                exit_code=2,
            )
        drainer: Drainer = factory()
        return drainer


def _wish(verb: str, variables: dict[str, Any], said: dict[str, Any]) -> Wish:
    from gpuctl.fleet.prepare_batches import share, sizes
    from gpuctl.fleet.run_state import Wish

    if not said["inventory"]:
        raise Failure("no inventory", resolution="-i INVENTORY, as with ansible-playbook", exit_code=2)
    for one in said["inventory"]:
        if "," not in one and not Path(one).exists():
            raise Failure(f"no inventory {one}", resolution="-i FILE, -i FOLDER/, or -i host1,host2", exit_code=2)
    serial = said["serial"] or ("10%" if said["reboot"] or said["drain"] else None)
    return Wish(
        verb,
        tuple(one if "," in one else str(Path(one).absolute()) for one in said["inventory"]),
        said["limit"],
        said["canary"],
        sizes(serial) if serial else (),
        share(said["max_fail"]),
        variables,
        reboot=said["reboot"],
        drain=said["drain"],
        reboot_timeout=said["reboot_timeout"],
    )


def _passwords(said: dict[str, Any]) -> dict[str, str]:
    """Ask for what is to be asked for; it stays in this process's memory."""
    asked = (("ask_pass", "ssh", "SSH"), ("ask_become_pass", "become", "BECOME"), ("ask_vault_pass", "vault", "Vault"))
    return {kind: click.prompt(f"{name} password", hide_input=True, err=True) for key, kind, name in asked if said[key]}


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """SIGINT and SIGTERM end Ansible, and the journal is closed; a second one ends this process as it is."""
    caught: list[int] = []

    def note(number: int, _frame: object) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        click.echo("gpuctl: interrupted; what is under way is ended and journalled", err=True)

    old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
