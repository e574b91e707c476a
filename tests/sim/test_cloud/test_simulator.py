"""The simulator itself: its clock, its truth, its seeds, and a cloud in another process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sim.cloud import Client, MovesSim, RemoteSim
from tests.sim.cloud.client import Refused
from tests.sim.test_cloud.bench import Bench, failed_finish, of_release


@pytest.mark.parametrize("release", [15, 34])
def test_services_are_named_by_host_until_2_52_and_by_uuid_since(release):
    with of_release(release) as cloud:
        bench = Bench(cloud)
        [service] = bench.client.get("/os-services?binary=nova-compute&host=gpu-b")["services"]
        assert isinstance(service["id"], int) == (release == 15)
        who = {"host": "gpu-b", "binary": "nova-compute", "disabled_reason": "drained"}
        if release == 15:
            bench.client.call("compute", "PUT", "/os-services/disable-log-reason", who)
            bench.client.call("compute", "PUT", "/os-services/force-down", {**who, "forced_down": True})
        else:
            said = {"status": "disabled", "disabled_reason": "drained", "forced_down": True}
            bench.client.call("compute", "PUT", f"/os-services/{service['id']}", said)
        host = cloud.hosts["gpu-b"]
        assert (host.disabled, host.disabled_reason, host.state) == (True, "drained", "down")


def test_audits_come_by_themselves_if_told(off):
    off.cloud.configure(audit_every=60)
    failed_finish(off)
    off.client.call("compute", "DELETE", f"/servers/{off.id}")
    off.cloud.settle()
    assert len(off.cloud.rows(off.id)) == 1
    off.cloud.advance(61)
    assert off.cloud.rows(off.id) == []


def test_truth_finds_what_is_wrong(off):
    off.cloud.boot("other", "gpu-a")
    assert off.cloud.broken() == []
    card = off.cloud.hosts["gpu-a"].cards[2]
    card.take(off.id, None)
    off.cloud.hosts["gpu-b"].folders.add(f"{off.id}_resize")
    off.cloud.hosts["gpu-a"].domains[off.id].hostdevs = ("0000:05:00.0",)
    found = "\n".join(off.cloud.broken())
    for part in (
        "asks for 1 cards",
        "_resize on gpu-b",
        "has the host devices",
        "gpu-a/0000:05:00.0 is in 2 running guests",
    ):
        assert part in found
    assert len(off.cloud.owners()["gpu-a/0000:05:00.0"]["domains"]) == 2


def test_reset_is_a_new_cloud_at_the_same_address(off):
    failed_finish(off)
    url = off.cloud.url
    off.cloud.reset(tracking=True)
    assert (off.cloud.url, off.cloud.servers, off.cloud.migrations, off.cloud.broken()) == (url, {}, [], [])
    bench = Bench(off.cloud)
    bench.migrate()
    assert bench.status() == "VERIFY_RESIZE"


def test_two_runs_of_a_seed_are_the_same():
    ids = []
    for _ in range(2):
        with MovesSim(seed=7) as cloud:
            ids.append([one.id for one in cloud.populate(2, 8, stopped=0.5, volumes=0.5, plain=1)])
            assert cloud.broken() == []
    assert ids[0] == ids[1]


def test_thirty_two_moves_at_once():
    with MovesSim() as cloud:
        servers = cloud.populate(9, 32, empty=5, per_host=8)
        client = Client(cloud.url)
        for one in servers:
            client.act(one.id, "migrate", None)
        cloud.settle()
        for one in servers:
            if client.server(one.id)["status"] == "VERIFY_RESIZE":
                client.act(one.id, "confirmResize")
        cloud.settle()
        moved = [one for one in cloud.migrations if one.status == "confirmed"]
        assert len(moved) >= 24  # some lose the race for a card, as in Nova
        assert cloud.happened.confirmed_unproven == []


def test_a_cloud_in_another_process(tmp_path):
    root = Path(__file__).resolve().parents[3]
    words = [sys.executable, "-m", "tests.sim.cloud", "--hosts", "2", "--servers", "3", "--folder", str(tmp_path)]
    process = subprocess.Popen(words, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        said = json.loads(process.stdout.readline())
        remote = RemoteSim(said["url"])
        assert json.loads(Path(said["clouds_yaml"]).read_text())["clouds"]["sim"]
        one = remote.server_state("vm-0001")
        remote.inject(one["host"], "ssh")
        Client(said["url"]).act(one["id"], "migrate")
        remote.settle()
        assert len(remote.rows(one["id"])) == 2
        assert len(remote.broken()) == 1
        with pytest.raises(Refused, match="404"):
            remote.nonsense()
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def test_another_clouds_clouds_yaml_is_left_alone(tmp_path):
    file = tmp_path / "clouds.yaml"
    file.write_text("somebody's")
    words = [sys.executable, "-m", "tests.sim.cloud", "--folder", str(tmp_path)]
    done = subprocess.run(
        words,
        cwd=Path(__file__).resolve().parents[3],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, file.read_text()) == (2, "somebody's")
    assert "has a clouds.yaml already" in done.stderr


def test_real_time_moves_it_without_any_help():
    with MovesSim(pace=0.001) as cloud:
        bench = Bench(cloud)
        bench.client.act(bench.id, "migrate", None)
        deadline = time.monotonic() + 30
        while bench.status() != "VERIFY_RESIZE":
            assert time.monotonic() < deadline
