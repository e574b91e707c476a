"""One simulated host and the requests that a person would make of it, with what must never happen watched all along."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gpuctl_host import entry
from tests.sim import SimHost

if TYPE_CHECKING:
    from tests.sim import Machine

OURS = ("/etc", "/boot", "/usr")


class Watched:
    """A SimHost whose every kernel write and every binding is kept over all its boots."""

    def __init__(self, host: SimHost) -> None:
        self.host = host
        self.writes: list[tuple[str, str]] = []
        self.bound: list[tuple[str, str]] = []
        host.before_write = lambda path, data: self.writes.append((path, data))

    def ask(self, command: str, **keys: Any) -> tuple[int, dict[str, Any]]:
        """Return the exit code and the document (or the error event) of one request."""
        events: list[dict[str, Any]] = []
        code = entry.serve({"command": command, "debug": True, **keys}, events.append, host=self.host)
        return code, events[-1].get("document") or events[-1]

    def change(self, command: str, **keys: Any) -> tuple[int, dict[str, Any], dict[str, Any]]:
        """Plan and apply; return the exit code, the plan and what became of it."""
        code, plan = self.ask(command, phase="plan", **keys)
        if code:
            return code, plan, plan
        code, result = self.ask(command, phase="apply", fingerprint=plan["fingerprint"], **keys)
        return code, plan, result

    def reboot(self) -> None:
        """The host has booted again; what was bound until then is remembered."""
        self._remember()
        self.host.reboot()

    def _remember(self) -> None:
        for line in self.host.kernel.log:
            words = line.split()
            if len(words) == 3 and words[1] == "bound":
                self.bound.append((words[0], words[2]))

    def vfio_had(self) -> set[str]:
        """Every address that a VFIO driver ever had."""
        self._remember()
        return {address for driver, address in self.bound if "vfio" in driver}

    def files(self) -> dict[str, tuple[int, bytes]]:
        """Everything below /etc, /boot and /usr."""
        return self.host.snapshot(*OURS)

    def needed(self) -> set[str]:
        """What the host lives on: its disk, its network, its console."""
        return {item.address for item in self.host.machine.functions if item.disk or item.net or item.console}


@contextmanager
def simulated(machine: Machine) -> Iterator[Watched]:
    """A host of ``machine`` in a folder of its own, gone at the end."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    root = tempfile.mkdtemp(prefix="sim-", dir=base)
    try:
        yield Watched(SimHost(machine, root))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def difference(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is not the same in two maps, readable in a test's output."""
    return [
        f"{key}: {before.get(key)!r:.200} -> {after.get(key)!r:.200}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]
