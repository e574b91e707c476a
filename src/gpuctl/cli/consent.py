"""What changes things asks first: show the plan, ask, apply that very plan, show what became of it."""

from __future__ import annotations

from typing import Any

import click

from gpuctl.cli.asking import agree, show
from gpuctl.cli.engine import ask
from gpuctl.cli.host import verbose
from gpuctl.cli.out import emit

REFUSED = 3


def change(ctx: click.Context, request: dict[str, Any], form: str, *, dry_run: bool, yes: bool, reboot: bool) -> int:
    """Plan, show, ask, apply; return the exit code.

    Raises:
        Failure: without a terminal and without --yes (exit 2), or what the host's half said went wrong.
    """
    from gpuctl.output.change_tables import plan_table, result_table

    plan, code = ask(ctx, {**request, "phase": "plan"})
    said = "nothing was changed"
    if plan.get("unfinished") and not dry_run:
        _recover(ctx, request, plan["unfinished"], yes=yes)
        said = "the earlier run was taken back; nothing else was changed"
        plan, code = ask(ctx, {**request, "phase": "plan"})
    if code == REFUSED or dry_run:
        emit(plan, form, plan_table(plan, verbose=verbose(ctx)) if form == "table" else "")
        return code
    if plan["changes"] and not yes:
        _agree(ctx, plan, form, said)
    result, code = ask(ctx, {**request, "phase": "apply", "fingerprint": plan["fingerprint"], "reboot": reboot or None})
    emit(result, form, result_table(result) if form == "table" else "")
    return code


def _recover(ctx: click.Context, request: dict[str, Any], runs: list[str], *, yes: bool) -> None:
    """Take back what a killed run left, before anything new is planned."""
    click.echo(f"An earlier run was killed half way: {', '.join(runs)}. It is taken back first.", err=True)
    if not yes:
        agree("Take it back?", f"run {runs[0]} was killed half way, and no terminal to ask on")
    done, _ = ask(ctx, {**request, "phase": "recover"})
    for note in done["notes"]:
        click.echo(note, err=True)


def _agree(ctx: click.Context, plan: dict[str, Any], form: str, said: str) -> None:
    """Show the plan on the terminal and ask."""
    from gpuctl.output.change_tables import plan_table

    show(plan_table(plan, verbose=verbose(ctx)), form)
    otherwise = f"{len(plan['changes'])} changes, and no terminal to ask on"
    agree(f"{plan['verb'].capitalize()} this host?", otherwise, said=said)
