"""Run a command of the host: an argv list, a fixed environment, a deadline; nothing of it is left afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from gpuctl_host.data import frozen
from gpuctl_host.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"


@frozen
class Result:
    """What a command answered."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


def run_command(argv: Sequence[str], *, timeout: float, stdin: str, env: Mapping[str, str] | None) -> Result:
    """Return what the command answered; it and its children are gone.

    Raises:
        ToolError: it is missing or did not end in time (a child stuck in the kernel is left, and named).
    """
    environment = {"PATH": PATH, "LC_ALL": "C", "HOME": "/root", **(env or {})}
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        hint = f"install the package that has {argv[0]}"
        raise ToolError(f"cannot run {argv[0]}: {error.strerror}", resolution=hint) from error
    try:
        out, err = child.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as late:
        _end_group(child)
        raise ToolError(
            f"{argv[0]} did not end within {timeout:g} s",
            details=" ".join(argv),
            resolution=f"run it by hand and see what it waits for; process {child.pid} may still hang in the kernel",
        ) from late
    except BaseException:
        _end_group(child)
        raise
    return Result(tuple(argv), child.returncode, out, err)


def _end_group(child: subprocess.Popen[str]) -> None:
    """Kill the child's whole group; wait a moment for it, no longer (a task stuck in the kernel does not die)."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except OSError:
        return
    try:
        child.wait(2)
    except subprocess.TimeoutExpired:
        return
