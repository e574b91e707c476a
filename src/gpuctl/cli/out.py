"""What goes to stdout: the result, for people or for programs, and nothing else."""

from __future__ import annotations

import sys
from typing import Any

import click

from gpuctl.cli import streams
from gpuctl.cli.failure import Failure, unwritten


def emit(document: Any, form: str, table: str) -> None:  # noqa: ANN401 - a JSON value
    """Print the result: ``table`` for people, the document for programs.

    Raises:
        Failure: as of ``put``.
    """
    if form != "table":
        from gpuctl.output.documents import render

        table = render(document, form)
    put(table)


def put(text: str) -> None:
    """Print a text, or a piece of one, as it is; where its reader has gone, the exit code still says how it went.

    Raises:
        Failure: stdout takes no more (exit 1).
    """
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        streams.drop(sys.stdout)
    except OSError as error:
        brief, details, resolution = unwritten(error)
        raise Failure(brief, details=details, resolution=resolution) from error
