"""What a rig's operator needs to change hosts: a real Ansible, an inventory that leads to the rig, hosts that boot again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.host import RigHost
from tests.e2e.hosts import GPUCTL, Hosts

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = ROOT / ".cache/ansible-venv/bin"
REBOOT = "/usr/bin/touch_rig_reboot"  # the reboot_command that booting() waits for


def bootstrap() -> None:
    """Ansible is in ANSIBLE."""
    subprocess.run([sys.executable, str(ROOT / ".ci/bootstrap"), "ansible"], check=True, stdin=subprocess.DEVNULL)


def environment() -> dict[str, str]:
    # Two cores serve 25 hosts here: a login takes longer than on hosts of their own; and they have no terminals.
    return {"PATH": f"{ANSIBLE}:{os.environ['PATH']}", "ANSIBLE_TIMEOUT": "20", "ANSIBLE_SSH_USETTY": "False"}


def inventory_of(rig: Hosts, **variables: str) -> str:
    # ssh looks for ~/.ssh in the password database, not in HOME, where the rig's operator has it
    ssh = f"-F none -o UserKnownHostsFile={rig.home}/.ssh/known_hosts -o ControlPath={rig.folder}/cp-%C"
    return rig.inventory(
        gpuctl_become="false",
        ansible_ssh_private_key_file=f"{rig.home}/.ssh/id_ed25519",
        ansible_ssh_common_args=ssh,
        **variables,
    )


def prepared(host: RigHost) -> bool:
    return (host.tree / "etc/gpuctl/cards").exists()


def started(rig: Hosts, words: Iterable[str], **env: str) -> subprocess.Popen[str]:
    """gpuctl runs at the operator's, to be stopped half way."""
    return subprocess.Popen(
        ["ip", "netns", "exec", rig.operator, *GPUCTL, *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=rig.home, env={**rig.environment, **env},
    )  # fmt: skip


@contextmanager
def booting(hosts: Iterable[RigHost]) -> Iterator[None]:
    """A host that is told to reboot goes down, and comes back with what its boot loader reads."""
    hosts = list(hosts)
    for host in hosts:
        host.write("/rig/shims/bin/touch_rig_reboot", "#!/bin/sh\n: > /rig/reboot\n", 0o755)
        host.restart()
    stop = threading.Event()

    def boot_loader() -> None:
        while not stop.wait(0.2):
            for host in hosts:
                asked = host.tree / "rig/reboot"
                if asked.exists():
                    asked.unlink()
                    time.sleep(1)  # the command's own answer goes out first
                    host.reboot()

    thread = threading.Thread(target=boot_loader)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
