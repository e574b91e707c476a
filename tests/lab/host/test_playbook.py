"""The same story as test_prepare tells, by a real ansible-playbook: the collection's playbooks, and Ansible's own reboot.

Prepared and rebooted in one play, checked again in it, restored, rebooted. The machine's real sshd and sudo-less root, its
host key known beforehand and checked; the collection as `make collection` ships it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.host.guest import changed, driver_map, functions, snapshot
from tests.lab.host.machine import REPOSITORY, Machine

pytestmark = [pytest.mark.lab_host, pytest.mark.timeout(3600), pytest.mark.story, pytest.mark.full]

ANSIBLE = REPOSITORY / ".cache/ansible-venv/bin"
ONE, ONE_AUDIO = "0000:01:00.0", "0000:01:00.1"
TWO, TWO_AUDIO = "0000:02:00.0", "0000:02:00.1"
_BOOT = 1800  # seconds; as BOOT_DEADLINE: for what hangs, not for slowness


@dataclass(slots=True)
class Stock:
    """The host as it was before, and the Ansible beside it."""

    machine: Machine
    folder: Path
    files: dict[str, dict[str, Any]]
    drivers: dict[str, tuple[str, str]]

    def play(self, name: str, **variables: object) -> tuple[int, list[dict[str, Any]], str]:
        """Run gpuctl.host.NAME; return (exit status, what each task that ended came to, what was printed)."""
        lines = self.folder / "lines"
        lines.unlink(missing_ok=True)
        argv = [str(ANSIBLE / "ansible-playbook"), "-i", str(self.folder / "inventory.json"), f"gpuctl.host.{name}"]
        env = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_PIPELINING": "True",
            "ANSIBLE_TIMEOUT": "300",
            "ANSIBLE_CALLBACK_PLUGINS": str(REPOSITORY / "tests/collection/callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "gpuctl_lines",
            "GPUCTL_TEST_LINES": str(lines),
        }
        more = ["-e", json.dumps({"gpuctl_become": False, **variables})]
        ran = subprocess.run(
            [*argv, *more], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3000, check=False
        )
        answers = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
        return ran.returncode, answers, ran.stdout + ran.stderr


@pytest.fixture(scope="class")
def stock(rig: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    """Two GTX 1080 on a host that turns its IOMMU off."""
    from gpuctl.fleet.ansible.collection import stage  # late: without the product the lab itself still works

    subprocess.run([sys.executable, str(REPOSITORY / ".ci/bootstrap"), "ansible"], check=True, stdin=subprocess.DEVNULL)
    folder = tmp_path_factory.mktemp("playbook")
    stage(folder / "collections")
    with Machine("gtx1080x2", cmdline_extra="intel_iommu=off") as machine:
        machine.wait_ssh()
        key = machine.ssh("cat /etc/ssh/ssh_host_ed25519_key.pub").out.split()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{machine.port} {key[0]} {key[1]}\n")
        host = {
            "ansible_host": "127.0.0.1",
            "ansible_port": machine.port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(machine.key),
            "ansible_ssh_common_args": f"-F none -o UserKnownHostsFile={folder}/known_hosts -o StrictHostKeyChecking=yes "
            f"-o IdentitiesOnly=yes -o ControlPath={folder}/cm -o ServerAliveInterval=60",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        (folder / "inventory.json").write_text(json.dumps({"all": {"hosts": {"lab": host}}}))
        yield Stock(machine, folder, snapshot(machine), driver_map(machine))


class TestByAnsible:
    """Prepare with its reboot; the cards are VFIO's; restore; reboot; everything is as before."""

    def test_prepare_reboots_and_checks_again(self, stock: Stock) -> None:
        """One play: changed, down, up with another boot id, ready."""
        boot = stock.machine.ssh("cat /proc/sys/kernel/random/boot_id").out
        code, answers, said = stock.play("prepare", prepare_reboot=True, reboot_timeout=_BOOT)
        assert code == 0, said
        by_action = {one["action"]: one["result"] for one in answers if one["kind"] == "ok"}
        assert by_action["gpuctl.host.prepare"]["changed"] and by_action["gpuctl.host.prepare"]["reboot_required"]
        assert by_action["ansible.builtin.reboot"]["rebooted"]
        assert by_action["gpuctl.host.check"]["ready"], said
        assert stock.machine.wait_ssh(not_boot=boot.strip()) != boot.strip()

    def test_the_cards_are_vfios(self, stock: Stock) -> None:
        """What the check said is what the kernel says."""
        seen = functions(stock.machine)
        assert (seen[ONE].driver, seen[TWO].driver) == ("vfio-pci", "vfio-pci")
        assert ONE_AUDIO not in seen and TWO_AUDIO not in seen

    def test_a_second_prepare_changes_nothing(self, stock: Stock) -> None:
        """Idempotent, without a reboot; and the check's own playbook agrees."""
        for name in ("prepare", "check"):
            code, answers, said = stock.play(name, prepare_reboot=True)
            assert code == 0, said
            assert [one["result"]["changed"] for one in answers if one["kind"] == "ok"] == [False], said

    def test_restore_and_reboot_and_all_is_as_before(self, stock: Stock) -> None:
        """Byte by byte below /etc and /boot, and every driver."""
        code, answers, said = stock.play("restore")
        assert code == 0, said
        assert any(one["result"]["changed"] for one in answers if one["action"] == "gpuctl.host.restore")
        code, _, said = stock.play("reboot", reboot_timeout=_BOOT, reboot_require_ready=False)
        assert code == 0, said
        stock.machine.wait_ssh()
        assert changed(stock.files, snapshot(stock.machine)) == []
        assert driver_map(stock.machine) == stock.drivers
