"""Several hosts, as `fleet prepare --drain` asks for them."""

from __future__ import annotations

from gpuctl.fleet.prepare import Drainer
from gpuctl.moves.drain.settings import Settings
from gpuctl.moves.drain.wave import Wave
from tests.unit.moves.engine.kit import OPTIONS


def wave(rig, **settings) -> Drainer:
    return Wave(rig.cloud, Settings(options=OPTIONS, **settings))


def test_a_wave_of_hosts_is_emptied_and_given_back(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(3, cards=4)
    rig.servers(1, "gpu-0", volumes=1)
    rig.servers(1, "gpu-1", volumes=1)
    one = wave(rig)
    assert one.drain(["gpu-0", "gpu-1"]) == {}
    assert len(rig.on("gpu-2")) == 2  # none of them went to the other that was to be drained
    assert one.enable(["gpu-0"]) == {}
    assert (rig.sim.hosts["gpu-0"].disabled, rig.sim.hosts["gpu-1"].disabled) == (False, True)
    assert wave(rig).enable(["gpu-1"]) == {}  # another process: the reason tells whose it is
    assert not rig.sim.hosts["gpu-1"].disabled


def test_says_why_a_host_is_not_empty(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2, cards=1)
    rig.servers(1, "gpu-0")
    rig.servers(1, "gpu-1")
    problems = wave(rig).drain(["gpu-0", "nowhere"])
    assert "no other host has room" in problems["gpu-0"]
    assert "no compute host" in problems["nowhere"]


def test_gives_back_nothing_that_is_somebody_elses(rig_of):
    rig = rig_of(tracking=True)
    rig.hosts(2)
    host = rig.sim.hosts["gpu-0"]
    host.disabled, host.disabled_reason = True, "fan broken"
    assert wave(rig).drain(["gpu-0"]) == {}
    assert "was not disabled by" in wave(rig).enable(["gpu-0"])["gpu-0"]
    assert host.disabled
