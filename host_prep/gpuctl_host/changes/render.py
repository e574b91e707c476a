"""A plan as the JSON document that dry run, consent and audit print (schema gpuctl.host.plan/1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl_host.changes.model import FILE, Change, Plan
from gpuctl_host.data import plain
from gpuctl_host.facts.model import FileState

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Facts

SCHEMA = "gpuctl.host.plan/1"


def plan_document(plan: Plan, facts: Facts) -> dict[str, Any]:
    """Return the plan as a JSON value; every file comes with its unified diff.

    Keys: schema, host, verb, fingerprint, boot_id, cards, arguments, refusals, changes (n, kind, target, before,
    after, reason, risk, diff), manual, reboot, notes.
    """
    return {
        "schema": SCHEMA,
        "host": facts.host,
        "verb": plan.verb,
        "fingerprint": plan.fingerprint,
        "boot_id": plan.boot_id,
        "cards": [plain(card) for card in plan.wish.cards],
        "arguments": list(plan.wish.arguments),
        "refusals": [plain(item) for item in plan.refusals],
        "changes": [change_document(number, change) for number, change in enumerate(plan.changes, 1)],
        "manual": list(plan.manual),
        "reboot": list(plan.reboot),
        "notes": list(plan.notes),
    }


def change_document(number: int, change: Change) -> dict[str, Any]:
    """Return one change as a JSON value; ``number`` counts from 1."""
    document: dict[str, Any] = {
        "n": number,
        "kind": change.kind,
        "target": change.target,
        "before": _state(change.before),
        "after": _state(change.after),
        "reason": change.reason,
        "risk": change.risk,
    }
    if change.kind == FILE:
        document["diff"] = file_diff(change)
    if change.argv:
        document["argv"] = list(change.argv)
        document["paths"] = list(change.paths)
    return document


def _state(value: FileState | str | None) -> Any:  # noqa: ANN401 - a JSON value
    """A file by its kind, size and mode: its content is in the diff, or is no text."""
    if isinstance(value, FileState):
        kind = "link" if value.is_link else "file"
        return {"type": kind, "size": len(value.data), "mode": f"{value.mode:04o}"}
    return value


def file_diff(change: Change) -> str:
    """Return what changes in a file as a unified diff; one line where it is no text."""
    import difflib  # slow to import, and facts and check never need it

    before, after = (item if isinstance(item, FileState) else None for item in (change.before, change.after))
    try:
        old, new = ((item.data.decode() if item else "") for item in (before, after))
    except UnicodeDecodeError:
        return f"Binary file {change.target} differs\n"
    lines = difflib.unified_diff(
        old.splitlines(keepends=True),
        new.splitlines(keepends=True),
        change.target if before else "/dev/null",
        change.target if after else "/dev/null",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
