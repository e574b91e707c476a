"""What a person sees of a plan, of its result, and of the history."""

from __future__ import annotations

from typing import Any

import click

from gpuctl.output.table import columns, fold, mark

Document = dict[str, Any]
_RISK = {
    "none": "",
    "service": click.style("felt by what runs", fg="yellow"),
    "reboot": click.style("at the next boot", fg="cyan"),
}
_DIFF = {"+": "green", "-": "red", "@": "cyan"}


_DIFF_MAX = 20  # lines; a longer new file is shown with -v


def plan_table(plan: Document, *, verbose: bool = False) -> str:
    """Return a plan as text: refusals, or each step with its reason and diff.

    Args:
        plan: a gpuctl.host.plan/1 document.
        verbose: show long diffs whole.
    """
    if plan["refusals"]:
        return _refusals(plan)
    text = ""
    for step in plan["changes"]:
        risk = _RISK.get(step["risk"], step["risk"])
        text += fold(f"{step['n']:>3}. {click.style(step_text(step), bold=True)}{'  ' + risk if risk else ''}\n")
        text += fold(f"     {step['reason']}\n")
        lines = step.get("diff", "").splitlines()[2:]
        if len(lines) > _DIFF_MAX and not verbose:
            text += f"       {len(lines)} lines (-v shows them)\n"
        else:
            text += "".join(f"       {_paint(line)}\n" for line in lines)
    if not plan["changes"]:
        text += "Nothing to change.\n"
    return text + _tail(plan)


def _refusals(plan: Document) -> str:
    text = click.style("Refused: nothing was touched.\n", fg="red", bold=True)
    for item in plan["refusals"]:
        text += f"{mark('fail')} {click.style(item['id'], fg='red', bold=True)}  {item['subject']}\n"
        text += columns(
            [(click.style("    read", dim=True), item["evidence"]), (click.style("     fix", dim=True), item["fix"])]
        )
    return text


def step_text(step: Document) -> str:
    """One step in a few words."""
    kind, target, before, after = step["kind"], step["target"], step["before"], step["after"]
    if kind == "file":
        verb = "write" if before is None else "remove" if after is None else "change"
        return f"{verb} {target}"
    return {
        "generated": f"rebuild {target}",
        "override": f"{target}: only {after} may bind" if after else f"{target}: any driver may bind again",
        "unbind": f"{target}: unbind from {before}",
        "bind": f"{target}: bind to {after}",
        "remove": f"{target}: take off the bus",
        "rescan": f"{target}: rescan the bus",
        "module": f"load {target}",
    }.get(kind, f"{kind} {target}")


def _paint(line: str) -> str:
    return click.style(line, fg=_DIFF[line[0]]) if line[:1] in _DIFF else line


def _tail(document: Document) -> str:
    text = ""
    for title, key in (("Afterwards a reboot is needed", "reboot"), ("By hand", "manual"), ("Note", "notes")):
        for said in document.get(key) or ():
            text += f"{click.style(title, bold=True)}: {said}\n"
    return fold(text)


def result_table(result: Document) -> str:
    """Return what a prepare or restore did, as text."""
    if result.get("refusals"):
        return _refusals(result)
    done = [step for step in result["changes"] if step["state"] == "done"]
    other = [step for step in result["changes"] if step["state"] != "done"]
    text = "".join(f"{mark('pass')} {step_text(step)}\n" for step in done)
    for step in other:
        sign = mark(
            "skip"
            if step["state"] in ("pending", "skipped", "not begun")
            else "warn"
            if step["state"] == "undone"
            else "fail"
        )
        text += f"{sign} {step_text(step)}: {step['state']}{' (' + step['said'] + ')' if step.get('said') else ''}\n"
    for problem in result["problems"]:
        text += f"{mark('fail')} {problem}\n"
    text += _tail(result)
    if result.get("error") and result.get("resolution"):
        text += f"What to do: {result['resolution']}\n"
    if result.get("run"):
        text += f"{result['verdict']}  (run {result['run']})\n"
    else:
        text += f"{result['verdict']}\n"
    return fold(text)


def history_table(document: Document) -> str:
    """Return the history as a table, or one run with its diff."""
    if "diff" in document:
        return "".join(_paint(line) + "\n" for line in document["diff"].splitlines())
    if not document["runs"]:
        return "gpuctl has changed nothing on this host.\n"
    rows = [
        (
            run["run"],
            run["verb"],
            run["state"],
            run["who"],
            f"gpuctl {run['version']}",
            f"{len(run['changes'])} changes" + (f"; {', '.join(run['cards'])}" if run["cards"] else ""),
        )
        for run in document["runs"]
    ]
    return columns(rows, ("run", "verb", "state", "who", "by", "what"))
