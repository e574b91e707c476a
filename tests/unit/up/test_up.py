"""The chain on simulated hosts and a cloud in memory: what it does, what it leaves alone, where it stops."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from gpuctl.errors import OperatorError
from gpuctl.fleet import history
from gpuctl.up.configuration import release_of
from gpuctl.up.state import State, place

CARDS = "/etc/gpuctl/cards"


def states(document):
    return {row["phase"]: row["state"] for row in document["phases"]}


def changing(hosts):
    return [(name, names) for name, names, check in hosts.plays if not check]


def runs_of(hosts):
    """How often each host was changed, by its own journal."""
    return {name: len(list(Path(sim.tree.at("/var/lib/gpuctl/runs")).glob("*"))) for name, sim in hosts.hosts.items()}


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


@pytest.mark.slow
def test_an_alias_that_the_api_does_not_know_waits_for_somebody(up, cloud):
    cloud.aliases = set()
    code, document = up("--reboot")
    assert (code, states(document)["smoke"]) == (5, "waiting")
    assert "PCI alias gtx1080 is not defined" in document["phases"][-1]["evidence"][0]
    assert document["sellable"]["proven"] is False
    cloud.aliases = {"gtx1080"}
    code, document = up("--reboot")
    assert (code, states(document)["smoke"], cloud.servers) == (0, "done", [])


@pytest.mark.slow
def test_while_it_waits_the_alias_may_come(up, cloud, monkeypatch):
    """The files are laid down by somebody while the chain waits; no server was made before."""
    cloud.aliases = set()
    waits = []

    def pause(seconds):
        waits.append(seconds)
        cloud.aliases.add("gtx1080")

    from gpuctl.up import smoke

    asked = smoke._accepted
    monkeypatch.setattr(smoke, "_accepted", lambda wish, means, *more: asked(wish, _paused(means, pause), *more))
    code, _ = up("--reboot", "--wait", "60")
    assert (code, len(waits), cloud.booted) == (0, 1, ["gtx1080:1"])


def _paused(means, pause):
    from dataclasses import replace

    return replace(means, pause=pause)


@pytest.mark.slow
def test_a_smoke_server_that_does_not_boot_is_a_failure(up, cloud):
    cloud.fate = "ERROR"
    code, document = up("--reboot")
    assert (code, states(document)["smoke"], cloud.servers) == (1, "failed", [])
    assert "No valid host" in " ".join(document["phases"][-1]["evidence"])


@pytest.mark.slow
def test_the_nova_role_gets_the_folder_and_the_hosts(up, hosts, tmp_path):
    inventory = tmp_path / "inv.ini"
    inventory.write_text("[gpu]\ngpu01\ngpu02\n[nova_api]\nctl\n[nova_scheduler]\nctl\n[cond]\nctl\n")
    words = ("--limit", "gpu", "--nova-roles", "--nova-conductor", "cond", "--reboot", "--no-smoke")
    code, document = up(*words, inventory=str(inventory))
    assert code == 0, document
    assert hosts.plays[-1] == ("nova", ("gpu01", "gpu02", "ctl"), False)
    assert hosts.variables[-1] == {
        "nova_source": str(tmp_path / "out/nova"),
        "nova_compute_hosts": "gpu01,gpu02",
        "nova_conductor_hosts": "ctl",
        "nova_scheduler_hosts": "ctl",
        "nova_api_hosts": "ctl",
    }
    hosts.broken_nova = "ctl"
    code, document = up(*words, inventory=str(inventory))
    assert (code, states(document)["configuration"]) == (5, "failed")
    assert "ctl: nova-api does not run" in document["phases"][3]["evidence"]


def test_nova_roles_without_a_control_host_is_told_first(up, hosts):
    code, said = up("--nova-roles", "--reboot")
    assert code == 2
    assert hosts.asked == hosts.plays == []
    assert "nova_conductor" in said


@pytest.mark.slow
def test_a_catalogue_in_place_of_planned_flavors(up, cloud, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "schema: gpuctl.flavor.catalogue/1\ncatalogue: mine\nflavors:\n"
        "  - {name: g1, vcpus: 2, ram: 4 GiB, disk: 10, gpus: [{alias: gtx1080, count: 1}], access: [research]}\n"
    )
    code, document = up("--reboot", "--catalogue", str(file), sizes=())
    assert code == 0, document
    assert [(one["name"], len(one["open_to"])) for one in document["sellable"]["flavors"]] == [("g1", 1)]
    assert not (tmp_path / "out/planned-flavors.yaml").exists()


def test_sizes_that_nobody_says_are_asked_for_before_anything_is_done(up, hosts):
    code, said = up("--reboot", sizes=())
    assert code == 2
    assert "--cpus" in said
    assert changing(hosts) == []


def test_without_a_cloud_nothing_is_asked_of_a_host(up, hosts, cloud, monkeypatch):
    monkeypatch.setenv("OS_CLOUD", "nosuch")
    assert up("--reboot")[0] == 2
    monkeypatch.setenv("OS_CLOUD", "sim")
    cloud.fail("GET", "/os-services", 403)
    assert up("--reboot")[0] == 6
    assert hosts.asked == []


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


class Person(io.StringIO):
    """Somebody at a terminal, who types this."""

    def isatty(self):
        return True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "code", "plays"),
    [
        ("n\n", 130, []),
        ("y\nn\n", 4, ["prepare", "prepare"]),
        # the hosts are rebooted one after the other, each by a run of its own kind: nothing is left to prepare there
        ("y\ny\n", 0, ["prepare", "prepare", "prepare", "reboot", "prepare", "reboot"]),
    ],
)
def test_a_person_is_asked_once_and_again_before_the_reboot(up, hosts, monkeypatch, typed, code, plays):
    monkeypatch.setattr("sys.stdin", Person(typed))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert up("--no-smoke", yes=False)[0] == code
    assert [name for name, _ in changing(hosts)] == plays
    assert set(runs_of(hosts).values()) == {1 if plays else 0}


@pytest.mark.slow
def test_what_a_person_sees(up, hosts):
    hosts.dead.add("gpu01")
    code, text = up("--dry-run", form="table")
    assert code == 5
    assert "write /etc/gpuctl/cards" in text
    assert "it asks again before that" in text
    assert "2 to create" in text
    assert "gpu01  left out at check" in text
    code, text = up("--reboot", "--no-smoke", form="table")
    assert code == 5
    lines = text.splitlines()
    assert [line.split()[1] for line in lines if line[:1] in "✔!?" and " s " in line] == [
        "check", "prepare", "verify", "configuration", "flavors", "smoke",
    ]  # fmt: skip
    assert "Can be sold now, not proven by a server" in text
    assert "see its power" in text
    assert "nobody yet" in text


def test_the_release_is_what_the_api_shows_or_what_was_said():
    assert release_of(None, (2, 104)).number == 34
    assert release_of("2025.1", (2, 104)).number == 31
    with pytest.raises(OperatorError, match="which release") as told:
        release_of(None, (2, 100))
    assert "--release" in told.value.resolution
    with pytest.raises(OperatorError):
        release_of(None, (2, 999))


def test_a_disabled_host_is_not_waited_for_one_that_is_down_is():
    from gpuctl.cloud import Cloud
    from gpuctl.moves.model import Compute
    from gpuctl.up.configuration import wait_for_computes
    from gpuctl.up.hosts import HostView
    from gpuctl.up.wish import Means, UpWish

    class Nova:
        def __init__(self, *answers):
            self.answers = list(answers)

        def computes(self):
            return {"gpu01": self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]}

    down, disabled, good = (
        Compute("1", "gpu01", enabled=one != "disabled", up=one != "down") for one in ("down", "disabled", "good")
    )
    waited = []
    means = Means(None, None, Cloud("x", None), None, pause=waited.append)
    wish, views = UpWish(("gpu01,",), Path("out"), wait=60), [HostView("gpu01", "ready")]
    assert len(wait_for_computes(wish, means, Nova(disabled), views)) == 1
    assert waited == []
    assert wait_for_computes(wish, means, Nova(down, down, good), views) == []
    assert len(waited) == 2
    assert len(wait_for_computes(wish, means, Nova(down), views)) == 1
    assert sum(waited[2:]) == 60
