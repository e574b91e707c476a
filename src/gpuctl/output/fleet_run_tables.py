"""What a person sees of a changing fleet run: equal plans together, one line a problem, silence for what is well."""

from __future__ import annotations

from typing import Any

import click

from gpuctl.output.change_tables import step_text
from gpuctl.output.table import columns, mark

Document = dict[str, Any]
_SHOWN = 6  # names of a group
_MARKS = {"done": "pass", "reboot-needed": "warn", "skipped": "skip", "unknown": "skip"}


def plan_table(document: Document, *, verbose: bool = False) -> str:
    """Return what would be done, a paragraph a group of hosts with equal plans.

    Args:
        document: a gpuctl.fleet.plan/1.
        verbose: the diffs as well.
    """
    text = ""
    for group in document["groups"]:
        hosts, changes = group["hosts"], group["changes"]
        title = f"{_count(len(hosts), 'host')}: " + (_count(len(changes), "change") if changes else "nothing to change")
        text += f"{click.style(title, bold=True)}  {names(hosts)}\n"
        for change in changes:
            pending = "" if change["state"] == "planned" else f" ({change['state']})"
            text += f"  {step_text(change)}{pending}: {change['reason']}\n"
        for reason in group["reboot"]:
            text += f"  {click.style('then a reboot', fg='cyan')}: {reason}\n"
        if verbose and group["diff"]:
            text += "".join(f"    {line}\n" for line in group["diff"].splitlines())
    return text + _problems(document["problems"])


def run_table(document: Document) -> str:
    """Return what a run came to: a line a problem, then the counts.

    Args:
        document: a gpuctl.fleet.run/1.
    """
    text = _problems([host for host in document["hosts"] if host["state"] != "done"])
    counts = ", ".join(f"{count} {state}" for state, count in document["summary"].items() if count)
    changed = sum(host["changed"] for host in document["hosts"])
    if document["stopped"]:
        text += f"Stopped: {document['stopped']}.\n"
    text += f"{_count(len(document['hosts']), 'host')}: {counts}; {changed} changed  (run {document['run']})\n"
    if document["exit_code"] not in (0, 4):
        text += f"What is left: gpuctl fleet {document['verb']} --resume {document['run']}\n"
    return text


def names(hosts: list[str]) -> str:
    """Return some names, and how many more there are."""
    more = f" and {len(hosts) - _SHOWN} more" if len(hosts) > _SHOWN else ""
    return ", ".join(hosts[:_SHOWN]) + more


def _problems(states: list[Document]) -> str:
    """Equal problems on one line: who, what, and what to do."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for state in states:
        groups.setdefault((state["state"], state["what"], state["resolution"]), []).append(state["host"])
    text = ""
    for (came_to, what, resolution), hosts in groups.items():
        sign = mark(_MARKS.get(came_to, "fail"))
        text += columns([(f"{sign} {click.style(names(hosts), bold=True)}", came_to, what or "-")])
        if resolution:
            text += columns([("    what to do", resolution)])
    return text


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
