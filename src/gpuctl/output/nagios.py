"""The plug-in form: one line and Nagios' own exit codes (0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN)."""

from __future__ import annotations

from typing import Any


def nagios(check: dict[str, Any]) -> tuple[str, int]:
    """Return ``(line, exit code)`` of a check document: the first thing to do comes first in the line."""
    findings = check["findings"]
    by = {
        status: [item for item in findings if item["status"] == status] for status in ("fail", "warn", "pass", "skip")
    }
    data = " ".join(f"{status}={len(items)}" for status, items in by.items())
    if not check["ready"]:
        word, code, first = "CRITICAL", 2, (by["fail"] or by["warn"])[:1]
    elif by["warn"]:
        word, code, first = "WARNING", 1, by["warn"][:1]
    elif by["pass"]:
        word, code, first = "OK", 0, []
    else:
        word, code, first = "UNKNOWN", 3, []
    gpus = len(check["gpus"])
    ready = sum(1 for gpu in check["gpus"] if gpu["ready"])
    said = f"{ready} of {gpus} GPUs ready"
    if first:
        said += f"; {first[0]['id']} {first[0]['subject']}: {first[0]['fix']}"
    line = f"GPU {word} - {said} | {data}".replace("\n", " ")
    return line, code
