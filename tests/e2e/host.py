"""One host of the rig: a simulated machine in namespaces of its own, behind a real sshd. hosts.py makes them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl_host.errors import GpuctlError
from tests.e2e import packages
from tests.e2e.dress import SSHD, dress, run_folders
from tests.sim import SimHost
from tests.sim.parts import Machine

if TYPE_CHECKING:
    from tests.e2e.hosts import Hosts

NET = "10.231"
START = """set -e
mount --make-rprivate /
R=$1
mount -t overlay overlay -o "lowerdir=$R/rig/shims:$R/usr:${4:+$4:}/usr" "$R/usr"
mount -t proc proc "$R/rig/proc"
for d in null zero random urandom full tty; do : >> "$R/dev/$d"; mount --bind "/dev/$d" "$R/dev/$d"; done
hostname "$2"
ip link set lo up
exec chroot "$R" $3
"""


class RigHost:
    """One host of the rig.

    Attributes:
        name: gpu01, ...
        address: its IPv4 address, reached from the operator's namespace.
        sim: the simulated machine.
        tree: its root, as seen from here.
    """

    def __init__(self, rig: Hosts, number: int, machine: Machine) -> None:
        self.rig, self.number = rig, number
        self.name, self.address = f"gpu{number:02d}", f"{NET}.{number // 200}.{10 + number % 200}"
        self.netns = f"{rig.prefix}{number}"
        self.tree = rig.folder / self.name
        self.sim = SimHost(machine, self.tree)
        self.lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._door: socket.socket | None = None
        self._servant = threading.Thread()
        self._closing = False
        dress(self)
        self._host_key()
        self._serve()

    # ---- what goes wrong

    def cut(self) -> None:
        """No packet comes back any more: a dead host."""
        self.rig.ip(f"-n {self.netns} link set eth0 down")

    def kill(self) -> None:
        """sshd and all else on it are gone; the address answers, the port refuses."""
        if self._child is not None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
            self._child = None

    def hang(self) -> None:
        """It accepts connections and never says a word."""
        self.kill()
        self.start(None)

    def hang_after_login(self) -> None:
        """It lets people in, and no command ever ends."""
        self.write("/etc/ssh/sshd_config", SSHD + "ForceCommand exec /bin/sleep 100000\n")
        self.restart()

    def change_key(self) -> None:
        """Its host key is another than the known one."""
        self._host_key()
        self.restart()

    def refuse(self) -> None:
        """It takes no key of ours."""
        for home in ("root", "home/ops"):
            self.write(f"/{home}/.ssh/authorized_keys", "")

    def without_python(self) -> None:
        """There is no Python on it."""
        for name in os.listdir("/usr/bin"):
            if name.startswith("python3"):
                self.inside(f"mount --bind /dev/null {self.tree}/usr/bin/{name}", check=False)

    def sudo_password(self) -> None:
        """The user `ops` has to type a password for sudo."""
        self.write("/etc/sudoers", "root ALL=(ALL:ALL) ALL\nops ALL=(ALL:ALL) ALL\n", 0o440)

    def full_disk(self, *folders: str) -> None:
        """Nothing more can be written below these folders (a full file system of their own)."""
        for folder in folders or ("/var/lib", "/etc"):
            path = f"{self.tree}{folder}"
            self.inside(f"mkdir -p /tmp/full{self.number} && mount -t tmpfs -o size=4m none /tmp/full{self.number}")
            self.inside(f"cp -a {path}/. /tmp/full{self.number}/ && mount --move /tmp/full{self.number} {path}")
            self.inside(
                f"dd if=/dev/zero of={path}/.full bs=64k 2>/dev/null; dd if=/dev/zero of={path}/.full2 bs=1 2>/dev/null",
                check=False,
            )

    # ---- what else happens to it

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file of its tree has this content; its inode stays, so that bind mounts show it."""
        self.sim.tree.write(path, text, mode)
        if path.startswith("/home/ops"):
            os.chown(self.sim.tree.at(path), 31000, 31000)

    def inside(self, command: str, *, check: bool = True) -> str:
        """Run a shell command in its mount namespace (paths are this machine's); return what it printed."""
        pid = self._pid()
        ran = subprocess.run(
            ["nsenter", "-t", pid, "-m", "sh", "-c", command], capture_output=True, text=True, check=False
        )
        if check and ran.returncode:
            raise RuntimeError(f"{self.name}: {command}: {ran.stderr}")
        return ran.stdout

    def _pid(self) -> str:
        """The pid of its first process (the child of unshare)."""
        parent = self._child.pid
        return Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0]

    def restart(self) -> None:
        """sshd starts anew, with the configuration that is there now."""
        self.kill()
        self.start("sshd")
        self.wait()

    def reboot(self) -> None:
        """It has gone down, started what its boot loader reads, and is reachable again."""
        self.kill()
        with self.lock:
            self.settle()
            self.sim.reboot()
            run_folders(self)
        self.start("sshd")
        self.wait()

    def settle(self) -> None:
        """The simulated kernel has seen what was written into plain files of /sys."""
        tree = self.sim.tree
        for device in list(self.sim.kernel.devices.values()):
            text = tree.text(f"{device.path}/driver_override")
            if text != f"{device.override or '(null)'}\n":
                self._poke(f"{device.path}/driver_override", text or "\n")
        for driver in list(self.sim.kernel.drivers):
            path = f"/sys/bus/pci/drivers/{driver}/unbind"
            for line in tree.text(path).splitlines():
                self._poke(path, line + "\n")
                tree.write(path, "", 0o200)
        for path in ("/sys/bus/pci/drivers_probe", "/sys/bus/pci/rescan"):
            for line in tree.text(path).splitlines():
                tree.write(path, "", 0o200)
                self._poke(path, line + "\n")
        for device in list(self.sim.kernel.devices.values()):
            if tree.read(f"{device.path}/remove"):
                self._poke(f"{device.path}/remove", "1\n")

    def _poke(self, path: str, data: str) -> None:
        try:
            self.sim.poke(path, data)
        except GpuctlError as error:
            self.sim.kernel.log.append(f"{path} <- {data!r}: {error!r}")

    def wait(self) -> None:
        """sshd answers."""
        argv = ["ip", "netns", "exec", self.netns, "ss", "-ltnH", "sport = :22"]
        for _ in range(200):
            if subprocess.run(argv, capture_output=True, check=False).stdout.strip():
                return
            time.sleep(0.02)
        log = (self.tree / "rig/log").read_text() if (self.tree / "rig/log").exists() else ""
        raise RuntimeError(f"{self.name}: its sshd did not start: {log}")

    # ---- how it is made

    def start(self, what: str | None) -> None:
        """Its sshd runs, or what hangs in its place."""
        words = "/usr/sbin/sshd -D -e" if what else "/usr/bin/python3 -I /rig/hang.py"
        log = (self.tree / "rig/log").open("ab")
        self._child = subprocess.Popen(
            ["ip", "netns", "exec", self.netns, "unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child",
             "sh", "-c", START, "start", str(self.tree), self.name, words, str(packages.layer() or "")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        log.close()

    def _host_key(self) -> None:
        path = self.tree / "etc/ssh/ssh_host_ed25519_key"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(path)], check=True)

    @property
    def public_key(self) -> str:
        """Its host key's public half: type and base64."""
        return " ".join((self.tree / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])

    def _serve(self) -> None:
        """Answer the machine's commands for as long as the rig is there."""
        path = self.tree / "rig.sock"
        path.unlink(missing_ok=True)
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(path))
        path.chmod(0o777)
        self._door.listen(16)
        self._servant = threading.Thread(target=self._answer, daemon=True)
        self._servant.start()

    def _answer(self) -> None:
        while True:
            try:
                asked, _ = self._door.accept()
            except OSError:
                return
            if self._closing:
                asked.close()
                return
            with asked, self.lock:
                try:
                    asked.settimeout(5)
                    words = json.loads(b"".join(iter(lambda: asked.recv(65536), b"")))  # noqa: B023 - read at once
                    self.settle()
                    ran = self.sim.run(words["argv"], timeout=600, stdin=words["stdin"])
                    answer = {"code": ran.returncode, "stdout": ran.stdout, "stderr": ran.stderr}
                except Exception as error:  # noqa: BLE001 - told as the command's own failure
                    answer = {"code": 127, "stdout": "", "stderr": f"{error}\n"}
                try:
                    asked.sendall(json.dumps(answer).encode())
                except OSError:
                    continue

    def close(self) -> None:
        """It is gone, with all that ran on it."""
        self.kill()
        if self._door is not None:
            # Closing a socket ends no accept() on it: left to itself, the thread would answer for a later rig's hosts.
            self._closing = True
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as knock:
                knock.settimeout(5)
                knock.connect(str(self.tree / "rig.sock"))
            self._servant.join(10)
            self._door.close()
