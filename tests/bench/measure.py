"""What one run of a command costs: CPU seconds of it and all its children, beside wall time."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """One run, or the medians of several."""

    cpu: float  # seconds, user and system, of the child and every child that it waited for
    wall: float  # seconds
    memory: int  # bytes, the largest resident set


@dataclass(frozen=True)
class Command:
    """A command, and the exit statuses that mean it did its work (a host that is not ready is an answer: 1)."""

    argv: tuple[str, ...]
    statuses: tuple[int, ...] = (0,)
    env: tuple[tuple[str, str], ...] = ()


class BenchError(Exception):
    """A command did not do what was to be measured."""


def run(command: Command) -> Cost:
    """Run a command once and return what it cost.

    Raises:
        BenchError: it ended with a status that is none of its own.
    """
    # Installed programs have their .pyc; a developer's PYTHONDONTWRITEBYTECODE would make every run compile.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    child = subprocess.Popen(
        command.argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**inherited, "LC_ALL": "C.UTF-8", **dict(command.env)},
    )
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)  # Popen shall not wait for it again
    child.stderr.close()
    if child.returncode not in command.statuses:
        tail = said.decode(errors="replace").strip()[-300:]
        raise BenchError(f"{' '.join(command.argv)}: exit status {child.returncode}: {tail}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024)


def interleaved(commands: list[Command], rounds: int) -> list[list[Cost]]:
    """Run every command once unmeasured (caches, .pyc), then ``rounds`` times in turn, so that noise meets all alike."""
    for command in commands:
        run(command)
    costs: list[list[Cost]] = [[] for _ in commands]
    for _ in range(rounds):
        for command, list_of in zip(commands, costs):
            list_of.append(run(command))
    return costs


def median(costs: list[Cost]) -> Cost:
    """The median of each figure on its own."""
    return Cost(
        statistics.median(cost.cpu for cost in costs),
        statistics.median(cost.wall for cost in costs),
        int(statistics.median(cost.memory for cost in costs)),
    )
