"""What a simulated machine's folder needs beyond the simulation: sshd's and sudo's files, users, and commands that lead back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.sim.world import COMMANDS, COMMON

if TYPE_CHECKING:
    from tests.e2e.host import RigHost

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
HANG = "import socket,time; s=socket.create_server(('0.0.0.0', 22), backlog=100); time.sleep(1e9)"


def run_folders(host: RigHost) -> None:
    """What every boot finds empty or new is there: /run, /tmp, homes, and a process's own part of /proc."""
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
        (host.tree / folder).mkdir(parents=True, exist_ok=True)
    (host.tree / "tmp").chmod(0o1777)
    (host.tree / "root").chmod(0o700)
    (host.tree / "run/sshd").chmod(0o755)
    # /proc is the simulated machine's; what a process sees of itself is real.
    for name in ("fd", "exe", "stat", "status", "oom_score_adj", "loginuid"):
        link = host.tree / "proc/self" / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"/rig/proc/self/{name}")


def dress(host: RigHost) -> None:
    """The simulated machine's folder has what sshd, sudo and a login need; its commands lead back to here."""
    run_folders(host)
    for name in ("bin", "sbin", "lib", "lib64"):
        old = host.tree / name
        if old.is_dir() and not old.is_symlink():
            shutil.copytree(old, host.tree / "usr" / name, dirs_exist_ok=True, symlinks=True)
            shutil.rmtree(old)
        if not old.is_symlink():
            old.symlink_to(f"usr/{name}")
    for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache", "login.defs", "pam.d", "security", "localtime"):
        source, target = Path("/etc") / name, host.tree / "etc" / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy(source, target)
    with (host.tree / "etc/passwd").open("a") as file:
        file.write("ops:x:31000:31000::/home/ops:/bin/bash\n")
    with (host.tree / "etc/group").open("a") as file:
        file.write("ops:x:31000:\n")
    host.write("/etc/shadow", "root:*:19000:0:99999:7:::\nops:*:19000:0:99999:7:::\nsshd:!:19000::::::\n", 0o640)
    host.write("/etc/sudoers", "root ALL=(ALL:ALL) ALL\nops ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440)
    host.write("/etc/ssh/sshd_config", SSHD)
    host.write("/etc/hosts", f"127.0.0.1 localhost\n{host.address} {host.name}\n")
    host.write("/etc/hostname", f"{host.name}\n")
    host.write("/rig/hang.py", HANG)
    public = (host.rig.folder / "id.pub").read_text()
    for home in ("root", "home/ops"):
        host.write(f"/{home}/.ssh/authorized_keys", public, 0o600)
        (host.tree / home / ".ssh").chmod(0o700)
    for path in (host.tree / "home/ops", *(host.tree / "home/ops").rglob("*")):
        os.chown(path, 31000, 31000)
    for name in {*COMMON, *(word for words in COMMANDS.values() for word in words)} - {"sync", "dmesg"}:
        if host.sim.which(name) is None:
            continue
        # Some are read by the host's half (grub-mkconfig: does it know drop-ins?): their own text stays in.
        shim = f"{SHIM}r'''\n{host.sim.tree.text(f'/usr/sbin/{name}')}'''\n"
        host.write(f"/rig/shims/sbin/{name}", shim, 0o755)
        if Path("/usr/bin", name).exists():
            host.write(f"/rig/shims/bin/{name}", shim, 0o755)
