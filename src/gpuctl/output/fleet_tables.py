"""What a person sees of a fleet run: one line a problem, silence for what is well, counts, the odd ones out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gpuctl.fleet.names import fold
from gpuctl.fleet.standing import ORDER, VERBS, standing
from gpuctl.output.table import MARKS, columns, mark, wrap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuctl.fleet.runs import Run

_FEW = 12  # changed hosts that are told one by one
_SIGN = {"error": "fail", "fail": "fail", "skip": "fail", "warn": "warn"}


def host_line(entry: Mapping[str, Any]) -> str:
    """Return one line on a host that something is wrong with; "" for one that is well."""
    name = click.style(entry["host"], bold=True)
    if entry["error"] is not None:
        return f"{mark('fail')} {name}  {entry['error']['brief']}\n"
    wrong = standing(entry.get("check"))
    if not wrong:
        return ""
    ids = dict.fromkeys(item["id"] for item in sorted(wrong, key=lambda item: ORDER[item["status"]]))
    return f"{mark('warn' if entry['state'] == 'ready' else 'fail')} {name}  {', '.join(ids)}\n"


def check_summary(run: Run, *, verbose: bool) -> str:
    """Return the end of `fleet check`: equal findings together, what changed, who is odd, the counts."""
    tail, counts = run.tail, run.tail["counts"]
    text = "".join(_finding(item, counts["hosts"], verbose=verbose) for item in tail["findings"])
    if text:
        text += "\n"
    text += _changed(tail["changes"])
    text += _odd(tail)
    parts = [_count(counts["ready"], "ready", "green")]
    if counts["not_ready"]:
        parts.append(_count(counts["not_ready"], "not ready", "red"))
    if counts["failed"]:
        parts.append(_count(counts["failed"], "could not be asked", "red"))
    hosts = f"{counts['hosts']} host{'s' if counts['hosts'] != 1 else ''}"
    return f"{text}{hosts}: {', '.join(parts)}  ({tail['seconds']} s, run {run.head['run']})\n"


def _count(number: int, word: str, colour: str) -> str:
    return click.style(f"{number} {word}", fg=colour if number else None, bold=bool(number))


def _finding(item: Mapping[str, Any], total: int, *, verbose: bool) -> str:
    """One line a finding, who has it below, and what to do."""
    number = len(item["hosts"])
    name = click.style(item["id"], fg=MARKS[_SIGN[item["status"]]][1], bold=True)
    verb = f"  {VERBS[item['status']]}".rstrip()
    many = "all hosts" if number == total and total > 1 else f"{number} host{'s' if number != 1 else ''}"
    text = f"{mark(_SIGN[item['status']])} {many}: {name}{verb}  {item['title']}\n"
    rows = [(click.style("    on", dim=True), fold(item["hosts"]))]
    if item["fix"] and (item["status"] != "warn" or verbose):
        rows.append((click.style("   fix", dim=True), item["fix"]))
    return text + columns(rows)


def _changed(changes: Mapping[str, Any] | None) -> str:
    if changes is None or not changes["hosts"]:
        return ""
    new = [item["host"] for item in changes["hosts"] if item["before"] is None]
    other = [item for item in changes["hosts"] if item["before"] is not None]
    text = f"Since run {changes['since']}:\n"
    if new:
        text += f"  not in that run: {fold(new)}\n"
    together: dict[str, list[str]] = {}
    for item in other:
        moved = "" if item["before"] == item["after"] else f"{item['before']} -> {item['after']}"
        came = f"+ {', '.join(item['came'])}" if item["came"] else ""
        went = f"- {', '.join(item['went'])}" if item["went"] else ""
        together.setdefault("  ".join(filter(None, (moved, came, went))), []).append(item["host"])
    ordered = sorted(together.items(), key=lambda pair: -len(pair[1]))
    text += "".join(f"  {fold(hosts)}: {what}\n" for what, hosts in ordered[:_FEW])
    if len(ordered) > _FEW:
        text += f"  and {len(ordered) - _FEW} more kinds of change (-f json)\n"
    return text + "\n"


def _odd(tail: Mapping[str, Any]) -> str:
    """Name the hosts that are unlike nearly all the others: what most have is how the fleet is."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for host, state in tail["states"].items():
        if state != "failed":
            alike.setdefault(tuple(tail["problems"].get(host, ())), []).append(host)
    total = sum(len(hosts) for hosts in alike.values())
    if total < 5 or len(alike) < 2:
        return ""
    usual = max(alike.values(), key=len)
    odd = [host for hosts in alike.values() if hosts is not usual for host in hosts]
    if len(usual) < 0.8 * total:
        return ""
    said = "\n    ".join(wrap(f"odd ones out: {fold(odd)} (the other {len(usual)} are alike)", 100))
    return f"{said}\n\n"


def facts_summary(run: Run) -> str:
    """Return the end of `fleet facts`: what models there are on which hosts, what could not be read, the counts."""
    kinds: dict[str, list[str]] = {}
    errors: dict[str, list[str]] = {}
    for entry in run.hosts():
        if entry["error"] is not None:
            errors.setdefault(entry["error"]["brief"].replace(entry["host"], "the host"), []).append(entry["host"])
        else:
            kinds.setdefault(_kind(entry["facts"]), []).append(entry["host"])
    rows = [(f"{len(hosts)}", fold(hosts), kind) for kind, hosts in sorted(kinds.items(), key=lambda it: -len(it[1]))]
    text = columns(rows, ("hosts", "which", "what")) if rows else ""
    for brief, hosts in errors.items():
        text += f"{mark('fail')} {fold(hosts)}: {brief}\n"
    counts = run.tail["counts"]
    more = f", {_count(counts['failed'], 'could not be asked', 'red')}" if counts["failed"] else ""
    return f"{text}\n{counts['hosts']} hosts: {counts['read']} read{more}  ({run.tail['seconds']} s)\n"


def _kind(facts: Mapping[str, Any]) -> str:
    models: dict[str, int] = {}
    for gpu in facts["gpus"]:
        models[gpu["name"]] = models.get(gpu["name"], 0) + 1
    cards = ", ".join(f"{count} x {name}" for name, count in sorted(models.items())) or "no GPU"
    iommu = {True: "IOMMU on", False: "IOMMU off", None: "IOMMU unknown"}[facts["iommu"]["enabled"]]
    return f"{cards}; {iommu}; {facts['kernel']['release'] or 'kernel unknown'}"


def key_rows(rows: Sequence[tuple[str, str, str, str]]) -> str:
    """Return collected keys to be compared: (host, what is new about it, type, fingerprint)."""
    return columns(rows, ("host", "", "type", "fingerprint"))
