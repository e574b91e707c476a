"""prepare, restore and history: plan from what is there, apply the plan that was agreed to, and read back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gpuctl_host.apply.outcome import Meta
from gpuctl_host.apply.recover import recover, unfinished
from gpuctl_host.changes.render import change_document, plan_document
from gpuctl_host.data import changed, plain
from gpuctl_host.errors import StalePlan, UsageError
from gpuctl_host.facts.reader import read_facts

if TYPE_CHECKING:
    from gpuctl_host.apply.outcome import Outcome, Progress
    from gpuctl_host.changes.model import Plan
    from gpuctl_host.entry import Answer, Emit
    from gpuctl_host.facts.model import Facts
    from gpuctl_host.host import Host

PLAN, RECOVER, APPLY = "plan", "recover", "apply"
RUN_SCHEMA, HISTORY_SCHEMA = "gpuctl.host.run/1", "gpuctl.host.history/1"
REFUSED, REBOOT, PART = 3, 4, 5


def answer(command: str, host: Host, vendors: tuple[str, ...], request: dict[str, Any], emit: Emit) -> Answer:
    """Answer one changing command, or history."""
    if command == "history":
        return _history(host, request)
    phase = request.get("phase") or PLAN
    if phase not in (PLAN, RECOVER, APPLY):
        raise UsageError(f"unknown phase {phase!r}", resolution=f"{PLAN}, {RECOVER} or {APPLY}")
    if phase == RECOVER:
        return {"verb": RECOVER, "notes": list(recover(host, progress=teller(emit)))}, 0
    facts, plan = _plan(command, host, vendors, request)
    if phase == PLAN:
        document = plan_document(plan, facts)
        document["unfinished"] = [run.id for run in unfinished(host)]
        return document, REFUSED if plan.refusals else 0
    if request.get("fingerprint") != plan.fingerprint:
        raise StalePlan(
            "the host has changed since the plan was made; nothing was touched",
            resolution="run the same command again: it plans from what is there now",
        )
    if plan.refusals:
        return plan_document(plan, facts), REFUSED
    document, code = _apply(command, host, vendors, request, plan, emit)
    return {**document, "host": facts.host}, code


def _plan(command: str, host: Host, vendors: tuple[str, ...], request: dict[str, Any]) -> tuple[Facts, Plan]:
    """Read the host and plan from it; both phases do the same, so that the same host gives the same fingerprint."""
    if command == "restore":
        from gpuctl_host.apply.restore import plan_restore

        # Whoever uses a card has to be seen, whatever vendor it is of.
        facts = read_facts(host, ("any",), deep=True)
        return facts, plan_restore(host, facts, request.get("run"))
    from gpuctl_host.changes.options import AUDIO, NVSWITCH, Options
    from gpuctl_host.changes.prepare import plan_prepare
    from gpuctl_host.checks.registry import run_checks

    options = Options(
        gpus=tuple(request.get("gpus") or ()),
        audio=_one_of("audio", request.get("audio") or "remove", AUDIO),
        nvswitch=_one_of("nvswitch", request.get("nvswitch") or "leave", NVSWITCH),
        live=host.live,
    )
    facts = read_facts(host, vendors, deep=True)
    return facts, plan_prepare(facts, run_checks(facts), options)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise UsageError(f"{name} {value!r} is not known", resolution=f"one of {', '.join(known)}")
    return value


def _apply(
    command: str, host: Host, vendors: tuple[str, ...], request: dict[str, Any], plan: Plan, emit: Emit
) -> Answer:
    meta, tell = Meta.of_process(sys.argv), teller(emit)

    def reread() -> str:
        return _plan(command, host, vendors, request)[1].fingerprint

    if command == "restore":
        from gpuctl_host.apply.restore import apply_restore
        from gpuctl_host.verbs import watch

        service = watch.watched(host)
        outcome = apply_restore(host, plan, meta=meta, run=request.get("run"), progress=tell, reread=reread)
        problems = watch.forget(host, service)
    else:
        from gpuctl_host.apply.executor import apply_plan

        outcome = apply_plan(host, plan, meta=meta, progress=tell, reread=reread)
        problems = _read_back(host, vendors, plan, outcome)
    code = outcome.exit_code or (1 if problems else 0)
    if problems:
        code = 1
    elif plan.manual and outcome.error is None:
        code = PART if outcome.run else 1  # what is left to a person is not done
    document = run_document(plan, outcome, problems, code)
    if request.get("reboot") and code == REBOOT and host.live:
        from gpuctl_host.tools.systemctl import reboot

        reboot(host)
        document["notes"].append("the reboot was asked for")
    return document, code


def _read_back(host: Host, vendors: tuple[str, ...], plan: Plan, outcome: Outcome) -> tuple[str, ...]:
    """What is not as wished after all: from the files, the next boot and the running kernel; empty if all is well."""
    if outcome.error is not None:
        return ()
    from gpuctl_host.boot.registry import verify_boot

    host.forget()
    facts = read_facts(host, vendors, deep=True)
    # What is left to a person is not there yet; where all is, nothing of ours is.
    wish = changed(plan.wish, arguments=()) if plan.manual else plan.wish
    problems = [] if plan.manual and outcome.run is None else verify_boot(host, facts, wish)
    for change in outcome.done:
        function = facts.function(change.target)
        if change.kind == "bind" and (function is None or function.driver != change.after):
            problems.append(f"{change.target} is on {function.driver if function else 'no bus'}, not on {change.after}")
        elif change.kind == "remove" and function is not None:
            problems.append(f"{change.target} is on the bus again")
    return tuple(problems)


def run_document(plan: Plan, outcome: Outcome, problems: tuple[str, ...], code: int) -> dict[str, Any]:
    """Return what a run did as the document gpuctl.host.run/1.

    Args:
        plan: what was asked for.
        outcome: what came of it.
        problems: what reading back found wrong.
        code: the exit status.
    """
    states = {id(change): ("done", "") for change in outcome.done}
    states.update({id(change): ("pending", "not on a tree that no kernel runs from") for change in outcome.pending})
    if outcome.failed is not None:
        states[id(outcome.failed)] = ("failed", outcome.error or "")
    changes = []
    reached = True  # steps behind the one that failed were never begun
    for number, change in enumerate(plan.changes, 1):
        otherwise = "skipped"
        if outcome.error is not None:
            taken = f"{change.kind} {change.target}" in outcome.undone
            otherwise = "undone" if taken else "not taken back" if reached else "not begun"
        state, said = states.get(id(change), (otherwise, ""))
        reached = reached and change is not outcome.failed
        changes.append({**change_document(number, change), "state": state, "said": said})
    return {
        "schema": RUN_SCHEMA,
        "verb": plan.verb,
        "run": outcome.run,
        "fingerprint": plan.fingerprint,
        "cards": [plain(card) for card in plan.wish.cards],
        "changes": changes,
        "error": outcome.error,
        "resolution": outcome.resolution,
        "undone": list(outcome.undone),
        "problems": [*outcome.problems, *problems],
        "kept": list(outcome.kept),
        "manual": list(plan.manual),
        "reboot": list(dict.fromkeys(outcome.needs_reboot)),
        "notes": list(dict.fromkeys(outcome.notes)),
        "verdict": _verdict(plan, outcome, code),
    }


def _verdict(plan: Plan, outcome: Outcome, code: int) -> str:
    if outcome.error is not None:
        taken = " What was done is taken back." if plan.verb == "prepare" and not outcome.problems else ""
        return f"Failed: {outcome.error}.{taken}"
    if code == REBOOT:
        return (
            "Done and read back; it holds after a reboot."
            if outcome.run
            else "Nothing to change; it holds after a reboot."
        )
    if code == 0:
        return "Done and read back." if outcome.run else "Nothing to change: all is as wished."
    return "Done in part: see above." if outcome.run else "Not done: see above."


def teller(emit: Emit):  # type: ignore[no-untyped-def]  # noqa: ANN201 - a Tell; its type is only for checking
    """Return what turns each step of a run into a progress event."""

    def tell(progress: Progress) -> None:
        emit(
            {"event": "progress", "text": f"{progress.stage} {progress.text}", "done": progress.n, "total": progress.of}
        )

    return tell


def _history(host: Host, request: dict[str, Any]) -> Answer:
    from gpuctl_host.apply.history import read_history, run_diff

    if request.get("run"):
        return {"schema": HISTORY_SCHEMA, "run": request["run"], "diff": run_diff(host, request["run"])}, 0
    return {"schema": HISTORY_SCHEMA, "runs": [plain(entry) for entry in read_history(host)]}, 0
