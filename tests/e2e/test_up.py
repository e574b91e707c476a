"""`gpuctl up` on two hosts with real sshds, a real Ansible and a cloud in memory: killed after prepare, and resumed."""

from __future__ import annotations

import ctypes
import json
import signal
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("ansible_runner")

from tests.e2e.hosts import Hosts, why_not
from tests.e2e.with_ansible import REBOOT, booting, bootstrap, environment, inventory_of, started
from tests.unit.up.cloud import UpSim

REASON = why_not()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.machine,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(REASON), reason=REASON),
]
CLONE_NEWNET = 0x40000000


def cloud_in(netns: str) -> UpSim:
    """A cloud whose socket is in that network namespace: a socket stays where it was made."""
    made: list[UpSim] = []

    def make() -> None:
        with Path(f"/run/netns/{netns}").open() as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        made.append(UpSim({"gpu01": "up", "gpu02": "up"}))

    thread = threading.Thread(target=make)  # this thread alone enters it, and ends there
    thread.start()
    thread.join()
    return made[0]


@pytest.fixture
def rig():
    bootstrap()
    with Hosts(2) as hosts:
        yield hosts


def test_two_hosts_from_bare_to_sellable_killed_and_resumed(rig, tmp_path):
    inventory = inventory_of(
        rig,
        reboot_command=REBOOT,
        nova_group="root",
        nova_settle="0",
        nova_restart_command='["/bin/true"]',
        nova_active_command='["/bin/true"]',
        nova_folders='{"api": "/etc/nova/api.d"}',
    )
    words = ["up", "-i", inventory, "--reboot", "--reboot-timeout", "120", "--cpus", "16", "--ram", "72GiB", "--wait",
             "0", "-o", str(tmp_path / "out"), "--yes", "-f", "json"]  # fmt: skip
    with booting(rig), cloud_in(rig.operator) as cloud:
        more = {
            **environment(),
            "OS_CLIENT_CONFIG_FILE": str(cloud.clouds_yaml(tmp_path)), "OS_CLOUD": "sim",
        }  # fmt: skip
        child = started(rig, words, **more)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and child.poll() is None and '"reboot-needed"' not in journals(rig):
            time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
        out, err = child.communicate()
        assert (child.returncode, out) == (-signal.SIGKILL, ""), err
        assert '"reboot-needed"' in journals(rig)
        assert runs(rig) == {"gpu01": 1, "gpu02": 0}, "the canary was prepared, the other not yet"
        assert cloud.flavors == {}

        ran = rig.gpuctl(*words, env=more, timeout=500)
        assert ran.stdout, ran.stderr
        document = json.loads(ran.stdout)
        assert ran.returncode == 0, (document, ran.stderr)
        assert {row["phase"]: row["state"] for row in document["phases"]} == dict.fromkeys(
            ("check", "prepare", "verify", "configuration", "flavors", "smoke"), "done"
        )
        assert runs(rig) == {"gpu01": 1, "gpu02": 1}, "what was done is not done again"
        sold = document["sellable"]
        assert (sold["proven"], sold["hosts"], sold["cards"][0]["count"]) == (True, ["gpu01", "gpu02"], 4)
        assert (cloud.booted, cloud.servers) == (["gtx1080:1"], [])
        for host in rig:
            assert set(host.sim.drivers().values()) >= {"vfio-pci"}

        # the collection lays Nova's files down; the second time nothing is to be done
        words += ["--nova-roles", "--nova-api", "gpu01", "--nova-scheduler", "gpu01", "--nova-conductor", "gpu01"]
        for state, laid in (("done", "4 files"), ("holds", "0 files")):
            ran = rig.gpuctl(*words, env=more, timeout=200)
            document = json.loads(ran.stdout)
            configured = document["phases"][3]
            assert ran.returncode == 0, (document, ran.stderr)
            assert [row["state"] for row in document["phases"]] == ["holds"] * 3 + [state, "holds", "done"]
            assert f"{laid} laid down by gpuctl.host.nova" in configured["evidence"]
        assert runs(rig) == {"gpu01": 1, "gpu02": 1}
        for host in rig:
            ours = host.tree / "etc/nova/nova.conf.d/zz-gpuctl-compute.conf"
            assert ours.read_text() == (tmp_path / "out/nova/compute.conf").read_text()
        assert (rig[1].tree / "etc/nova/api.d/zz-gpuctl-api.conf").exists()


def journals(rig) -> str:
    return "".join(path.read_text() for path in (rig.home / "state/gpuctl/fleet").glob("*.jsonl"))


def runs(rig) -> dict[str, int]:
    """How often each host was changed, by its own journal."""
    return {host.name: len(list((host.tree / "var/lib/gpuctl/runs").glob("*"))) for host in rig}
