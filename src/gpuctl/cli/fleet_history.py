"""`gpuctl fleet history`: who ran what from here, on which hosts, and what changed."""

from __future__ import annotations

from typing import Any

import click

from gpuctl.cli import options
from gpuctl.cli.failure import Failure
from gpuctl.cli.out import emit


@click.command("history")
@options.common
@click.option("--run", "run_id", metavar="ID", default=None, help="Show this run in full.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="At most so many, the newest.")
@options.form()
def command(run_id: str | None, form: str, limit: int) -> int:
    """Show who ran what from this account, with which version, on which hosts, and what changed.

    Exit code 0; 2 if there is no such run.

    Example: gpuctl fleet history --run 20261121T1042
    """
    from gpuctl.fleet.history import HISTORY_SCHEMA, place, read

    entries, bad = read(run_id)
    if run_id is not None and not entries:
        raise Failure(f"no run {run_id} in {place()}", resolution="gpuctl fleet history lists them", exit_code=2)
    shown = list(entries if run_id is not None else entries[-limit:])
    document = {"schema": HISTORY_SCHEMA, "runs": shown, "unreadable_lines": bad}
    emit(document, form, _table(shown, bad, whole=run_id is not None) if form == "table" else "")
    return 0


def _table(entries: list[dict[str, Any]], bad: int, *, whole: bool) -> str:
    from gpuctl.output.table import columns

    if not entries and not bad:
        return "Nothing was run from here yet.\n"
    text = columns([_row(entry) for entry in entries], ("at", "run", "who", "version", "result", "what"))
    for entry in entries if whole else ():
        text += f"\n{' '.join(map(str, entry.get('argv') or ()))}\n"
        changes = entry.get("changes") or {}
        untouched = [name for name in entry.get("subjects") or () if name not in changes]
        text += columns([(name, line) for name, lines in changes.items() for line in lines])
        if untouched:
            text += f"nothing changed on: {', '.join(untouched)}\n"
    if bad:
        text += f"\n{bad} line(s) of the trail cannot be read; they are left as they are.\n"
    return text


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    subjects, changes = entry.get("subjects") or (), entry.get("changes") or {}
    some = ", ".join(map(str, subjects[:3])) + (f" and {len(subjects) - 3} more" if len(subjects) > 3 else "")
    what = f"{entry.get('verb')}  {some}" + (f", {len(changes)} changed" if changes else "")
    who = entry.get("sudo_user") or entry.get("who") or "unknown"
    return (*(str(entry.get(key) or "-") for key in ("at", "run")), str(who), str(entry.get("version")),
            str(entry.get("result")), what)  # fmt: skip
