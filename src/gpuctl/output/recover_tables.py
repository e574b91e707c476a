"""What a person sees of recoveries and leftovers: the case in plain words, the plan, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gpuctl.moves.recover.step import Act, Ask, Await, Clear, Put
from gpuctl.output.table import columns, fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl.moves.model import Statement
    from gpuctl.moves.recover.case import Case
    from gpuctl.moves.recover.run import Recovery
    from gpuctl.moves.recover.sight import Sight
    from gpuctl.moves.recover.step import Plan, Step

SCHEMA = "gpuctl.instance.recover/1"
_SIGN = {
    "done": ("✔", "green"),
    "planned": ("·", "cyan"),
    "refused": ("✘", "red"),
    "failed": ("✘", "red"),
    "unfinished": ("!", "yellow"),
    "interrupted": ("!", "yellow"),
    "unknown": ("?", "yellow"),
}


def document(cloud: str, found: Sequence[Recovery]) -> dict[str, Any]:
    """Return the gpuctl.instance.recover/1 document."""
    return {"schema": SCHEMA, "cloud": cloud, "results": [_result(one) for one in found]}


def _result(one: Recovery) -> dict[str, Any]:
    return {
        **one.result.document(),
        "cases": [_case(case) for case in one.before],
        "plan": [_step(step) for step in one.plan.steps],
        "refused": [{"what": what, "why": why} for what, why in one.plan.refused],
        "advice": list(one.plan.advice),
    }


def _case(case: Case) -> dict[str, Any]:
    return {
        "id": case.id,
        "title": case.title,
        "evidence": list(case.evidence),
        "certainty": case.certainty,
        "proof": case.proof,
        "harmless": case.harmless,
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "step": step.id,
        "case": step.case,
        "title": step.title,
        "safe": step.safe,
        "shows": step.expect.words,
        "destroys": step.destroys,
        "by": _by(step),
        "then": [_step(one) for one in step.then],
    }


def _by(step: Step) -> str:
    """Return who does a step."""
    kinds = {Act: "nova", Put: "placement", Ask: "database", Clear: "host", Await: "nobody"}
    return kinds.get(type(step.request), "gpuctl")


def plan_text(sight: Sight, cases: Sequence[Case], plan: Plan, *, verbose: bool = False) -> str:
    """Return what was found of a server and what is to be done about it."""
    name = sight.server.name if sight.server else "(gone)"
    text = f"{click.style(name, bold=True)} ({sight.id})  {sight.status or 'deleted'} on {sight.home or 'no host'}\n"
    return fold(text + _cases(cases, verbose=verbose) + _plan(plan))


def result_table(found: Sequence[Recovery], *, verbose: bool = False) -> str:
    """Return what was found of each server and what became of it."""
    text = ""
    for one in found:
        result = one.result
        sign, colour = _SIGN[result.state]
        if not one.before:  # it was not read to the end: where it is now is not known
            text += f"{click.style(sign, fg=colour)} {click.style(result.server, bold=True)}  {result.state}\n"
            text += f"    {result.detail}\n"
        else:
            text += (
                f"{click.style(sign, fg=colour)} {click.style(result.name or '(gone)', bold=True)} ({result.server})"
            )
            text += f"  on {result.dest or 'no host'}  {result.state}\n"
        text += _cases(one.before, verbose=verbose)
        if not result.steps:
            text += _plan(one.plan)
            text += f"    what to do: {result.resolution}\n" if result.resolution and not one.before else ""
            continue
        rows = [
            (f"    {each.step}", each.state, "" if each.seconds is None else f"{each.seconds:.1f} s", each.detail)
            for each in result.steps
        ]
        text += columns(rows)
        if result.state == "done":
            text += "    now: nothing is left to repair\n"
            continue
        text += _cases(one.after, verbose=verbose, word="left: ")
        text += "".join(statement_text(statement) for statement in result.statements)
        text += f"    what to do: {result.resolution}\n" if result.resolution else ""
    return fold(text)


def _cases(cases: Sequence[Case], *, verbose: bool, word: str = "") -> str:
    text = ""
    for one in cases:
        sure = "" if one.harmless or one.certainty == "proven" else f" ({one.certainty})"
        text += f"    {word}{click.style(one.id, bold=True)}{sure}: {one.title}\n"
        if verbose or not (one.harmless or word):
            text += "".join(f"        {line}\n" for line in one.evidence)
        if one.proof and not one.harmless:
            text += f"        to be sure: {one.proof}\n"
    return text


def _plan(plan: Plan) -> str:
    text = ""
    for number, step in enumerate(plan.steps, 1):
        text += f"    {number}. {click.style(step.id, bold=True)}: {step.title}\n"
        text += f"        safe because: {step.safe}\n        then it must show: {step.expect.words}\n"
        if step.destroys:
            text += f"        {click.style(f'lost by it: {step.destroys} (--accept {step.id})', fg='yellow')}\n"
        text += "".join(f"        and then: {one.title}\n" for one in step.then)
        if isinstance(step.request, Ask):
            text += statement_text(step.request.statement)
    asked = [one.request.statement for one in plan.steps if isinstance(one.request, Ask)]
    text += "".join(f"    {click.style(f'not done: {what}: {why}', fg='red')}\n" for what, why in plan.refused)
    text += "".join(f"    what to do: {line}\n" for line in plan.advice)
    return text + "".join(statement_text(one) for one in plan.statements if one not in asked)


def statement_text(statement: Statement) -> str:
    """Return a statement as it is to be run: look, change, look again."""
    parts = (("look first", statement.guard), ("then run", statement.sql), ("then look", statement.check))
    text = f"        why: {statement.why}\n"
    return text + "".join(f"        {word}:\n            {sql}\n" for word, sql in parts if sql)


def leftovers_table(said: dict[str, Any]) -> str:
    """Return what is left on hosts, or what became of it."""
    text = ""
    for one in said["hosts"]:
        text += click.style(one["host"], bold=True) + "\n"
        if one["error"]:
            text += click.style(f"    {one['error']['brief']}\n", fg="red")
            text += "".join(f"    {line}\n" for line in one["error"]["details"].splitlines())
            continue
        text += _left(one) or "    nothing is left\n"
    return text


def _left(one: dict[str, Any]) -> str:
    rows = []
    for each in one.get("leftovers", ()):
        why = "may go" if each["may_go"] else "; ".join(reason["text"] for reason in each["reasons"])
        rows.append((f"    {each['kind']}", each["name"], why))
    rows += [
        (f"    {each['kind']}", each["name"], f"{each['state']} {each.get('detail') or ''}".rstrip())
        for each in one.get("results", ())
    ]
    for each in one.get("kept", ()):
        why = each.get("why") or "; ".join(reason["text"] for reason in each.get("reasons", ()))
        rows.append((f"    {each.get('kind', '')}", each.get("name", each["uuid"]), f"stays: {why}"))
    held = one.get("quarantine") or ()
    rows += [(f"    {each['kind']}", each["name"], f"in quarantine since {each['at']}") for each in held]
    return columns(rows)
