"""Evacuation off a dead host: what is refused, what is never started, what is said afterwards."""

from __future__ import annotations

import pytest

from gpuctl.moves.drain.run import run
from gpuctl.moves.drain.service import enable_again
from gpuctl.moves.errors import Unsafe
from gpuctl.remote.errors import AuthenticationFailed, Unreachable
from tests.unit.moves.engine.kit import QUICK, SimLook


@pytest.fixture
def dead(rig_of):
    """Make a cloud whose gpu-0 is powered off: four servers on it, three of them running, all on volumes."""

    def make(**settings):
        rig = rig_of(**{"tracking": True, **settings})
        rig.hosts(3)
        rig.servers(3, volumes=1)
        rig.sim.boot("off", "gpu-0", "h100:1", running=False, volumes=1)
        rig.sim.stop_compute("gpu-0", machine=True)
        return rig

    return make


def evacuate(rig, **settings):
    return rig.drain(**{"evacuate": True, "confirmed_dead": "gpu-0", **settings})


def starts(rig):
    return [one for one in rig.sim.counts() if any(word in one for word in ("os-start", "reboot", "unshelve"))]


@pytest.mark.parametrize("tracking", [True, False])
def test_rebuilds_them_elsewhere_and_starts_nothing(dead, tracking):
    rig = dead(tracking=tracking)
    result = evacuate(rig)
    assert (result.exit_code, result.left) == (0, ())
    assert {rig.sim.server_state(one.server)["status"] for one in result.results} == {"SHUTOFF"}
    assert not starts(rig)
    assert rig.sim.happened.destroyed == []
    host = rig.sim.hosts["gpu-0"]
    assert host.forced_down
    assert host.disabled
    assert all("not to be started before nova-compute on gpu-0 is back" in one.detail for one in result.results)
    assert any("Do not start" in one for one in result.advice)
    assert any("gpuctl instance recover" in one for one in result.advice)
    double = [one for each in result.results for one in each.findings if one.id == "evacuated-double"]
    assert len(double) == (4 if tracking else 0)


def test_the_old_host_comes_back(dead):
    rig = dead(double=0.0)
    result = evacuate(rig)
    with pytest.raises(Unsafe, match="4 evacuations from gpu-0 have not ended"):
        enable_again(rig.cloud, "gpu-0", result.run)
    assert rig.sim.hosts["gpu-0"].forced_down
    rig.sim.start_compute("gpu-0")
    enable_again(rig.cloud, "gpu-0", result.run)
    host = rig.sim.hosts["gpu-0"]
    assert (host.forced_down, host.disabled) == (False, False)
    assert rig.sim.broken() == []


def test_a_host_that_is_up_is_not_evacuated(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    rig.servers(1)
    with pytest.raises(Unsafe, match="is up"):
        evacuate(rig)
    assert not rig.sim.hosts["gpu-0"].forced_down


def test_a_host_that_comes_back_while_the_plan_is_read_is_not_evacuated(dead):
    rig = dead()
    job = rig.prepare(evacuate=True, confirmed_dead="gpu-0")
    rig.sim.start_compute("gpu-0")
    with pytest.raises(Unsafe, match="is up"):
        run(job, pace=QUICK)
    assert not rig.sim.hosts["gpu-0"].forced_down
    assert not any("action" in one for one in rig.sim.counts())


def test_a_host_that_reports_although_it_is_forced_down_is_alive(dead):
    rig = dead()
    host = rig.sim.hosts["gpu-0"]
    host.up, host.forced_down = True, True
    with pytest.raises(Unsafe, match="forced down, and yet its service wrote its record"):
        evacuate(rig)
    assert not any("action" in one for one in rig.sim.counts())
    host.up, host.seen = False, rig.sim.clock.now - 61
    assert evacuate(rig).exit_code == 0


@pytest.mark.parametrize("typed", ["", "gpu-1", "gpu-00"])
def test_nobody_said_that_it_is_dead(dead, typed):
    rig = dead()
    with pytest.raises(Unsafe, match="has to be said") as found:
        evacuate(rig, confirmed_dead=typed)
    assert "powered off" in found.value.details
    assert not rig.sim.hosts["gpu-0"].forced_down
    assert not any("action" in one for one in rig.sim.counts())


class Silent:
    def __init__(self, error):
        self.error = error

    def look(self, host):
        raise self.error


def test_a_host_that_answers_is_alive(dead):
    rig = dead()
    asked = {"evacuate": True, "confirmed_dead": "gpu-0"}
    with pytest.raises(Unsafe, match="answers over SSH"):
        rig.prepare(hosts=SimLook(rig.sim), **asked)
    with pytest.raises(Unsafe, match="answers over SSH"):
        rig.prepare(hosts=Silent(AuthenticationFailed("no key")), **asked)
    assert rig.prepare(hosts=Silent(Unreachable("no route")), **asked).plan.total == 4


def test_local_disks_are_not_lost_unasked(dead):
    rig = dead()
    rig.sim.boot("local", "gpu-0", "h100:1")
    result = evacuate(rig)
    assert result.exit_code == 3
    assert [one.name for one in result.results if one.state == "refused"] == ["local"]
    assert not rig.sim.hosts["gpu-0"].forced_down
    assert evacuate(rig, accept_disk_loss=True).exit_code == 0


def test_states_that_are_not_evacuated(dead):
    rig = dead()
    rig.sim.set_server("gpu-0-vm-0", task_state="powering-off")
    rig.sim.set_server("gpu-0-vm-1", vm_state="error")
    rig.sim.set_server("gpu-0-vm-2", locked=True)
    plan = rig.prepare(evacuate=True, confirmed_dead="gpu-0").plan
    assert {one.server.name for one in plan.refused} == {"gpu-0-vm-0", "gpu-0-vm-2"}


def test_before_26_nova_starts_them_itself(dead):
    rig = dead(release=25, tracking=False)
    result = evacuate(rig)
    assert result.exit_code == 0
    assert sorted(rig.sim.server_state(one.server)["status"] for one in result.results) == ["ACTIVE"] * 3 + ["SHUTOFF"]
    assert not starts(rig)


def test_one_that_fails_and_again(dead):
    rig = dead(double=0.0)
    rig.sim.inject(None, "spawn", server="gpu-0-vm-1")
    result = evacuate(rig)
    assert result.exit_code in {1, 5}
    bad = next(one for one in result.results if one.state == "failed")
    assert bad.name == "gpu-0-vm-1"
    assert "instance recover" in bad.resolution


@pytest.mark.parametrize("kind", ["reset-after", "504-after"])
def test_a_lost_answer_is_looked_up_and_nothing_is_evacuated_twice(dead, kind):
    rig = dead(double=0.0)
    rig.sim.fail("POST", "action#evacuate", kind, times=2)
    result = evacuate(rig)
    assert result.exit_code == 0
    assert all(len(rig.sim.migrations_of(one.server)) == 1 for one in result.results)
