"""What the chain does with Nova: aliases, the nova role, flavors, smoke servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuctl.errors import OperatorError
from gpuctl.up.configuration import release_of
from tests.unit.up.rig import changing, states


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
    assert "--nova-conductor: no host or group 'nova_conductor'" in said
    assert "say which hosts run it: --nova-conductor PATTERN" in said
    assert "--limit" not in said


def test_a_control_group_without_a_host_is_told_first(up, hosts, tmp_path):
    inventory = tmp_path / "inv.ini"
    inventory.write_text("[gpu]\ngpu01\n[nova_conductor]\n[nova_scheduler]\ngpu01\n[nova_api]\ngpu01\n")
    code, said = up("--nova-roles", "--reboot", inventory=str(inventory))
    assert (code, hosts.asked) == (2, [])
    assert "--nova-conductor nova_conductor leaves no host" in said


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
