"""Hosts in network namespaces: each with its own address, its own root tree (tests/sim's) and a real sshd.

    with Hosts(25) as rig:
        rig[3].cut()                                  # no answer at all
        rig.gpuctl("fleet", "check", "-i", rig.inventory())

A host is a mount, pid, uts and network namespace around a simulated machine's folder: sshd, sudo and Python are this
machine's (/usr, read-only); /etc, /boot, /var, /sys and /proc are the folder's own, writable,
and seen from outside as `rig[i].tree`. The simulated machine's commands (update-grub, modprobe, ...) are asked of the
SimHost in this process. The kernel's reaction to plain writes below /sys comes with the next command (`settle`).
`reboot` starts what the boot loader would start; the sshd goes down and comes back.

The operator is a namespace too: nothing of this reaches the machine's own network. Needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e import packages
from tests.e2e.host import NET, RigHost
from tests.sim import worlds
from tests.sim.parts import Machine

if TYPE_CHECKING:
    from typing_extensions import Self

GPUCTL = (sys.executable, "-c", "import sys; from gpuctl.cli.main import main; sys.exit(main())")


def why_not() -> str:
    """Say why hosts cannot be made here; empty if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [name for name in ("ip", "unshare", "nsenter", "chroot", "ssh-keygen") if not shutil.which(name)]
    if missing:
        return f"not here: {', '.join(missing)}"
    try:
        packages.layer()
    except RuntimeError as error:
        return str(error)
    probe = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--uts", "--fork", "true"], capture_output=True, check=False
    )
    return "" if probe.returncode == 0 else "no namespaces here"


class Hosts:
    """Some hosts and an operator; a context manager.

    Attributes:
        folder: where all of it is; the operator's home is below it.
        home: the operator's HOME: its .ssh/known_hosts knows every host.
    """

    def __init__(self, count: int, machine: Machine | None = None) -> None:
        self._machine = machine or worlds.two_gtx1080()
        self._count = count
        self.prefix = f"gpuctl{os.getpid() % 100000}-"
        self.operator = f"{self.prefix}op"
        self.folder = Path()
        self.home = Path()
        self.hosts: list[RigHost] = []

    def __enter__(self) -> Self:
        # A short path: a Unix socket's has at most 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="rig-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.home = self.folder / "operator"
        (self.home / ".ssh").mkdir(parents=True, mode=0o700)
        try:
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "id")], check=True)
            shutil.copy(self.folder / "id", self.home / ".ssh/id_ed25519")
            shutil.copy(self.folder / "id.pub", self.home / ".ssh/id_ed25519.pub")
            self.hosts = [RigHost(self, number, self._machine) for number in range(1, self._count + 1)]
            self._network()
            for host in self.hosts:
                host.start("sshd")
            for host in self.hosts:
                host.wait()
            self.know()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts:
            host.close()
        names = [self.operator, *(host.netns for host in self.hosts)]
        lines = "".join(f"netns delete {name}\n" for name in names)
        subprocess.run(["ip", "-force", "-batch", "-"], input=lines.encode(), capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __getitem__(self, number: int) -> RigHost:
        """The host with this number, from 1: rig[3] is gpu03."""
        return self.hosts[number - 1]

    def __iter__(self) -> Iterator[RigHost]:
        return iter(self.hosts)

    def ip(self, *lines: str) -> None:
        """Run ip commands."""
        for line in lines:
            subprocess.run(["ip", *line.split()], check=True, capture_output=True)

    def _network(self) -> None:
        self.ip(f"netns add {self.operator}")
        lines = ["link add br0 type bridge", "link set br0 up", "link set lo up", f"addr add {NET}.0.1/16 dev br0"]
        for host in self.hosts:
            self.ip(f"netns add {host.netns}")
            lines += [
                f"link add v{host.number} type veth peer name eth0 netns {host.netns}",
                f"link set v{host.number} master br0 up",
            ]
        self._batch(self.operator, lines)
        for host in self.hosts:
            self._batch(host.netns, ["link set lo up", f"addr add {host.address}/16 dev eth0", "link set eth0 up"])

    def _batch(self, netns: str, lines: Sequence[str]) -> None:
        subprocess.run(
            ["ip", "-n", netns, "-batch", "-"], input="\n".join(lines).encode(), check=True, capture_output=True
        )

    def know(self) -> None:
        """The operator's known_hosts has every host's present key."""
        text = "".join(f"{host.name},{host.address} {host.public_key}\n" for host in self.hosts)
        (self.home / ".ssh/known_hosts").write_text(text)

    def inventory(self, path: Path | None = None, *, user: str = "root", **variables: str) -> str:
        """Write an INI inventory of all hosts and return its path; groups gpu, rack1 (1-10), rack2 (11-20), ..."""
        path = path or self.folder / "inventory.ini"
        lines = ["[gpu]", *(f"{host.name} ansible_host={host.address}" for host in self.hosts)]
        for start in range(0, len(self.hosts), 10):
            lines += ["", f"[rack{start // 10 + 1}]", *(host.name for host in self.hosts[start : start + 10])]
        lines += ["", "[all:vars]", f"ansible_user={user}", *(f"{name}={value}" for name, value in variables.items())]
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    @property
    def environment(self) -> dict[str, str]:
        """The operator's environment: a home of its own, no agent."""
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL", "TERM")}
        return {**kept, "HOME": str(self.home), "XDG_STATE_HOME": str(self.home / "state"), "NO_COLOR": "1"}

    def run(
        self, argv: Sequence[str], *, timeout: float = 300, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command at the operator's: in its network, with its home."""
        return subprocess.run(
            ["ip", "netns", "exec", self.operator, *argv], capture_output=True, text=True, timeout=timeout, check=False,
            env={**self.environment, **(env or {})}, stdin=subprocess.DEVNULL, cwd=self.home,
        )  # fmt: skip

    def gpuctl(
        self, *words: str, timeout: float = 300, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run gpuctl at the operator's."""
        return self.run([*GPUCTL, *words], timeout=timeout, env=env)
