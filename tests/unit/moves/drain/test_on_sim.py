"""Drains on the simulated cloud: what ends where, what is left, and what the service is."""

from __future__ import annotations

import threading

import pytest

from gpuctl.moves.drain.caps import Caps
from gpuctl.moves.drain.record import Record, path_of, read
from gpuctl.moves.drain.run import drain_host
from gpuctl.moves.drain.service import NoSuchHost, enable_again
from gpuctl.moves.drain.settings import MaxFail, Settings
from gpuctl.moves.errors import Busy, Unsafe
from gpuctl.moves.journal import Journal
from gpuctl.moves.nova_api import NovaApi
from gpuctl.moves.watch import Watch
from tests.unit.moves.engine.kit import OPTIONS, QUICK, SimLook


@pytest.mark.parametrize("tracking", [True, False])
def test_drains_a_host(rig_of, tracking):
    rig = rig_of(tracking=tracking)
    rig.hosts(3)
    rig.servers(5)
    rig.sim.boot("plain", "gpu-0", "")
    result = rig.drain(caps=Caps(3, None, 3))
    assert (result.exit_code, result.state, result.left, result.staying) == (0, "done", (), ("plain",))
    assert rig.on("gpu-0") == {"plain"}
    assert rig.sim.broken() == []
    assert rig.under_way() == 3
    assert rig.sim.hosts["gpu-0"].disabled
    assert rig.sim.hosts["gpu-0"].disabled_reason.startswith(f"gpuctl drain {result.run} by ")
    assert "service set --enable gpu-0" in result.advice[0]


def test_what_cannot_go_stops_all_and_nothing_is_touched(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    rig.servers(3)
    rig.sim.set_server("gpu-0-vm-1", locked=True)
    before = rig.sim.state()["hosts"]
    rig.sim.clear_counts()
    result = rig.drain()
    assert (result.exit_code, result.state) == (3, "refused")
    assert not [one for one in rig.sim.counts() if not one.startswith(("GET", "POST /identity"))]
    assert rig.sim.state()["hosts"] == before
    assert not path_of("sim", "gpu-0").exists()
    result = rig.drain(skip_failing=True)
    assert (result.exit_code, result.left) == (5, ("gpu-0-vm-1",))
    assert rig.states(result) == {"done": 2, "refused": 1}


def test_no_room_anywhere(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2, cards=3)
    rig.servers(3)
    rig.servers(2, "gpu-1")
    job = rig.prepare()
    assert len(job.plan.refused) == 2
    assert job.refused
    result = rig.drain(skip_failing=True)
    assert (result.exit_code, rig.states(result)) == (5, {"done": 1, "refused": 2})
    rig.sim.boot("last", "gpu-0", "h100:1")
    assert rig.drain(skip_failing=True).exit_code == 3  # nobody could go


def test_anti_affinity_is_kept(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(4)
    apart = [rig.sim.boot(f"apart-{n}", "gpu-0", "h100:1") for n in range(2)]
    there = rig.sim.boot("there", "gpu-1", "h100:1")
    rig.sim.group("apart", "anti-affinity", [*apart, there])
    assert rig.drain().exit_code == 0
    assert {rig.sim.servers[one.id].host for one in apart} == {"gpu-2", "gpu-3"}


def test_an_empty_host_is_disabled_and_done(rig_of):
    rig = rig_of()
    rig.hosts(2)
    result = rig.drain()
    assert (result.exit_code, result.results) == (0, ())
    assert rig.sim.hosts["gpu-0"].disabled


def test_a_server_that_appears_meanwhile_is_told(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    rig.servers(1)

    def heard(progress, tally):
        if progress.result is not None:
            rig.sim.boot("new", "gpu-0", "h100:1")

    result = rig.drain(heard=heard)
    assert (result.exit_code, result.left) == (5, ("new",))


def test_hosts_that_are_looked_at_and_the_way_back(rig_of):
    rig = rig_of(tracking=False)
    rig.hosts(3, cards=2)
    rig.servers(2)
    rig.sim.occupy("gpu-1", "0000:04:00.0")
    job = rig.prepare(hosts=SimLook(rig.sim))
    assert len({one.planned.move.to for one in job.plan.entries}) >= 1
    assert all(one.planned.move.to for one in job.plan.entries)  # named: the hosts show their cards


# ---------------------------------------------------------------- the service


def test_a_service_that_was_disabled_before_stays_whose_it_is(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    rig.servers(1)
    host = rig.sim.hosts["gpu-0"]
    host.disabled, host.disabled_reason = True, "fan broken"
    result = rig.drain()
    assert result.exit_code == 0
    assert host.disabled_reason == "fan broken"
    assert "was disabled before (fan broken)" in result.advice[0]
    with pytest.raises(Unsafe, match="not disabled by drain"):
        enable_again(rig.cloud, "gpu-0", result.run)
    assert host.disabled


def test_what_a_drain_disabled_it_gives_back(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    rig.servers(1)
    result = rig.drain()
    with pytest.raises(Unsafe):
        enable_again(rig.cloud, "gpu-0", "another")
    assert rig.sim.hosts["gpu-0"].disabled
    enable_again(rig.cloud, "gpu-0", result.run)
    assert not rig.sim.hosts["gpu-0"].disabled
    (past,) = read(path_of("sim", "gpu-0"))
    assert past.over
    assert past.before.enabled


def test_that_it_could_not_be_disabled_moves_nobody(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    rig.servers(2)
    rig.sim.fail("PUT", "/os-services/", 403)
    with pytest.raises(Exception, match="not allowed"):
        rig.drain()
    assert len(rig.on("gpu-0")) == 2
    assert not any("action" in one for one in rig.sim.counts())


def test_a_lost_answer_to_the_disabling(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    rig.servers(1)
    rig.sim.fail("PUT", "/os-services/", "reset-after")
    assert rig.drain().exit_code == 0


def test_one_drain_of_a_host_at_a_time(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    rig.servers(1)
    with Record.open("sim", "gpu-0"), pytest.raises(Busy, match="pid"):
        rig.drain()


def test_a_server_that_another_gpuctl_moves(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    (one, _) = rig.servers(2)
    with Journal.open("sim", one):
        result = rig.drain(max_fail=MaxFail(2))
    assert (result.exit_code, rig.states(result)) == (5, {"done": 1, "refused": 1})


def test_no_such_host(rig_of):
    rig = rig_of()
    rig.hosts(1)
    with pytest.raises(NoSuchHost):
        rig.drain("nowhere")
    with pytest.raises(NoSuchHost):
        rig.drain(only=("nowhere",))


def test_a_nova_that_does_not_show_cards_is_refused(rig_of):
    rig = rig_of()
    rig.sim.configure(newest="2.40")
    rig.hosts(2)
    rig.servers(1)
    with pytest.raises(Unsafe, match=r"2\.47"):
        rig.drain()


def test_as_a_function_from_another_thread(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    rig.servers(2)
    found = []
    thread = threading.Thread(
        target=lambda: found.append(drain_host(rig.cloud, "gpu-0", Settings(options=OPTIONS), pace=QUICK))
    )
    thread.start()
    thread.join(60)
    assert found[0].exit_code == 0


@pytest.mark.slow
def test_thirty_two_with_caps_of_four(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(5, cards=32)
    rig.servers(32)
    result = rig.drain(caps=Caps(4, None, 2))
    assert (result.exit_code, rig.states(result)) == (0, {"done": 32})
    assert rig.under_way() == 4
    assert rig.sim.broken() == []


def test_a_poll_is_two_requests_however_many_moves(rig_of):
    rig = rig_of()
    rig.hosts(1)
    rig.servers(8)
    api = NovaApi.of(rig.cloud.service("compute"))
    for watched in (api.servers()[:1], api.servers()):
        watch = Watch(api)
        for one in watched:
            watch.add(one, ())
        before = api.service.asked
        watch.poll()
        assert api.service.asked - before == 2


def test_one_that_is_away_and_not_at_rest_is_not_done(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    (one, _) = rig.servers(2, volumes=1)
    rig.sim.set_server("gpu-0-vm-1", locked=True)
    assert rig.drain(skip_failing=True).exit_code == 5
    rig.sim.set_server(one, vm_state="error")
    rig.sim.set_server("gpu-0-vm-1", locked=False)
    result = rig.drain()
    assert (result.exit_code, rig.states(result)) == (5, {"done": 1, "failed": 1})
    assert [each.resolution for each in result.results if each.state == "failed"] == [f"gpuctl instance recover {one}"]


def test_a_soft_deleted_server_keeps_its_host_from_being_empty(rig_of):
    """Nova lists it for nobody who does not ask, and it has its card until it is reclaimed."""
    rig = rig_of(tracking=True)
    rig.hosts(2)
    rig.servers(2)
    rig.sim.set_server("gpu-0-vm-0", vm_state="soft-delete")
    result = rig.drain()
    assert rig.states(result) == {"done": 1}
    assert result.left == ("gpu-0-vm-0 (soft-deleted: it can be restored, and keeps its cards)",)
    assert (result.exit_code, result.empty) == (5, False)
