"""What changes things asks first: show the plan, ask, apply that very plan, show what became of it."""

from __future__ import annotations

import sys
from typing import Any

import click

from gpuctl.cli.engine import ask
from gpuctl.cli.failure import Failure
from gpuctl.cli.host import emit, verbose

REFUSED = 3


def change(ctx: click.Context, request: dict[str, Any], form: str, *, dry_run: bool, yes: bool, reboot: bool) -> int:
    """Plan, show, ask, apply; return the exit code.

    Raises:
        Failure: without a terminal and without --yes (exit 2), or what the host's half said went wrong.
    """
    from gpuctl.output.change_tables import plan_table, result_table

    plan, code = ask(ctx, {**request, "phase": "plan"})
    if plan.get("unfinished") and not dry_run:
        _recover(ctx, request, plan["unfinished"], yes=yes)
        plan, code = ask(ctx, {**request, "phase": "plan"})
    if code == REFUSED or dry_run:
        emit(plan, form, plan_table(plan, verbose=verbose(ctx)) if form == "table" else "")
        return code
    if plan["changes"] and not yes:
        _agree(ctx, plan, form)
    result, code = ask(ctx, {**request, "phase": "apply", "fingerprint": plan["fingerprint"], "reboot": reboot or None})
    emit(result, form, result_table(result) if form == "table" else "")
    return code


def _recover(ctx: click.Context, request: dict[str, Any], runs: list[str], *, yes: bool) -> None:
    """Take back what a killed run left, before anything new is planned."""
    click.echo(f"An earlier run was killed half way: {', '.join(runs)}. It is taken back first.", err=True)
    if not yes:
        _ask("Take it back?", f"run {runs[0]} was killed half way, and no terminal to ask on")
    done, _ = ask(ctx, {**request, "phase": "recover"})
    for note in done["notes"]:
        click.echo(note, err=True)


def _ask(question: str, otherwise: str) -> None:
    """Ask on the terminal; say no where nobody can answer."""
    if not sys.stdin.isatty():
        raise Failure(
            otherwise, resolution="say --yes to agree beforehand, or --dry-run to see what would be done", exit_code=2
        )
    click.confirm(question, abort=True, err=True)


def _agree(ctx: click.Context, plan: dict[str, Any], form: str) -> None:
    """Show the plan on the terminal and ask."""
    from gpuctl.output.change_tables import plan_table

    # With -f json the result alone goes to stdout; the plan is for the person who is asked.
    click.echo(plan_table(plan, verbose=verbose(ctx)), nl=False, err=form != "table")
    _ask(f"{plan['verb'].capitalize()} this host?", f"{len(plan['changes'])} changes, and no terminal to ask on")
