"""Starts, finds and ends the lab's processes.

A process belongs to a lab because its environment says so: that survives a killed `up`, cannot be fooled by a
reused pid, and covers children as well. There are no pid files to go stale.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

STATE_VARIABLE = "GPUCTL_LAB_STATE"
SERVICE_VARIABLE = "GPUCTL_LAB_SERVICE"

# What this process started, by lab and service: polled, so that ended services do not stay as zombies of a long test run.
_started: list[tuple[Path, str, subprocess.Popen[bytes]]] = []


@dataclass(frozen=True, slots=True)
class Command:
    """How a service's process is started."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None


def start(state: Path, service: str, command: Command, log: Path) -> None:
    """The service's process runs in a session of its own, marked as this lab's; its output goes to the log."""
    keep = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "TZ") if name in os.environ}
    env = {
        **keep,
        "HOME": str(state),
        # setproctitle would write over the environment, by which we know our processes.
        "SPT_NOENV": "1",
        STATE_VARIABLE: str(state),
        SERVICE_VARIABLE: service,
        **command.env,
    }
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        child = subprocess.Popen(
            command.argv,
            env=env,
            cwd=command.cwd or state,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _started.append((state, service, child))


def find(state: Path) -> dict[str, list[int]]:
    """The pids of this lab's live processes, by service."""
    for one in _started[:]:
        if one[-1].poll() is not None:
            _started.remove(one)
    # Popen returns before the kernel shows the environment of the program that it starts: then it is known from here.
    ours: dict[str, list[int]] = {}
    for lab, service, child in _started:
        if lab == state:
            ours.setdefault(service, []).append(child.pid)
    known = {child.pid for _, _, child in _started}
    marker = f"{STATE_VARIABLE}={state}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in known:
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile, or another user's
        if marker not in environment:
            continue
        name = next((v for v in environment if v.startswith(SERVICE_VARIABLE.encode() + b"=")), b"=?")
        ours.setdefault(name.decode().partition("=")[2], []).append(int(entry.name))
    return ours


def stop(state: Path, services: Iterable[str], *, grace_s: float = 4.0) -> None:
    """None of the services has a process: asked to end first, killed after `grace_s` seconds."""
    names = set(services)
    for sig, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 10.0)):
        if grace_s == 0 and sig is signal.SIGTERM:
            continue
        send(state, names, sig)
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            if not names & find(state).keys():
                return
            time.sleep(0.1)
    left = {name: pids for name, pids in find(state).items() if name in names}
    raise RuntimeError(f"these processes did not end: {left}")


def send(state: Path, services: Iterable[str], sig: signal.Signals) -> None:
    """Each process of the services got the signal."""
    names = set(services)
    for service, pids in find(state).items():
        if service not in names:
            continue
        for pid in pids:
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                continue


def cpu_seconds(state: Path) -> dict[str, float]:
    """The CPU time that each service's live processes have used, seconds."""
    tick = os.sysconf("SC_CLK_TCK")
    used: dict[str, float] = {}
    for service, pids in find(state).items():
        for pid in pids:
            try:
                stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            used[service] = used.get(service, 0.0) + (int(stat[11]) + int(stat[12])) / tick
    return used
