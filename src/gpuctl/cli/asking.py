"""Asking the person at the terminal: what is agreed to was shown before, and silence is no consent."""

from __future__ import annotations

import sys

import click

from gpuctl.cli.failure import Failure

_DRY_RUN = "--dry-run to see what would be done"
_YES, _NO = {"y", "yes"}, {"n", "no", ""}


class Declined(click.Abort):
    """The person did not agree: no, Ctrl-D or Ctrl-C where a yes was asked for.

    Args:
        said: what is so now.
    """

    def __init__(self, said: str = "nothing was changed") -> None:
        super().__init__()
        self.said = said


def there() -> bool:
    """Say whether somebody reads what stderr gets and can answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def show(text: str, form: str) -> None:
    """Show what will be asked about: on stdout where a table is wanted and a terminal is, else on stderr.

    What is no terminal gets the result alone, and a person sees the plan all the same.
    """
    click.echo(text, nl=False, err=form != "table" or not sys.stdout.isatty())


def line(prompt: str) -> str | None:
    """Return what was typed after a prompt, without blanks around it; None after Ctrl-D at a line's beginning.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    try:
        click.echo(prompt, nl=False, err=True)
        typed = sys.stdin.readline()
    except KeyboardInterrupt:
        click.echo(err=True)
        raise
    if not typed.endswith("\n"):
        click.echo(err=True)  # what comes next is not on the question's line
    return typed.strip() if typed else None


def confirmed(question: str) -> bool:
    """Return whether a question was answered with y or yes; Enter and Ctrl-D are no.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    while True:
        typed = line(f"{question} [y/N]: ")
        if typed is None or typed.lower() in _NO:
            return False
        if typed.lower() in _YES:
            return True
        click.echo("Please say y or n.", err=True)


def agree(question: str, otherwise: str, *, said: str = "nothing was changed", see: str = _DRY_RUN) -> None:
    """Ask on the terminal; refuse where nobody can answer.

    Args:
        question: a yes agrees to it.
        otherwise: what is told where there is no terminal: what there is to agree to.
        said: what is so where it is not agreed to.
        see: how else one finds out what would be done.

    Raises:
        Failure: stdin or stderr is no terminal (exit 2).
        Declined: it was not agreed to.
    """
    if not there():
        raise Failure(otherwise, resolution=f"say --yes to agree beforehand, or {see}", exit_code=2)
    try:
        yes = confirmed(question)
    except KeyboardInterrupt:
        yes = False
    if not yes:
        raise Declined(said)
