"""Sections 6 and 9 of facts/openstack-lab.md: evacuation."""

from __future__ import annotations

import pytest

from tests.sim.cloud.client import Refused
from tests.sim.test_cloud.bench import force_down


def evacuated(bench):
    bench.cloud.stop_compute("gpu-a", machine=True)
    force_down(bench, True)
    assert bench.act("evacuate", {"host": "gpu-b"})[0] == 200


def test_evacuate(bench):
    evacuated(bench)
    assert (bench.status(), bench.hosts_of_rows(), bench.records()) == (
        "SHUTOFF",
        ["gpu-a", "gpu-b"],
        [("done", "gpu-a", "gpu-b")],
    )
    assert (bench.domain("gpu-a"), bench.domain("gpu-b"), bench.folders("gpu-a"), bench.folders("gpu-b")) == (
        False,
        False,
        ["X"],
        ["X"],
    )
    assert bench.roots() == ["gpu-a", "gpu-b"]
    if bench.cloud.tracking:
        assert [name[:5] for name in bench.cards_in_placement()] == ["gpu-a", "gpu-b", "gpu-b"]


def test_evacuate_then_start(bench):
    evacuated(bench)
    bench.act("os-start")
    assert (bench.status(), bench.fault(), bench.domain("gpu-b")) == ("SHUTOFF", {}, None)
    assert bench.client.events(bench.id) == ("Error", {"compute_start_instance": "KeyError"})


def test_evacuate_then_the_old_host_returns(bench):
    evacuated(bench)
    with pytest.raises(Refused, match=r"400.*Unable to force up host gpu-a as `done` evacuation"):
        force_down(bench, False)
    bench.cloud.start_compute("gpu-a")
    assert bench.client.get("/os-services?host=gpu-a")["services"][0]["state"] == "down"
    assert force_down(bench, False)["state"] == "up"
    assert (bench.records(), bench.hosts_of_rows(), bench.domain("gpu-a"), bench.folders("gpu-a")) == (
        [("completed", "gpu-a", "gpu-b")],
        ["gpu-b"],
        None,
        [],
    )
    bench.act("os-start")
    assert (bench.status(), len(bench.cards_in_placement())) == ("ACTIVE", 2 if bench.cloud.tracking else 0)
    assert len(bench.cloud.broken()) == (1 if bench.cloud.tracking else 0)


def test_evacuate_needs_a_dead_host(off):
    assert "Compute service of gpu-a is still in use." in off.refusal("evacuate", {"host": "gpu-b"})


def test_evacuate_below_2_95_starts_the_guest(off):
    off.cloud.stop_compute("gpu-a", machine=True)
    assert off.act("evacuate", {"host": "gpu-b"}, version="2.94")[0] == 200
    assert (off.status(), off.domain("gpu-b")) == ("ACTIVE", True)
