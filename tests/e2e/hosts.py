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

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl_host.errors import GpuctlError
from tests.e2e import packages
from tests.sim import SimHost, worlds
from tests.sim.parts import Machine
from tests.sim.world import COMMANDS, COMMON

if TYPE_CHECKING:
    from typing_extensions import Self

NET = "10.231"
SHIM = """#!/usr/bin/python3 -I
import json, os, socket, sys
door = socket.socket(socket.AF_UNIX)
door.connect("/rig.sock")
words = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
door.sendall(json.dumps({"argv": words, "stdin": "" if sys.stdin is None or sys.stdin.isatty() else ""}).encode())
door.shutdown(socket.SHUT_WR)
answer = json.loads(b"".join(iter(lambda: door.recv(65536), b"")))
sys.stdout.write(answer["stdout"])
sys.stderr.write(answer["stderr"])
sys.exit(answer["code"])
"""
SSHD = """Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
MaxStartups 100:30:200
PidFile none
LogLevel ERROR
"""
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
HANG = "import socket,time; s=socket.create_server(('0.0.0.0', 22), backlog=100); time.sleep(1e9)"


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
        self._dress()

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
        self._start(None)

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
        self._start("sshd")
        self.wait()

    def reboot(self) -> None:
        """It has gone down, started what its boot loader reads, and is reachable again."""
        self.kill()
        with self.lock:
            self.settle()
            self.sim.reboot()
            self._run_folders()
        self._start("sshd")
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

    def _start(self, what: str | None) -> None:
        words = "/usr/sbin/sshd -D -e" if what else "/usr/bin/python3 -I /rig/hang.py"
        log = (self.tree / "rig/log").open("ab")
        self._child = subprocess.Popen(
            ["ip", "netns", "exec", self.netns, "unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child",
             "sh", "-c", START, "start", str(self.tree), self.name, words, str(packages.layer() or "")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        log.close()

    def _run_folders(self) -> None:
        for folder in (
            "run/sshd",
            "tmp",
            "root/.ssh",
            "home/ops/.ssh",
            "rig/shims/sbin",
            "rig/proc",
            "proc/self",
            "dev",
        ):
            (self.tree / folder).mkdir(parents=True, exist_ok=True)
        (self.tree / "tmp").chmod(0o1777)
        (self.tree / "root").chmod(0o700)
        (self.tree / "run/sshd").chmod(0o755)
        # /proc is the simulated machine's; what a process sees of itself is real.
        for name in ("fd", "exe", "stat", "status", "oom_score_adj", "loginuid"):
            link = self.tree / "proc/self" / name
            link.unlink(missing_ok=True)
            link.symlink_to(f"/rig/proc/self/{name}")

    def _dress(self) -> None:
        """The simulated machine's folder has what sshd, sudo and a login need; its commands lead back to here."""
        self._run_folders()
        for name in ("bin", "sbin", "lib", "lib64"):
            old = self.tree / name
            if old.is_dir() and not old.is_symlink():
                shutil.copytree(old, self.tree / "usr" / name, dirs_exist_ok=True, symlinks=True)
                shutil.rmtree(old)
            if not old.is_symlink():
                old.symlink_to(f"usr/{name}")
        for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache", "login.defs", "pam.d", "security", "localtime"):
            source, target = Path("/etc") / name, self.tree / "etc" / name
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            elif source.exists():
                shutil.copy(source, target)
        with (self.tree / "etc/passwd").open("a") as file:
            file.write("ops:x:31000:31000::/home/ops:/bin/bash\n")
        with (self.tree / "etc/group").open("a") as file:
            file.write("ops:x:31000:\n")
        self.write("/etc/shadow", "root:*:19000:0:99999:7:::\nops:*:19000:0:99999:7:::\nsshd:!:19000::::::\n", 0o640)
        self.write("/etc/sudoers", "root ALL=(ALL:ALL) ALL\nops ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440)
        self.write("/etc/ssh/sshd_config", SSHD)
        self.write("/etc/hosts", f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        self.write("/etc/hostname", f"{self.name}\n")
        self.write("/rig/hang.py", HANG)
        public = (self.rig.folder / "id.pub").read_text()
        for home in ("root", "home/ops"):
            self.write(f"/{home}/.ssh/authorized_keys", public, 0o600)
            (self.tree / home / ".ssh").chmod(0o700)
        for path in (self.tree / "home/ops", *(self.tree / "home/ops").rglob("*")):
            os.chown(path, 31000, 31000)
        for name in {*COMMON, *(word for words in COMMANDS.values() for word in words)} - {"sync", "dmesg"}:
            if self.sim.which(name) is None:
                continue
            # Some are read by the host's half (grub-mkconfig: does it know drop-ins?): their own text stays in.
            shim = f"{SHIM}r'''\n{self.sim.tree.text(f'/usr/sbin/{name}')}'''\n"
            self.write(f"/rig/shims/sbin/{name}", shim, 0o755)
            if Path("/usr/bin", name).exists():
                self.write(f"/rig/shims/bin/{name}", shim, 0o755)
        self._host_key()
        self._serve()

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
                host._start("sshd")
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
        start = "import sys; from gpuctl.cli.main import main; sys.exit(main())"
        return self.run([sys.executable, "-c", start, *words], timeout=timeout, env=env)
