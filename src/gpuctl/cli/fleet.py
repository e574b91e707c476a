"""`gpuctl fleet ...`: many hosts. Each command is imported when it is called."""

from __future__ import annotations

import importlib

import click

# name -> (module, what --help says); the module's `command` is the click command, in the order of a day's work
COMMANDS = {
    "trust": ("gpuctl.cli.fleet_trust", "Collect the hosts' SSH keys, to be compared and filed."),
    "facts": ("gpuctl.cli.fleet_ask", "Read what the hosts are."),
    "check": ("gpuctl.cli.fleet_ask", "Say which hosts are ready for passthrough, and what is wrong with the others."),
    "prepare": ("gpuctl.cli.fleet_change", "Make the hosts ready for passthrough: canary first, then batches."),
    "restore": ("gpuctl.cli.fleet_change", "Bring the hosts back to what they were before."),
    "report": ("gpuctl.cli.fleet_report", "Write one HTML page of a kept run: hosts, cards, findings, changes."),
    "history": ("gpuctl.cli.fleet_history", "Show who ran what from here, and what it changed."),
}


class LazyCommands(click.Group):
    """A click group whose members are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands' names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name, None) or module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(name="fleet", cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Many hosts at once: asked over SSH, changed through Ansible.

    Example: gpuctl fleet check -i inventory.ini
    """
