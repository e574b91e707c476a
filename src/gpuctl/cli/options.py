"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
FORMATS = ("table", "json", "yaml")


class ManyFacts(click.Command):
    """A command whose --facts takes all *.json and *.jsonl words behind it: `--facts hosts/*.json`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat --facts before each of its files."""
        words: list[str] = []
        behind = False
        for word in args:
            if behind and words[-1] != "--facts" and word.endswith((".json", ".jsonl")):
                words.append("--facts")
            elif word.startswith("-"):
                behind = word == "--facts"
            elif words[-1:] != ["--facts"]:
                behind = False
            words.append(word)
        return super().parse_args(ctx, words)


def _set(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Keep an option in the one place that every command looks at, wherever on the line it was given."""
    settings = ctx.ensure_object(dict)
    if value:
        settings[param.name] = value
    if settings.get("no_color") or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        settings["no_color"] = True
        ctx.find_root().color = ctx.color = False


def common(function: F) -> F:
    """Add -v, --no-color and --debug."""
    for words, text in (
        (("--debug",), "Show a traceback if something goes wrong."),
        (("--no-color",), "No colours; NO_COLOR does the same."),
        (("-v", "--verbose"), "Say more."),
    ):
        add = click.option(*words, help=text, is_flag=True, expose_value=False, callback=_set, is_eager=True)
        function = add(function)
    return function


def form(*more: str) -> Callable[[F], F]:
    """Add -f/--format, with ``more`` formats beside table, json and yaml."""
    return click.option(
        "-f",
        "--format",
        "form",
        type=click.Choice([*FORMATS, *more]),
        default="table",
        show_default=True,
        help="How to print the result.",
    )


def root(function: F) -> F:
    """Add --root."""
    return click.option(
        "--root",
        type=click.Path(file_okay=False),
        default=None,
        metavar="DIR",
        help="A tree with a host's paths instead of this machine.",
    )(function)


def vendor(function: F) -> F:
    """Add --vendor."""
    return click.option(
        "--vendor",
        "vendors",
        multiple=True,
        metavar="ID",
        help="Whose GPUs: 10de (NVIDIA, the default), 1002 (AMD), 8086 (Intel), ... or any; may be repeated.",
    )(function)


def consent(function: F) -> F:
    """Add --dry-run and --yes."""
    function = click.option("--yes", "-y", is_flag=True, help="Do it without asking.")(function)
    return click.option("--dry-run", is_flag=True, help="Show the plan and its diff, change nothing.")(function)
