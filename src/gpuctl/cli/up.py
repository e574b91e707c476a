"""`gpuctl up`: from bare hosts to what can be sold; each phase is another command's work."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli import fleet_options, options
from gpuctl.cli.asking import agree, confirmed, show, there
from gpuctl.cli.cloud_options import cloud
from gpuctl.cli.failure import Failure
from gpuctl.cli.host import verbose
from gpuctl.cli.interrupted import interruptible
from gpuctl.cli.out import emit
from gpuctl.nova.config.layouts import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuctl.fleet.ansible.playbook import Ansible, Ended
    from gpuctl.output.progress import Progress
    from gpuctl.up.look import Look
    from gpuctl.up.phase import Row
    from gpuctl.up.wish import Means, UpWish

_CONTROL = ("conductor", "scheduler", "api")
_NAMED = 6  # hosts, where a person is asked


def _own(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options that are this command's alone."""
    for option in reversed(
        (
            click.option("-o", "--output", "folder", type=click.Path(file_okay=False, path_type=Path),
                         default=Path("gpuctl-up"), show_default=True, metavar="DIR",
                         help="Nova's files, the planned catalogue and the hosts' facts are written there."),
            click.option("--release", default=None, metavar="REL", help="Of Nova: 33, 2026.1 or newton; by default "
                         "what its API shows."),
            click.option("--layout", type=click.Choice(list(LAYOUTS)), default="plain", show_default=True,
                         help="For which tool Nova's files are."),
            click.option("--nova-roles", is_flag=True, help="Lay the plain files down and restart Nova's services, by "
                         "the collection's nova role."),
            *(click.option(f"--nova-{name}", default=f"nova_{name}", show_default=True, metavar="PATTERN",
                           help=f"With --nova-roles: the hosts of nova-{name}.") for name in _CONTROL),
            click.option("--catalogue", "catalogues", multiple=True, metavar="FILE",
                         type=click.Path(exists=True, dir_okay=False, path_type=Path),
                         help="Flavors; by default those that fill the hosts. May be repeated."),
            click.option("--cpus", type=click.IntRange(1), default=None, help="Threads of each host, where its facts "
                         "do not say it."),
            click.option("--ram", default=None, metavar="SIZE", help="Memory of each host, where its facts do not say "
                         "it: 2TiB."),
            click.option("--reboot", is_flag=True, help="Reboot without asking again what needs it."),
            click.option("--reboot-timeout", type=click.IntRange(1), default=1800, show_default=True, metavar="S",
                         help="Seconds that a host may take to come back."),
            click.option("--serial", default="10%", show_default=True, metavar="N|N%|LIST",
                         help="Hosts prepared and rebooted together, after one that goes first."),
            click.option("--max-fail", default="10%", show_default=True, metavar="N%",
                         help="No further batch once more hosts than this did not make it."),
            click.option("--smoke/--no-smoke", default=True, show_default=True, help="Boot a server of each model."),
            click.option("--image", default=None, metavar="ID", help="What it boots; by default the smallest image."),
            click.option("--network", default="none", show_default=True, metavar="ID|none", help="Its network."),
            click.option("--wait", type=click.FloatRange(0), default=600.0, show_default=True, metavar="S",
                         help="For the cloud to show what others lay down."),
            click.option("--timeout", type=click.FloatRange(1, 3600), default=60.0, show_default=True, metavar="S",
                         help="Seconds for one host's answer."),
        )
    ):  # fmt: skip
        function = option(function)
    return function


@click.command(name="up")
@options.common
@fleet_options.hosts
@fleet_options.reached
@options.vendor
@_own
@cloud
@options.consent
@options.form()
@click.pass_context
@fleet_options.tells
def group(ctx: click.Context, /, form: str, **said: Any) -> int:  # noqa: ANN401 - click's
    """Bring bare hosts to where their cards can be sold: check, prepare, verify, configuration, flavors, smoke.

    Shows what each phase will change and asks once, and once more before hosts are rebooted unless --reboot is given.
    Killed anywhere, the same line goes on: each phase looks whether it holds, and what holds is left alone.

    Exit code 0: all hosts can be sold; 4: a reboot is needed and was not allowed; 5: some hosts or flavors did not make
    it, or somebody has to lay a file down; 1, 3, 6: failed, refused, unreachable.

    Example: gpuctl up -i inventory.yml --reboot
    """
    from gpuctl.fleet.inventory import load
    from gpuctl.up.look import look
    from gpuctl.up.state import State, place

    targets = fleet_options.targets(
        said["inventory"], said["limit"], **{key: said[key] for key in ("user", "keys", "ssh_config")}
    )
    hosts = [target.host for target in targets]
    if not hosts:
        raise Failure("no host of the inventory is meant", resolution="see -i and --limit", exit_code=2)
    wish = _wish(said, load(said["inventory"]).select)
    with contextlib.ExitStack() as stack:
        state = stack.enter_context(State(place(wish.inventory, wish.limit), wish.inventory, wish.limit))
        means, progress = _means(ctx, said, targets, stack)
        seen = look(wish, means, hosts)
        progress.hide()
        document = seen.document(wish)
        if said["dry_run"]:
            from gpuctl.output.up_tables import preview

            emit(document, form, preview(document, verbose=verbose(ctx)) if form == "table" else "")
            return int(document["exit_code"])
        if not said["yes"] and len(seen.lost) < len(hosts):
            _agree(ctx, document, form, len(hosts))
        return _go(wish, means, seen, state, progress, form)


def _go(wish: UpWish, means: Means, seen: Look, state: Any, progress: Progress, form: str) -> int:  # noqa: ANN401 - a State
    """Do it, show what it came to, and return the exit code."""
    from gpuctl.fleet.history import record
    from gpuctl.output.up_tables import phase_line, result_table
    from gpuctl.up.chain import Chain

    def phased(row: Row) -> None:
        progress.hide()
        if sys.stderr.isatty():
            click.echo(phase_line(row.document()), nl=False, err=True)

    chain = Chain(wish, means, seen, state, phased)
    document = chain.go()
    progress.hide()
    record(chain.event(document))
    emit(document, form, result_table(document) if form == "table" else "")
    return int(document["exit_code"])


def _agree(ctx: click.Context, document: dict[str, Any], form: str, count: int) -> None:
    """Show what each phase will change, and ask once."""
    from gpuctl.output.up_tables import preview

    show(preview(document, verbose=verbose(ctx)), form)
    agree(f"Do all this with {count} hosts?", f"{count} hosts to bring up, and no terminal to ask on")


def _wish(said: dict[str, Any], select: Callable[[str], tuple[str, ...]]) -> UpWish:
    from gpuctl.cli.sizes import mebibytes
    from gpuctl.fleet.prepare_batches import share, sizes
    from gpuctl.up.wish import UpWish

    control = None
    if said["nova_roles"]:
        if said["layout"] != "plain":
            raise Failure(
                "--nova-roles lays plain files down, and no other layout", resolution="leave --layout out", exit_code=2
            )
        control = {name: _running(f"--nova-{name}", said[f"nova_{name}"], select) for name in _CONTROL}
    return UpWish(
        inventory=tuple(one if "," in one else str(Path(one).absolute()) for one in said["inventory"]),
        folder=said["folder"],
        limit=said["limit"] or "",
        network=None if said["network"] == "none" else said["network"],
        control=control,
        serial=sizes(said["serial"]),
        max_fail=share(said["max_fail"]),
        ram=mebibytes(said["ram"]),
        **{
            key: said[key]
            for key in (
                "release",
                "layout",
                "catalogues",
                "vendors",
                "reboot",
                "reboot_timeout",
                "smoke",
                "image",
                "wait",
                "cpus",
            )
        },
    )


def _running(option: str, pattern: str, select: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    """The hosts of one of Nova's services; the message about a pattern that means none names its own option."""
    from gpuctl.fleet.errors import BadInventory

    try:
        return select(pattern)
    except BadInventory as error:
        ask = f"say which hosts run it: {option} PATTERN, a name or group of the inventory"
        brief = error.brief.replace("--limit", option, 1)
        raise Failure(brief, details=error.details, resolution=ask, exit_code=2) from error


def _means(
    ctx: click.Context, said: dict[str, Any], targets: Sequence[Any], stack: contextlib.ExitStack
) -> tuple[Means, Progress]:
    from gpuctl.cloud import connect
    from gpuctl.fleet.ask import Question
    from gpuctl.output.progress import Progress
    from gpuctl.up.hosts import FleetAsker
    from gpuctl.up.wish import Means

    progress = stack.enter_context(Progress())
    question = Question(
        check=True,
        vendors=said["vendors"],
        forks=said["forks"],
        timeout=said["timeout"],
        inventory=said["inventory"],
        limit=said["limit"],
    )

    def may_reboot(hosts: Sequence[str]) -> bool:
        progress.hide()
        if not there():
            return False
        more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
        return confirmed(f"Reboot {len(hosts)} hosts now: {', '.join(hosts[:_NAMED])}{more}?")

    def tell(text: str) -> None:
        if sys.stderr.isatty():  # the result says it too
            progress.hide()
            click.echo(text, err=True)

    own = (ctx.find_root().obj or {}).get("up_doors")  # an embedding's, or a test's: (ask, player)
    ask, player = own or (FleetAsker(question, targets, progress), _Playing(said, stack))
    return Means(ask, player, connect(said["os_cloud"], said["region"]), may_reboot, progress.show, tell), progress


class _Playing:
    """Ansible with the collection, staged when the first playbook is run; an interrupt ends it and is journalled."""

    def __init__(self, said: dict[str, Any], stack: contextlib.ExitStack) -> None:
        self._said, self._stack = said, stack
        self._ansible: Ansible | None = None

    def play(self, name: str, heard: Callable[[dict[str, Any]], None], **more: Any) -> Ended:  # noqa: ANN401 - see Player
        """Run gpuctl.host.NAME; see fleet.prepare.Player."""
        with interruptible() as stop:
            return dataclasses.replace(self._made(), stop=stop).play(name, heard, **more)

    def _made(self) -> Ansible:
        from gpuctl.fleet.ansible.collection import stage
        from gpuctl.fleet.ansible.place import private_folder
        from gpuctl.fleet.ansible.playbook import Access, Ansible

        if self._ansible is None:
            patience = max(3600, self._said["reboot_timeout"] + 60)
            access = Access(tuple(self._said["inventory"]), forks=self._said["forks"], timeout=patience)
            folder = self._stack.enter_context(private_folder())
            stage(folder / "collections")
            self._ansible = Ansible(folder, access)
        return self._ansible
