"""The `gpuctl` command: groups are imported only when they are called."""

from __future__ import annotations

import importlib
import signal
import sys
from typing import Any

import click

from gpuctl.cli import options

# group -> (module, what --help says); the module's `group` is the click group
GROUPS = {
    "flavor": ("gpuctl.cli.flavor", "GPU flavors: catalogues applied to a cloud, shown, planned from hosts, proven."),
    "fleet": ("gpuctl.cli.fleet", "Many hosts: asked over SSH, changed through Ansible."),
    "host": ("gpuctl.cli.host", "Check and prepare one GPU host for passthrough, and bring it back."),
    "instance": ("gpuctl.cli.instance", "GPU servers: where their cards are, moved, recovered, and nothing leaked."),
    "lab": ("gpuctl.cli.lab", "A real Keystone, Placement, Glance and Nova on loopback, to rehearse on."),
    "nova": ("gpuctl.cli.nova", "Configure Nova for GPU hosts, and say what is wrong with a configuration."),
    "up": ("gpuctl.cli.up", "From bare hosts to flavors that can be sold: the whole chain, resumable."),
}


class LazyGroups(click.Group):
    """A click group whose members are imported when they are called, so that --help and --version stay fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every command's name."""
        return sorted({*GROUPS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None if there is none of that name."""
        if cmd_name in GROUPS:
            group: click.Command = importlib.import_module(GROUPS[cmd_name][0]).group
            return group
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, GROUPS[name][1]) for name in self.list_commands(ctx) if name in GROUPS])


def _version(ctx: click.Context, _param: click.Parameter, value: object) -> None:
    if value and not ctx.resilient_parsing:
        from gpuctl_host import __version__

        click.echo(f"gpuctl {__version__}")
        ctx.exit()


EPILOG = "Example: gpuctl host check; then gpuctl host prepare --dry-run. Every command has --help."


@click.command(cls=LazyGroups, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
@options.common
@click.pass_context
def gpuctl(ctx: click.Context) -> None:
    """Provision bare-metal GPU hosts for an OpenStack cloud: safely, reversibly, and saying what was done."""
    ctx.ensure_object(dict)


def main(args: list[str] | None = None, *, obj: dict[str, Any] | None = None) -> int:
    """Run the command line and return the exit code; nothing but the result goes to stdout.

    Args:
        args: the words after `gpuctl`; sys.argv's by default.
        obj: for embedding: ``host_factory`` makes the Host of a root (the demo's simulated machine); ``host_look``
            is the way to the compute hosts that --ssh then means (gpuctl.moves.books.HostLook).
    """
    from gpuctl.cli import streams
    from gpuctl.cli.failure import interrupted, report

    streams.ready()
    words = sys.argv[1:] if args is None else args
    settings = {} if obj is None else obj
    try:
        code = gpuctl.main(args=words, prog_name="gpuctl", obj=settings, standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - the one place where an unforeseen error becomes a message
        code = report(error, settings)
    except KeyboardInterrupt:  # a second one, while the first was being told
        code = interrupted()
    if args is None:  # this process is gpuctl's alone: another Ctrl-C now ends it without a word
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    streams.end()
    return code if isinstance(code, int) else 0
