"""`gpuctl host show`: the host as a tree."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from gpuctl.cli import options
from gpuctl.cli.engine import ask
from gpuctl.cli.failure import Failure

FACTS = "gpuctl.host.facts/1"
_AGAIN = "make it with `gpuctl host facts -f json`"


@click.command("show")
@options.common
@options.root
@options.vendor
@click.option("--facts", "file", type=click.Path(dir_okay=False), default=None, metavar="FILE",
              help="Draw this document of `host facts -f json` instead; - is standard input.")  # fmt: skip
@click.option("--ascii", "plain", is_flag=True, help="Draw with plain characters; the default where no others fit.")
@options.form()
@click.pass_context
def command(
    ctx: click.Context, root: str | None, vendors: tuple[str, ...], file: str | None, form: str, *, plain: bool
) -> int:
    """Draw this host: sockets, bridges, IOMMU groups, cards, functions, drivers, and who holds them.

    -f json and yaml print the facts that the drawing is made of.

    Example: gpuctl host show
    """
    from gpuctl.cli.out import emit
    from gpuctl.output.host_tree import ASCII, LINES, host_tree

    if file is None:
        document, code = ask(ctx, {"command": "facts", "root": root, "vendors": list(vendors) or None})
    elif root is not None or vendors:
        raise click.UsageError("--facts is a document already; --root and --vendor say what to read for one")
    else:
        document, code = _read(file), 0
    try:
        text = host_tree(document, ASCII if plain or not draws() else LINES) if form == "table" else ""
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if file is None:
            raise
        said = f"{file} is not whole: {type(error).__name__}: {error}"
        raise Failure(said, resolution=_AGAIN, exit_code=2) from error
    emit(document, form, text)
    return code


def _read(file: str) -> dict[str, Any]:
    try:
        document = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text("utf-8"))
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}", resolution=_AGAIN, exit_code=2) from error
    except (ValueError, RecursionError) as error:
        raise Failure(f"{file} is no JSON: {error}", resolution=_AGAIN, exit_code=2) from error
    if not isinstance(document, dict) or document.get("schema") != FACTS:
        raise Failure(f"{file} is no {FACTS} document", resolution=_AGAIN, exit_code=2)
    return document


def draws() -> bool:
    """Say whether standard output can take the lines and corners."""
    try:
        "├└│›─".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
