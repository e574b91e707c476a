"""Where gpuctl keeps its own state on a host."""

from __future__ import annotations

STATE = "/var/lib/gpuctl"
RUNS = STATE + "/runs"
BLOBS = STATE + "/blobs"
KEPT = STATE + "/kept"
MANIFEST = STATE + "/manifest.json"
LOCK = "/run/gpuctl/lock"
LOGS = "/var/log/gpuctl"
AUDIT = LOGS + "/audit.jsonl"


def journal_of(run: str) -> str:
    """Return the path of a run's journal."""
    return f"{RUNS}/{run}/journal.jsonl"
