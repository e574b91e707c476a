"""`gpuctl fleet prepare` on 25 hosts with real sshds and a real Ansible: five of them in trouble, each in its own way.

The report is right about each, the exit code is right, nothing is lost, and a second run finishes the rest.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("ansible_runner")

from tests.e2e.hosts import Hosts, why_not

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = ROOT / ".cache/ansible-venv/bin"
REASON = why_not()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.machine,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(REASON), reason=REASON),
]
CARDS = "/etc/gpuctl/cards"


@pytest.fixture(scope="module", autouse=True)
def ansible():
    subprocess.run([sys.executable, str(ROOT / ".ci/bootstrap"), "ansible"], check=True, stdin=subprocess.DEVNULL)


def environment(rig) -> dict[str, str]:
    # Two cores serve 25 hosts here: a login takes longer than on hosts of their own; and they have no terminals.
    return {"PATH": f"{ANSIBLE}:{os.environ['PATH']}", "ANSIBLE_TIMEOUT": "20", "ANSIBLE_SSH_USETTY": "False"}


def inventory_of(rig, **variables: str) -> str:
    # ssh looks for ~/.ssh in the password database, not in HOME, where the rig's operator has it
    ssh = f"-F none -o UserKnownHostsFile={rig.home}/.ssh/known_hosts -o ControlPath={rig.folder}/cp-%C"
    return rig.inventory(
        gpuctl_become="false",
        ansible_ssh_private_key_file=f"{rig.home}/.ssh/id_ed25519",
        ansible_ssh_common_args=ssh,
        **variables,
    )


def fleet(rig, *words):
    """Run it; return (exit code, document or None, stderr)."""
    ran = rig.gpuctl("fleet", *words, "-f", "json", env=environment(rig), timeout=600)
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else None, ran.stderr


def prepared(host) -> bool:
    return (host.tree / CARDS.lstrip("/")).exists()


def by_state(document):
    found: dict[str, list[str]] = {}
    for host in document["hosts"]:
        found.setdefault(host["state"], []).append(host["host"])
    return found


def row(document, name):
    return next(host for host in document["hosts"] if host["host"] == name)


@pytest.fixture(scope="module")
def rig():
    with Hosts(25) as hosts:
        yield hosts


def test_five_of_25_hosts_in_trouble(rig):
    inventory = inventory_of(rig)
    rig[5].cut()
    rig[9].hang()
    rig[13].change_key()
    rig[17].full_disk("/var/lib")
    table = rig[21].tree / "sys/firmware/acpi/tables/DMAR"
    dmar = table.read_bytes()
    table.unlink()

    code, document, said = fleet(rig, "prepare", "-i", inventory, "--yes", "--max-fail", "20%")
    assert document, said
    assert code == 5, (by_state(document), document["hosts"][0]["what"])
    trouble = {5, 9, 13, 17, 21}
    assert by_state(document) == {
        "reboot-needed": [f"gpu{number:02d}" for number in range(1, 26) if number not in trouble],
        "unreachable": ["gpu05", "gpu09", "gpu13"],
        "failed": ["gpu17"],
        "refused": ["gpu21"],
    }
    assert "does not answer" in row(document, "gpu05")["resolution"]
    assert "does not answer" in row(document, "gpu09")["resolution"]
    assert "host key" in row(document, "gpu13")["resolution"]
    assert "not enough room in /var/lib/gpuctl" in row(document, "gpu17")["what"]
    assert row(document, "gpu21")["findings"][0]["id"] == "iommu-firmware"
    assert all(host["resolution"] for host in document["hosts"])
    for number, host in enumerate(rig, 1):
        assert prepared(host) == (number not in trouble), f"{host.name}: what is told is not what is"
    assert not (rig[21].tree / "var/lib/gpuctl/runs").exists(), "refused, and yet touched"

    # mended one after the other; the second run does these five and no other
    rig[5].rig.ip(f"-n {rig[5].netns} link set eth0 up")
    rig[9].restart()
    rig.know()
    rig[17].inside(f"umount {rig[17].tree}/var/lib")
    table.write_bytes(dmar)
    journals = {host.name: sorted(path.name for path in (host.tree / "var/lib/gpuctl/runs").glob("*")) for host in rig}
    code, document, said = fleet(rig, "prepare", "--resume", "last", "--yes")
    assert code == 4, said or by_state(document)
    assert by_state(document) == {"reboot-needed": [host.name for host in rig]}
    assert {host["host"] for host in document["hosts"] if not host["done_before"]} == {
        f"gpu{number:02d}" for number in trouble
    }
    assert all(prepared(host) for host in rig)
    for number, host in enumerate(rig, 1):
        runs = sorted(path.name for path in (host.tree / "var/lib/gpuctl/runs").glob("*"))
        assert number in trouble or runs == journals[host.name], f"{host.name} was done, and done again"

    # and back again, every one
    code, document, said = fleet(rig, "restore", "-i", inventory, "--yes")
    assert code in (0, 4), said or by_state(document)
    assert not any(prepared(host) for host in rig)


def test_rebooted_in_batches_waited_for_and_checked_again(rig):
    """The Ansible module waits for a new boot id over SSH; the rig boots what the boot loader would."""
    inventory = inventory_of(rig, reboot_command="/usr/bin/touch_rig_reboot")
    hosts = [rig[number] for number in (1, 2, 3)]
    for host in hosts:
        host.write("/rig/shims/bin/touch_rig_reboot", "#!/bin/sh\n: > /rig/reboot\n", 0o755)
        host.restart()
    stop = threading.Event()

    def boot_loader():
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
        code, document, said = fleet(
            rig,
            "prepare",
            "-i",
            inventory,
            "--limit",
            "gpu01:gpu02:gpu03",
            "--reboot",
            "--reboot-timeout",
            "120",
            "--serial",
            "2",
            "--yes",
        )
    finally:
        stop.set()
        thread.join()
    assert document, said
    assert (code, set(by_state(document))) == (0, {"done"}), document["hosts"]
    for host in hosts:
        assert set(host.sim.drivers().values()) >= {"vfio-pci"}
        assert "intel_iommu=on" in (host.tree / "proc/cmdline").read_text()


def test_interrupted_it_is_journalled_and_goes_on(rig):
    inventory = inventory_of(rig)
    rig[11].hang_after_login()
    start = "import sys; from gpuctl.cli.main import main; sys.exit(main())"
    words = [
        "fleet",
        "prepare",
        "-i",
        inventory,
        "--limit",
        "gpu10:gpu11:gpu12",
        "--canary",
        "0",
        "--yes",
        "-f",
        "json",
    ]
    child = subprocess.Popen(
        ["ip", "netns", "exec", rig.operator, sys.executable, "-c", start, *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=rig.home, env={**rig.environment, **environment(rig)},
    )  # fmt: skip
    journals = rig.home / "state/gpuctl/fleet"
    known = set(journals.glob("*.jsonl"))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        fresh = set(journals.glob("*.jsonl")) - known
        if (
            fresh
            and '"gpu10"' in "".join(path.read_text() for path in fresh).partition('"begun"')[2].partition("\n")[2]
        ):
            break
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    document = json.loads(out)
    assert row(document, "gpu11")["state"] == "unknown"
    assert row(document, "gpu10")["state"] == "reboot-needed"
    rig[11].write("/etc/ssh/sshd_config", (rig[12].tree / "etc/ssh/sshd_config").read_text())
    rig[11].restart()
    code, document, said = fleet(rig, "prepare", "--resume", "last", "--yes")
    assert code == 4, said
    assert by_state(document) == {"reboot-needed": ["gpu10", "gpu11", "gpu12"]}
