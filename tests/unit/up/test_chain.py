"""The chain on simulated hosts and a cloud in memory: what it does, what holds, how it goes on where it was left."""

from __future__ import annotations

import json

import pytest

from gpuctl.fleet import history
from gpuctl.up.state import State, place
from tests.unit.up.rig import CARDS, changing, runs_of, states


def test_from_bare_to_sellable(up, hosts, cloud, tmp_path):
    code, document = up("--reboot")
    assert code == 0, document
    assert set(states(document).values()) == {"done"}
    assert [row["phase"] for row in document["phases"]] == [
        "check", "prepare", "verify", "configuration", "flavors", "smoke",
    ]  # fmt: skip
    # the canary goes through its reboot before the next host is touched
    assert changing(hosts) == [
        ("prepare", ("gpu01",)), ("reboot", ("gpu01",)), ("prepare", ("gpu02",)), ("reboot", ("gpu02",)),
    ]  # fmt: skip
    sold = document["sellable"]
    assert (sold["proven"], sold["hosts"]) == (True, ["gpu01", "gpu02"])
    assert [(card["model"], card["alias"], card["count"]) for card in sold["cards"]] == [("10de:1b80", "gtx1080", 4)]
    assert {one["name"]: (one["gpus"], one["open_to"]) for one in sold["flavors"]} == {
        "gpu.gtx1080.1": ("gtx1080:1", []),
        "gpu.gtx1080.2": ("gtx1080:2", []),
    }
    assert cloud.booted == ["gtx1080:1"], "one server of the model, the smallest"
    assert cloud.servers == []
    assert "gtx1080" in (tmp_path / "out/nova/api.conf").read_text()
    trail, bad = history.read(document["run"])
    assert (bad, trail[0]["verb"], trail[0]["result"]) == (0, "up", "done")
    assert set(trail[0]["changes"]) == {"gpu01", "gpu02"}
    assert any(CARDS in line for line in trail[0]["changes"]["gpu01"])


@pytest.mark.slow
def test_what_holds_is_left_alone(up, hosts, cloud):
    assert up("--reboot")[0] == 0
    hosts.plays.clear()
    hosts.asked.clear()
    writes = len(cloud.writes())
    code, document = up("--reboot", "--no-smoke")
    assert code == 0
    assert states(document) == {
        **dict.fromkeys(("check", "prepare", "verify", "configuration", "flavors"), "holds"),
        "smoke": "not-asked",
    }
    assert (hosts.plays, len(cloud.writes()) - writes) == ([], 0)
    assert len(hosts.asked) == 1, "nothing was changed: the first look's answer stands"
    assert document["phases"][1]["earlier_seconds"] is not None
    assert document["sellable"]["proven"] is False


@pytest.mark.slow
def test_the_state_file_is_never_believed(up, hosts):
    """A host that was prepared, and is not any more, is prepared again whatever an earlier run noted."""
    from tests.unit.up.rig import request

    assert up("--reboot", "--no-smoke")[0] == 0
    sim = hosts.hosts["gpu02"]
    plan, _ = request(sim, command="restore", phase="plan")
    request(sim, command="restore", phase="apply", fingerprint=plan["fingerprint"])
    sim.reboot()
    hosts.plays.clear()
    code, document = up("--reboot", "--no-smoke")
    assert code == 0
    assert changing(hosts) == [("prepare", ("gpu02",)), ("reboot", ("gpu02",))]
    assert states(document)["prepare"] == "done"


@pytest.mark.slow
def test_without_leave_to_reboot_it_stops_there(up, hosts, cloud):
    code, document = up()
    assert code == 4
    assert states(document) == {"check": "done", "prepare": "waiting"}
    assert changing(hosts) == [("prepare", ("gpu01",)), ("prepare", ("gpu02",))]
    assert document["sellable"]["hosts"] == []
    assert cloud.writes() == []
    for sim in hosts.hosts.values():
        sim.reboot()
    code, document = up("--no-smoke")
    assert (code, states(document)["prepare"]) == (0, "holds"), "a person has rebooted them"


@pytest.mark.slow
def test_killed_after_prepare_the_same_line_goes_on(up, hosts):
    hosts.kill_after = "prepare"
    code, document = up("--reboot")
    assert (code, document["interrupted"]) == (130, True)
    assert states(document) == {"check": "done", "prepare": "interrupted"}
    assert document["phases"][-1]["evidence"][0].startswith(
        "how far it came on each host: gpuctl fleet history --run 2"
    )
    assert runs_of(hosts) == {"gpu01": 1, "gpu02": 0}
    code, document = up("--reboot")
    assert code == 0, document
    assert document["sellable"]["hosts"] == ["gpu01", "gpu02"]
    assert runs_of(hosts) == {"gpu01": 1, "gpu02": 1}, "gpu01 was changed, and changed again"


def test_nothing_is_touched_by_a_dry_run_or_without_a_yes(up, hosts, cloud, tmp_path):
    code, document = up("--dry-run", "--reboot")
    assert code == 0
    assert document["reboot"] == {"hosts": ["gpu01", "gpu02"], "asked_again": False}
    assert [one["action"] for one in document["flavors"]] == ["create", "create"]
    assert document["smoke"] == ["gtx1080"]
    code, said = up(yes=False)
    assert code == 2
    assert "--yes" in said
    assert (changing(hosts), cloud.writes(), (tmp_path / "out").exists()) == ([], [], False)


def test_two_at_one_inventory(up, hosts, tmp_path):
    path = place(("gpu01,gpu02",), "")
    with State(path, ("gpu01,gpu02",), ""):
        code, said = up("--reboot")
    assert (code, hosts.asked) == (75, [])
    assert "pid" in said


@pytest.mark.slow
def test_a_spoilt_state_file_says_nothing(up):
    path = place(("gpu01,gpu02",), "")
    path.parent.mkdir(parents=True)
    path.write_text('{"phases": [1, 2')
    assert up("--reboot", "--no-smoke")[0] == 0
    assert set(json.loads(path.read_text())["phases"]) == {
        "check", "prepare", "verify", "configuration", "flavors", "smoke",
    }  # fmt: skip
