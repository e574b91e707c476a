"""The operator's half of scripted faults: writes the rules that a compute process obeys (inside/gpuctl_lab/control.py)."""

from __future__ import annotations

import fcntl
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BUSY = "Requested operation is not valid: PCI device {address} is in use by driver QEMU, domain instance-00000bad"
_SSH = "ssh: connect to host 127.0.0.1 port 22: Connection refused"

#: Faults with a name: what really fails on hosts, and where. Any other name is taken for a step, see README.md.
FAULTS: dict[str, dict[str, Any]] = {
    # libvirt refuses the device when the guest is to be started, after its definition: as it is on a real host.
    "finish_migration": {"step": "domain_create", "within": "finish_migration", "message": _BUSY},
    "finish_revert_migration": {"step": "domain_create", "within": "finish_revert_migration", "message": _BUSY},
    "spawn": {"step": "domain_create", "within": "spawn", "message": _BUSY},
    "power_on": {"step": "domain_create", "within": "power_on", "message": _BUSY},
    "reboot": {"step": "domain_create", "within": "reboot", "message": _BUSY},
    "device_busy": {"step": "domain_create", "message": _BUSY},
    "confirm_migration": {
        "step": "confirm_migration.enter",
        "message": "Cannot undefine domain: connection reset by peer",
    },
    "snapshot": {"step": "snapshot.enter", "error": "RuntimeError", "message": "No space left on device"},
    # The two ways in which the copy of the disks fails: before anything moved, and in the midst of it.
    "ssh": {"step": "ssh_create_dir", "error": "ProcessExecutionError", "message": _SSH},
    "disk_copy": {"step": "copy_file", "error": "ProcessExecutionError", "message": _SSH},
}


@dataclass(frozen=True, slots=True)
class Hold:
    """A step that will stop, or has stopped, until it is released."""

    folder: Path
    rule: str

    def wait_reached(self, timeout_s: float = 120) -> None:
        """The step was reached and stands still."""
        reached = self.folder / f"reached-{self.rule}"
        _wait(reached.exists, timeout_s, f"no step was held by {self.rule}")

    def release(self) -> None:
        """The step goes on."""
        (self.folder / f"release-{self.rule}").touch()


@dataclass(frozen=True, slots=True)
class Faults:
    """The control folder of one host, seen from outside."""

    folder: Path

    def inject(self, fault: str, times: int, **fields: Any) -> str:
        """The next `times` occasions of the fault will fail; returns the rule's id."""
        rule: dict[str, Any] = {
            "error": "libvirtError",
            "message": f"lab: scripted fault at {fault}",
            "action": "raise",
        }
        rule |= FAULTS.get(fault, {"step": fault}) | fields
        rule |= {"id": f"{fault}-{uuid.uuid4().hex[:8]}", "times": times}
        self._change(lambda rules: [*rules, rule])
        return str(rule["id"])

    def hold(self, step: str) -> Hold:
        """The next time the step is reached, it stops there."""
        return Hold(self.folder, self.inject(step, 1, action="hold"))

    def pending(self) -> list[dict[str, Any]]:
        """The rules that have not been used up."""
        found: list[dict[str, Any]] = []

        def look(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
            found.extend(rules)
            return rules

        self._change(look)
        return found

    def events(self) -> list[dict[str, Any]]:
        """The faults that happened, oldest first."""
        path = self.folder / "events.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def clear(self) -> None:
        """No fault is pending, nothing is held."""
        self._change(lambda _: [])
        for reached in self.folder.glob("reached-*"):
            reached.with_name(reached.name.replace("reached-", "release-", 1)).touch()
        for held in (self.folder / "held").glob("*"):
            held.unlink(missing_ok=True)
        (self.folder / "events.jsonl").unlink(missing_ok=True)

    def occupy(self, address: str) -> None:
        """libvirt answers that a foreign guest has the device, until `free`."""
        (self.folder / "held").mkdir(parents=True, exist_ok=True)
        (self.folder / "held" / address).touch()

    def free(self, address: str) -> None:
        """The device is free again as far as `occupy` took it."""
        (self.folder / "held" / address).unlink(missing_ok=True)

    def request(self, verb: str, timeout_s: float = 120) -> None:
        """The compute process did it: "audit" (the periodic one, at once) or "sweep" (no domain, no folder is left)."""
        request = self.folder / f"{verb}-{uuid.uuid4().hex[:8]}.request"
        request.touch()
        done = request.with_suffix(".done")
        _wait(done.exists, timeout_s, f"no {verb} within {timeout_s:.0f} s; is the compute up?")
        done.unlink()

    def _change(self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "faults.json"
        with (self.folder / "faults.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            rules = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
            part = path.with_suffix(".part")
            part.write_text(json.dumps(change(rules)), encoding="utf-8")
            part.rename(path)


def _wait(done: Callable[[], bool], timeout_s: float, complaint: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.05)
