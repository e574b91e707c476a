"""One message a mistake: what, where, what to do. A traceback only with --debug."""

from __future__ import annotations

import contextlib
import sys
import traceback
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli import streams
from gpuctl.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERNAL = 1


class Failure(click.ClickException):
    """An error event of the host's half, or one of ours, with its exit code."""

    def __init__(self, brief: str, *, details: str = "", resolution: str = "", exit_code: int = 1) -> None:
        super().__init__(brief)
        self.details = details
        self.resolution = resolution
        self.code = exit_code


def report(error: BaseException, settings: Mapping[str, Any]) -> int:
    """Write the error to stderr as a person wants it, and return the exit code.

    Args:
        error: what went wrong.
        settings: ``debug`` and ``no_color`` of the command line.
    """
    if settings.get("debug"):
        traceback.print_exception(error)
    colour = False if settings.get("no_color") else None
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.Abort):
        if said := getattr(error, "said", ""):
            return _say(said, "", "", 130, colour=False)
        return interrupted(colour)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return 2
    if isinstance(error, Failure):
        return _say(error.message, error.details, error.resolution, error.code, colour)
    if isinstance(error, OperatorError):
        return _say(error.brief, error.details, error.resolution, error.exit_code, colour)
    if isinstance(error, click.UsageError):
        hint = f"see {error.ctx.command_path} --help" if error.ctx else "see gpuctl --help"
        return _say(error.format_message(), "", hint, 2, colour)
    if isinstance(error, click.ClickException):
        return _say(error.format_message(), "", "", 2, colour)
    if isinstance(error, OSError) and streams.broken(sys.stdout):
        return _say(*unwritten(error), 1, colour)
    return _say(
        f"unforeseen {type(error).__name__}: {error}",
        "",
        "run it again with --debug and report what it prints; this is a defect of gpuctl",
        INTERNAL,
        colour,
    )


def interrupted(colour: bool | None = None) -> int:  # noqa: FBT001 - three answers, click's own
    """Say that somebody pressed Ctrl-C, where the command itself has nothing to show of it; return the exit code."""
    return _say("interrupted", "", "run it again: it looks first at what is there now", 130, colour)


def unwritten(error: OSError) -> tuple[str, str, str]:
    """Return the brief, the details and the resolution of a stdout that takes no more."""
    why = error.strerror or str(error)
    return f"stdout cannot be written: {why}", "what was done is done, though not shown", "give it room, and look"


def _say(brief: str, details: str, resolution: str, code: int, colour: bool | None) -> int:  # noqa: FBT001 - three answers, click's own
    with contextlib.suppress(OSError):  # a stderr that is full or gone does not change the exit code
        click.echo(click.style("gpuctl: ", bold=True) + click.style(brief, fg="red"), err=True, color=colour)
        for line in details.splitlines():
            click.echo(f"  {line}", err=True)
        if resolution:
            click.echo(f"  what to do: {resolution}", err=True)
    return code
