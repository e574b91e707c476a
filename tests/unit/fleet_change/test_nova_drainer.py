"""`fleet prepare --drain` on a simulated cloud: its hosts emptied by real moves, changed by a simulated Ansible, given back."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("click")

from gpuctl.fleet.nova_drainer import NoNovaHost, NovaDrainer, nova_names
from gpuctl.fleet.prepare import FleetRun, Told, left
from gpuctl.fleet.run_state_journal import Journal, folder
from gpuctl.moves.drain.settings import Settings
from tests.unit.fleet_change.ansible_sim import SimAnsible, SimHost
from tests.unit.fleet_change.test_fleet_run import states, wish
from tests.unit.moves.drain.rig import made
from tests.unit.moves.engine.kit import OPTIONS, QUICK

HOSTS = ("gpu-0.rack", "gpu-1.rack", "gpu-2.rack")


@pytest.fixture
def rig(tmp_path, monkeypatch):
    found = made(tmp_path, monkeypatch, tracking=True)
    found.hosts(3)
    found.servers(3, volumes=1)
    found.servers(2, "gpu-1", volumes=1)
    yield found
    found.sim.__exit__(None, None, None)
    assert not found.sim.happened.bugs


def drainer(rig, *, reboot=True, **more):
    names = nova_names(dict.fromkeys(HOSTS, ""), rig.sim.hosts)
    settings = Settings(options=OPTIONS)
    return NovaDrainer(rig.cloud, names, reboot, lambda _: None, settings=settings, patience=0.0, pace=QUICK, **more)


def fleet(**faults):
    return SimAnsible({host: SimHost(fault=faults.get(host[:5].replace("-", ""), "")) for host in HOSTS})


def go(rig, ansible, one, journal=None, **wished):
    journal = journal or Journal.new(wish(drain=True, reboot=True, serial=("1",), max_fail=100.0, **wished), HOSTS)
    with journal:
        run = FleetRun(ansible, journal, Told(lambda _: None, 3), drainer=one)
        return run, {state.host: state for state in run.go(left(journal) if journal.states else list(HOSTS))}


def test_each_is_empty_when_it_is_changed_and_in_use_again_after(rig):
    ansible, seen = fleet(), []
    play = ansible.play

    def watched(name, heard, *, hosts, **more):
        for host in hosts:
            nova = host.partition(".")[0]
            seen.append((name, host, len(rig.on(nova)), rig.sim.hosts[nova].disabled))
        return play(name, heard, hosts=hosts, **more)

    ansible.play = watched
    _, found = go(rig, ansible, drainer(rig))
    assert set(states(found).values()) == {"done"}, found
    assert [one[2:] for one in seen] == [(0, True)] * 6  # prepare and reboot of each
    assert not any(host.disabled for host in rig.sim.hosts.values())
    assert sum(len(rig.on(f"gpu-{number}")) for number in range(3)) == 5
    assert {one.vm_state for one in rig.sim.servers.values()} == {"active"}


def test_not_ready_after_the_reboot_it_is_not_given_back_and_the_next_run_does(rig):
    ansible = fleet(gpu1="not-ready")
    _, found = go(rig, ansible, drainer(rig))
    assert states(found) == {HOSTS[0]: "done", HOSTS[1]: "failed", HOSTS[2]: "done"}
    assert "stays disabled" in found[HOSTS[1]].what
    assert [rig.sim.hosts[f"gpu-{number}"].disabled for number in range(3)] == [False, True, False]
    ansible.hosts[HOSTS[1]].fault = ""
    ansible.hosts[HOSTS[1]].live = False
    _, found = go(rig, ansible, drainer(rig), Journal.load("last"))
    assert set(states(found).values()) == {"done"}
    assert not any(host.disabled for host in rig.sim.hosts.values())


def test_somebody_elses_maintenance_stays(rig):
    rig.sim.hosts["gpu-1"].disabled = True
    rig.sim.hosts["gpu-1"].disabled_reason = "broken fan"
    _, found = go(rig, fleet(), drainer(rig))
    assert set(states(found).values()) == {"done"}
    assert rig.sim.hosts["gpu-1"].disabled
    assert rig.sim.hosts["gpu-1"].disabled_reason == "broken fan"


def test_a_host_that_cannot_be_emptied_is_not_touched(rig):
    rig.sim.set_server("gpu-0-vm-1", locked=True)
    ansible = fleet()
    _, found = go(rig, ansible, drainer(rig), canary=0)
    assert states(found) == {HOSTS[0]: "failed", HOSTS[1]: "done", HOSTS[2]: "done"}
    assert "locked" in found[HOSTS[0]].what
    assert (ansible.hosts[HOSTS[0]].writes, rig.sim.hosts["gpu-0"].disabled) == (0, False)
    assert {f"gpu-0-vm-{number}" for number in range(3)} <= rig.on("gpu-0")


def test_servers_without_cards_are_not_rebooted_away(rig):
    rig.sim.boot("web", "gpu-0", None)
    ansible = fleet()
    _, found = go(rig, ansible, drainer(rig), canary=0)
    assert "a reboot would end 1 server without GPUs on it: web" in found[HOSTS[0]].what
    assert (ansible.hosts[HOSTS[0]].writes, rig.sim.hosts["gpu-0"].disabled) == (0, False)


def test_interrupted_the_canary_is_not_changed_and_the_next_run_goes_on(rig):
    ansible, stopped = fleet(), []
    one = drainer(rig, stop=lambda: bool(stopped))
    one.told = lambda _: stopped.append(1)
    run, found = go(rig, ansible, one)
    assert run.interrupted
    assert (ansible.plays, states(found)[HOSTS[0]]) == ([], "unknown")
    assert rig.sim.hosts["gpu-0"].disabled
    assert "stays disabled" in found[HOSTS[0]].what
    _, found = go(rig, ansible, drainer(rig), Journal.load("last"))
    assert set(states(found).values()) == {"done"}, found
    assert not any(host.disabled for host in rig.sim.hosts.values())


def test_nova_compute_that_is_down_is_not_given_back(rig):
    one = drainer(rig)
    (trouble,) = one.drain(HOSTS[:1], lambda *_: None).values() or (None,)
    assert trouble is None
    rig.sim.stop_compute("gpu-0")
    trouble = one.enable(HOSTS[0], "whatever")
    assert "down" in trouble.what
    assert rig.sim.hosts["gpu-0"].disabled


def test_interrupted_before_a_drain_nothing_is_disabled(rig):
    one = drainer(rig, stop=lambda: True)
    assert one.drain(HOSTS, lambda *_: pytest.fail("taken")) == {}
    assert one.interrupted
    assert not any(host.disabled for host in rig.sim.hosts.values())


class TestNames:
    def test_the_variable_then_the_name_then_the_short_name(self):
        known = {"a.rack", "b", "c9"}
        assert nova_names({"a.rack": "", "b.rack": "", "c": "c9"}, known) == {
            "a.rack": "a.rack",
            "b.rack": "b",
            "c": "c9",
        }

    def test_what_is_not_there_is_told_with_what_is(self):
        with pytest.raises(NoNovaHost) as error:
            nova_names({"a": "", "b": "bb", "c": ""}, {"c", "d"})
        assert error.value.brief == "Nova has no compute host for a, b (gpuctl_nova_host: bb)"
        assert error.value.details == "Nova's hosts: c, d"
        assert "gpuctl_nova_host" in error.value.resolution
        assert error.value.exit_code == 2

    def test_two_that_are_one_are_refused(self):
        with pytest.raises(NoNovaHost, match="all a to Nova"):
            nova_names({"a": "", "a.rack": "", "b": "b"}, {"a", "b"})


class Command:
    """The command line, its Ansible a simulated one."""

    def __init__(self, ansible, variables):
        self.ansible, self.variables = ansible, variables

    def __call__(self, folder, access, stop):
        return self

    def hosts(self):
        return tuple(self.ansible.hosts)

    def stop(self):
        return False

    def variable(self, name, hosts):
        assert name == "gpuctl_nova_host"
        return {host: self.variables.get(host, "") for host in hosts}

    def play(self, *args, **more):
        return self.ansible.play(*args, **more)


@pytest.fixture
def command(rig, monkeypatch, capsys):
    from gpuctl.cli.main import main
    from gpuctl.fleet.ansible import collection, playbook

    def asked(ansible, *words, **variables):
        monkeypatch.setattr(playbook, "Ansible", Command(ansible, variables))
        monkeypatch.setattr(collection, "stage", lambda _: None)
        inventory = ",".join(ansible.hosts) + ","
        code = main(["fleet", "prepare", "-i", inventory, "--drain", "--os-cloud", "sim", "-f", "json", *words])
        out = capsys.readouterr()
        return code, json.loads(out.out) if out.out else None, out.err

    return asked


def test_the_command_drains_changes_gives_back_and_keeps_the_check(rig, command, capsys, tmp_path):
    from gpuctl.cli.main import main

    code, said, err = command(fleet(), "--reboot", "--yes")
    assert (code, err) == (0, ""), said
    assert not any(host.disabled for host in rig.sim.hosts.values())
    assert main(["fleet", "check", "--last", "-f", "json"]) == 0
    last = json.loads(capsys.readouterr().out)
    assert (last["run"], last["verb"], last["counts"]["ready"]) == (said["run"], "prepare", 3)
    assert main(["fleet", "prepare", "--last", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"] == said["summary"]
    assert main(["fleet", "restore", "--last"]) == 2
    assert main(["fleet", "report", said["run"], "-o", str(tmp_path / "page.html")]) == 0
    assert "gpu-2.rack" in (tmp_path / "page.html").read_text()


def test_nothing_is_drained_before_all_names_are_known(rig, command):
    ansible = fleet()
    ansible.hosts["elsewhere"] = SimHost()
    for words in (("--yes",), ("--dry-run",)):
        code, said, err = command(ansible, *words)
        assert (code, said) == (2, None)
        assert "Nova has no compute host for elsewhere" in err
        assert "Nova's hosts: gpu-0, gpu-1, gpu-2" in err
    assert ansible.plays == []
    assert not any(host.disabled for host in rig.sim.hosts.values())


def test_a_dry_run_with_a_drain_touches_nothing(rig, command):
    ansible = fleet()
    code, said, _ = command(ansible, "--dry-run")
    assert (code, said["schema"]) == (0, "gpuctl.fleet.plan/1")
    assert not any(host.disabled for host in rig.sim.hosts.values())
    assert len(rig.on("gpu-0")) == 3
    assert all(not host.writes for host in ansible.hosts.values())
    assert not folder().exists()
