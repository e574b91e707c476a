"""Hosts on the chain's way: dead, refusing, not ready, not bare, not in Nova."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.up.rig import changing, states


@pytest.mark.slow
def test_a_dead_and_a_refusing_host_do_not_stop_the_others(up, hosts):
    hosts.dead.add("gpu01")
    code, document = up("--reboot")
    assert code == 5
    assert [(one["host"], one["phase"]) for one in document["left_out"]] == [("gpu01", "check")]
    assert document["sellable"]["hosts"] == ["gpu02"]
    assert states(document)["smoke"] == "done"


def test_all_refused_is_3_all_dead_is_6(up, hosts):
    for sim in hosts.hosts.values():
        Path(sim.tree.at("/sys/firmware/acpi/tables/DMAR")).unlink()
    code, document = up("--reboot")
    assert code == 3, document
    assert {one["phase"] for one in document["left_out"]} == {"prepare"}
    assert all(one["resolution"] for one in document["left_out"])
    hosts.dead |= {"gpu01", "gpu02"}
    assert up("--reboot")[0] == 6
    assert changing(hosts) == []


@pytest.mark.slow
def test_a_host_is_asked_itself_whether_it_is_ready(up, hosts):
    hosts.lying.add("gpu02")
    code, document = up("--reboot", "--no-smoke")
    assert (code, states(document)["verify"]) == (5, "part")
    (left,) = document["left_out"]
    assert (left["host"], left["phase"]) == ("gpu02", "verify")
    assert "iommu-enabled" in left["why"]
    assert left["resolution"]
    assert document["sellable"]["hosts"] == ["gpu01"]


@pytest.mark.slow
def test_a_host_with_servers_is_not_bare(up, hosts, cloud):
    cloud.guests = {"gpu02": ["somebody's"]}
    code, document = up("--reboot", "--no-smoke")
    assert code == 5
    assert changing(hosts) == [("prepare", ("gpu01",)), ("reboot", ("gpu01",))]
    assert "1 servers" in document["left_out"][0]["why"]
    assert "--drain" in document["left_out"][0]["resolution"]


@pytest.mark.parametrize(("state", "word"), [(None, "does not know"), ("down", "down"), ("disabled", "disabled")])
@pytest.mark.slow
def test_a_host_that_nova_does_not_use_is_not_sold(up, cloud, state, word):
    cloud.computes = {"gpu01.example.com": "up", **({"gpu02": state} if state else {})}
    code, document = up("--reboot", "--no-smoke")
    assert code == 5
    assert document["sellable"]["hosts"] == ["gpu01"], "Nova may call it by its FQDN"
    (left,) = document["left_out"]
    assert (left["host"], left["phase"]) == ("gpu02", "configuration")
    assert word in left["why"]


@pytest.mark.slow
def test_no_host_known_to_nova_waits_for_somebody(up, cloud, hosts):
    cloud.computes = {}
    code, document = up("--reboot")
    assert code == 5
    assert states(document)["configuration"] == "waiting"
    assert any("to be laid down" in line for line in document["phases"][3]["evidence"])
    assert cloud.writes() == [], "no flavor for hosts that are not there"
