"""gpuctl's zipapp in the lab machine, driven as the CLI and the fleet drive it: one JSON request, JSON lines back."""

from __future__ import annotations

import json
import shlex
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .connection import LabError
from .machine import Machine

PYZ = "/opt/gpuctl-host.pyz"  # neither below /etc nor /boot, and it outlives a reboot
TIMEOUT = 1800.0  # a plan opens the initramfs, an apply makes it anew: minutes on a busy computer


@dataclass(frozen=True, slots=True)
class Answer:
    """The last event of a request: the document (or the error event) and the process's exit status."""

    code: int
    document: dict[str, Any]
    steps: list[str] = field(default_factory=list)

    def findings(self, *statuses: str) -> dict[tuple[str, str], dict[str, str]]:
        """Of a check: (id, subject) -> finding, of these statuses (all if none is given)."""
        found = self.document["findings"]
        return {(item["id"], item["subject"]): item for item in found if not statuses or item["status"] in statuses}

    def changes(self, *kinds: str) -> list[tuple[str, str]]:
        """Of a plan or a run: (kind, target) of its changes, of these kinds (all if none is given)."""
        found = self.document["changes"]
        return [(item["kind"], item["target"]) for item in found if not kinds or item["kind"] in kinds]


def install(machine: Machine) -> None:
    """The zipapp of this checkout is in the guest."""
    from gpuctl.zipapp import build_zipapp  # late: without the product the lab itself still works

    with tempfile.TemporaryDirectory() as folder:
        machine.put(build_zipapp(Path(folder) / "gpuctl-host.pyz"), PYZ)


def ask(machine: Machine, command: str, *, timeout: float = TIMEOUT, **request: Any) -> Answer:
    """What the zipapp in the guest answers.

    Raises:
        LabError: it wrote no event, or something to standard error.
    """
    asked = shlex.quote(json.dumps({"command": command, **request}))
    done = machine.ssh(f"printf %s {asked} | python3 {PYZ}", check=False, timeout=timeout)
    events = [json.loads(line) for line in done.out.splitlines()]
    if not events or done.err or events[-1]["event"] == "progress":
        raise LabError(f"{command} {request} gave {done.code} and no result:\n{done.out}{done.err}")
    last = events[-1]
    steps = [event["text"] for event in events if event["event"] == "progress"]
    return Answer(done.code, last["document"] if last["event"] == "result" else last, steps)


def agree(machine: Machine, command: str, **request: Any) -> tuple[Answer, Answer]:
    """Plan, then apply that very plan: (plan, run).

    Raises:
        LabError: the plan is refused or an error.
    """
    plan = ask(machine, command, phase="plan", **request)
    if plan.code:
        raise LabError(f"{command} is not planned ({plan.code}): {json.dumps(plan.document, indent=1)}")
    print_ = plan.document["fingerprint"]
    return plan, ask(machine, command, phase="apply", fingerprint=print_, **request)
