"""`gpuctl fleet prepare` on 25 hosts with real sshds and a real Ansible: five of them in trouble, each in its own way.

The report is right about each, the exit code is right, nothing is lost, and a second run finishes the rest.
"""

from __future__ import annotations

import json
import signal
import time

import pytest

pytest.importorskip("ansible_runner")

from tests.e2e.hosts import Hosts, why_not
from tests.e2e.with_ansible import REBOOT, booting, bootstrap, environment, inventory_of, prepared, started

REASON = why_not()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.machine,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(REASON), reason=REASON),
]


@pytest.fixture(scope="module", autouse=True)
def ansible():
    bootstrap()


def fleet(rig, *words):
    """Run it; return (exit code, document or None, stderr)."""
    ran = rig.gpuctl("fleet", *words, "-f", "json", env=environment(), timeout=600)
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else None, ran.stderr


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
    inventory = inventory_of(rig, reboot_command=REBOOT)
    hosts = [rig[number] for number in (1, 2, 3)]
    words = f"-i {inventory} --limit gpu01:gpu02:gpu03 --reboot --reboot-timeout 120 --serial 2 --yes".split()
    with booting(hosts):
        code, document, said = fleet(rig, "prepare", *words)
    assert document, said
    assert (code, set(by_state(document))) == (0, {"done"}), document["hosts"]
    for host in hosts:
        assert set(host.sim.drivers().values()) >= {"vfio-pci"}
        assert "intel_iommu=on" in (host.tree / "proc/cmdline").read_text()


def test_interrupted_it_is_journalled_and_goes_on(rig):
    inventory = inventory_of(rig)
    rig[11].hang_after_login()
    words = f"fleet prepare -i {inventory} --limit gpu10:gpu11:gpu12 --canary 0 --yes -f json".split()
    child = started(rig, words, **environment())
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
