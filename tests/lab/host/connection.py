"""ssh to a lab machine: one connection kept open for all commands, found again after a reboot."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

TARGET = "root@127.0.0.1"


class LabError(Exception):
    """The machine did not do what was asked; the message has the end of its console where that helps."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command in the machine gave."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the machine: a port on 127.0.0.1, the key made with its disk, and where the shared socket stands."""

    port: int
    key: Path
    control: Path

    def answers(self) -> bool:
        """An ssh server says hello. QEMU takes the connection long before the guest does, so only the banner counts."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as probe:
                return probe.recv(4) == b"SSH-"
        except OSError:
            return False

    def open(self) -> None:
        """One connection is there for all commands: a handshake takes a second or two under TCG. They work without it too."""
        argv = ["ssh", *self._options(), "-M", "-N", "-f", "-p", str(self.port), TARGET]
        quiet = subprocess.DEVNULL  # it stays in the background and would hold our pipes
        subprocess.run(argv, stdin=quiet, stdout=quiet, stderr=quiet, timeout=300, check=False)

    def forget(self) -> None:
        """The kept connection is closed: before a reboot, or it would hang on a dead peer."""
        argv = ["ssh", *self._options(), "-O", "exit", "-p", str(self.port), TARGET]
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        self.control.unlink(missing_ok=True)

    def run(self, command: str, timeout: float) -> Result:
        """What the command gave; code 124 if it had not ended within so many seconds, 255 if ssh itself failed."""
        argv = ["ssh", *self._options(), "-p", str(self.port), TARGET, command]
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            out, err = ((part or b"").decode(errors="replace") for part in (late.stdout, late.stderr))
            return Result(124, out, f"{err}\nno end within {timeout:.0f} s")
        return Result(done.returncode, done.stdout, done.stderr)

    def shell(self, words: list[str]) -> int:
        """An interactive ssh for a person (or these words run in it) has ended with this code."""
        return subprocess.call(["ssh", *self._options(), "-p", str(self.port), TARGET, *words])

    def copy(self, source: str, target: str) -> None:
        """The file or folder is there; the machine's side is written as TARGET:PATH.

        Raises:
            LabError: scp says why.
        """
        argv = ["scp", "-q", "-r", *self._options(), "-P", str(self.port), source, target]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise LabError(f"scp {source} {target}: {done.stderr.strip()}")

    def _options(self) -> list[str]:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"]
        options += ["ConnectTimeout=120", "ServerAliveInterval=60", "ServerAliveCountMax=10", "IdentitiesOnly=yes"]
        options += [f"ControlPath={self.control}"]
        return ["-F", "/dev/null", "-i", str(self.key), *(word for option in options for word in ("-o", option))]
