"""The whole: a control plane on this computer, two computes in QEMU, and gpuctl as an operator runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.host.connection import LabError
from tests.lab.host.gpuctl_in_guest import install as install_zipapp
from tests.lab.openstack import Lab

from .compute import NAMES, Compute

HOSTS = Path(__file__).with_name("hosts.json")
SLOW = {"rpc_response_timeout": "600", "service_down_time": "300"}


@dataclass(frozen=True, slots=True)
class Said:
    """What a run of gpuctl gave."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float

    @property
    def document(self) -> Any:
        """The JSON that it printed."""
        return json.loads(self.out)


class Chain:
    """Control plane and computes, whose state lies in one folder.

    Args:
        folder: short, for there are sockets in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.lab = Lab(folder / "cloud", HOSTS)
        self.computes = [Compute(name, self.lab, folder) for name in NAMES]

    def up(self) -> Chain:
        """Everything runs and is reached; what ran already was left alone."""
        self.lab.up()
        before: Compute | None = None
        started = False
        for compute in self.computes:
            if not compute.attach():
                if before is not None and not started:
                    raise LabError("one machine of two runs: `down` first")
                compute.start(before)
                started = True
            before = compute
        if started:
            self.lab.restart("nova", {"DEFAULT": SLOW})
        for compute in self.computes:
            compute.wait()
            compute.configure()
            if started:
                install_zipapp(compute.machine)
        self._home()
        return self

    def attach(self) -> Chain:
        """As `up`, where everything runs already.

        Raises:
            LabError: it does not.
        """
        if not all(compute.attach() for compute in self.computes):
            raise LabError("the machines are not up")
        return self

    def down(self) -> None:
        """No process is left, and the folder is gone but for its logs and results."""
        for compute in self.computes:
            compute.stop()
        self.lab.down(purge=True)
        shutil.rmtree(self.folder / "home", ignore_errors=True)

    def compute(self, host: str) -> Compute:
        """The one of that name."""
        return next(one for one in self.computes if one.name.host == host)

    def other(self, host: str) -> Compute:
        """The one that is not called so."""
        return next(one for one in self.computes if one.name.host != host)

    def gpuctl(self, *words: str, codes: tuple[int, ...] = (0,), limit: float = 3600) -> Said:
        """What gpuctl gave, run as a person at the operator's runs it.

        Raises:
            LabError: another exit code than these.
        """
        home = self.folder / "home"
        env = {
            "HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "NO_COLOR": "1", "XDG_STATE_HOME": str(home / "state"),
            "OS_CLIENT_CONFIG_FILE": str(self.lab.layout.clouds_yaml), "OS_CLOUD": "gpuctl-lab",
        }  # fmt: skip
        began = time.monotonic()
        done = subprocess.run(
            [str(Path(sys.executable).with_name("gpuctl")), *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, cwd=self.folder, timeout=limit, check=False,
        )  # fmt: skip
        said = Said(words, done.returncode, done.stdout, done.stderr, time.monotonic() - began)
        with (self.folder / "gpuctl.log").open("a") as log:
            log.write(f"$ gpuctl {' '.join(words)}\n{said.out}{said.err}-> {said.code} in {said.seconds:.1f} s\n\n")
        if said.code not in codes:
            raise LabError(f"gpuctl {' '.join(words)} gave {said.code}\n{said.out[-4000:]}\n{said.err[-4000:]}")
        return said

    def server(self, uuid: str) -> dict[str, Any]:
        """The server, as the API shows it to an administrator."""
        found: dict[str, Any] = self.lab.rest.call("compute", "GET", f"/servers/{uuid}")["server"]
        return found

    def _home(self) -> None:
        """The operator's ssh knows the hosts by their names in Nova, and their keys."""
        ssh = self.folder / "home/.ssh"
        ssh.mkdir(parents=True, exist_ok=True)
        ssh.chmod(0o700)
        text, known = "", ""
        for one in self.computes:
            key = one.ssh("cat /etc/ssh/ssh_host_ed25519_key.pub").out.split()
            text += f"Host {one.name.host}\n  HostName 127.0.0.1\n  Port {one.machine.port}\n  User root\n  IdentityFile {one.machine.key}\n  IdentitiesOnly yes\n  ConnectTimeout 120\n\n"
            known += f"[127.0.0.1]:{one.machine.port} {key[0]} {key[1]}\n"
        (ssh / "config").write_text(text)
        (ssh / "known_hosts").write_text(known)


def wait_for(what: str, seen: Callable[[], Any], *, deadline: float = 1800, every: float = 2) -> Any:
    """What `seen` returned once it was true.

    Raises:
        LabError: it was not within so many seconds.
    """
    until = time.monotonic() + deadline
    while True:
        found = seen()
        if found:
            return found
        if time.monotonic() > until:
            raise LabError(f"{what}: not within {deadline:.0f} s")
        time.sleep(every)
