"""What the chain's steps gave, kept: a JSON line each below the chain's folder, and the last result in the documentation."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

FILE = "steps.jsonl"
PAGE = Path(__file__).resolve().parents[3] / "docs/explanation/chain.md"
MARK = "<!-- below: written by `python3 -m tests.lab.chain`, by hand nothing -->"


def clear(folder: Path) -> None:
    """Nothing is kept of earlier runs."""
    for name in (FILE, "kept.json", "gpuctl.log"):
        (folder / name).unlink(missing_ok=True)


def add(folder: Path, step: str, state: str, seconds: float, lines: list[str]) -> None:
    """The step's outcome is printed and kept."""
    print(f"{step}: {state} in {seconds:.0f} s", *(f"    {line}" for line in lines), sep="\n", flush=True)
    at = time.strftime("%Y-%m-%d %H:%M")
    row = {"at": at, "step": step, "state": state, "seconds": round(seconds), "lines": lines}
    with (folder / FILE).open("a") as kept:
        kept.write(json.dumps(row) + "\n")


def write_page(folder: Path, steps: dict[str, Any]) -> None:
    """The page ends with the newest outcome of each step, one that was never run among them.

    Args:
        folder: the chain's.
        steps: name -> function, whose docstring says what is proven.
    """
    newest: dict[str, dict[str, Any]] = {}
    path = folder / FILE
    for line in path.read_text().splitlines() if path.exists() else ():
        row = json.loads(line)
        newest[row["step"]] = row
    parts = []
    for name, step in steps.items():
        row = newest.get(name, {"state": "not run", "at": "", "seconds": 0, "lines": []})
        what = " ".join((step.__doc__ or "").split())
        when = f", {row['at']}, {row['seconds']} s" if row["at"] else ""
        parts.append(f"### {name}: {row['state']}{when}\n\n{what}\n")
        if row["lines"]:
            parts.append("```text\n" + "\n".join(row["lines"]) + "\n```\n")
    head = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(head + MARK + "\n\n" + "\n".join(parts))
