"""Over generated hosts: prepare is idempotent, restore is exact, twins stay apart, the host keeps what it needs."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from tests.property.scenario import difference, simulated
from tests.sim.strategies import hosts

pytestmark = pytest.mark.property
EXAMPLES = int(os.environ.get("GPUCTL_EXAMPLES", "40"))
rounds = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
AUDIO = st.sampled_from(("remove", "remove", "bind", "leave"))
DONE, REBOOT, REFUSED = 0, 4, 3


def choose(data, machine):
    """Some of the machine's NVIDIA GPUs, by address; and the addresses of their functions."""
    gpus = [item for item in machine.functions if item.vendor == "10de" and item.cls[:2] == "03"]
    chosen = data.draw(st.lists(st.sampled_from(gpus), min_size=1, unique=True), label="selected")
    members = {item.address for item in machine.functions for gpu in chosen if item.slot == gpu.slot}
    return [gpu.address for gpu in chosen], members


def refused_without_a_touch(watched, files, drivers):
    """Refused means that nothing has changed at all."""
    assert not difference(files, watched.files())
    assert watched.host.drivers() == drivers
    assert not watched.writes
    event("refused")


def endangered(machine, members):
    """Whether a card shares its group with an endpoint that stays with the host: with the IOMMU off nobody can know."""
    groups = {item.group for item in machine.functions if item.address not in members and not item.is_bridge}
    return any(item.group in groups for item in machine.functions if item.address in members)


def never(watched, members):
    """What must not happen on any host, whatever was asked."""
    assert not [path for path, _ in watched.writes if path.endswith("new_id")]
    strangers = watched.vfio_had() - members
    assert not strangers, f"bound without being selected: {strangers}"
    needed = watched.needed()
    touched = [(path, data) for path, data in watched.writes if any(address in f"{path} {data}" for address in needed)]
    assert not touched, f"written to what the host lives on: {touched}"


@rounds
@given(machine=hosts(), audio=AUDIO, data=st.data())
def test_prepare_twice_writes_nothing_the_second_time(machine, audio, data):
    """The second prepare plans nothing and changes nothing, before the reboot and after it."""
    with simulated(machine) as watched:
        selected, members = choose(data, machine)
        files, drivers = watched.files(), watched.host.drivers()
        iommu = watched.host.kernel.iommu
        code, plan, result = watched.change("prepare", gpus=selected, audio=audio)
        note(f"{code} {result.get('verdict')} {plan.get('refusals')}")
        if code == REFUSED:
            refused_without_a_touch(watched, files, drivers)
            return
        assert code in (DONE, REBOOT), result
        for after in ("at once", "after a reboot"):
            files, writes = watched.files(), len(watched.writes)
            builds = len(watched.host.builds)
            again, plan, result = watched.change("prepare", gpus=selected, audio=audio)
            if again == REFUSED and after == "after a reboot" and not iommu and endangered(machine, members):
                event("the groups, seen at last, say no")  # without an IOMMU nobody could have known
                return
            assert again in (DONE, REBOOT), result
            assert plan["changes"] == [], f"{after}: {[(item['kind'], item['target']) for item in plan['changes']]}"
            assert not difference(files, watched.files())
            assert (len(watched.writes), len(watched.host.builds)) == (writes, builds)
            if after == "at once":
                watched.reboot()
        never(watched, members)


@rounds
@given(machine=hosts(), audio=AUDIO, data=st.data())
def test_prepared_cards_are_on_vfio_after_a_reboot_and_everything_else_is_as_it_was(machine, audio, data):
    """And it holds over a rescan; the audio is gone, bound or left, as was asked."""
    with simulated(machine) as watched:
        selected, members = choose(data, machine)
        files, drivers = watched.files(), watched.host.drivers()
        code, _, result = watched.change("prepare", gpus=selected, audio=audio)
        if code == REFUSED:
            refused_without_a_touch(watched, files, drivers)
            return
        assert code in (DONE, REBOOT), result
        watched.reboot()
        for when in ("booted", "rescanned"):
            if when == "rescanned":
                watched.host.poke("/sys/bus/pci/rescan", "1")
            now = watched.host.drivers()
            assert watched.host.names("/sys/kernel/iommu_groups"), "the IOMMU is off"
            for item in machine.functions:
                sound = item.cls.startswith("0403")
                if item.address not in members or (sound and audio == "leave"):
                    if item.slot.startswith(tuple(address.rpartition(".")[0] for address in members)):
                        continue  # left to the host: on its driver or, blacklisted for the others' sake, on none
                    assert now.get(item.address) == drivers.get(item.address), f"{when}: {item.address}"
                elif sound and audio == "remove":
                    assert item.address not in now, f"{when}: {item.address}"
                else:
                    assert "vfio" in (now[item.address] or ""), f"{when}: {item.address} is on {now[item.address]}"
        never(watched, members)


@rounds
@given(machine=hosts(), audio=AUDIO, rebooted=st.booleans(), data=st.data())
def test_prepare_then_restore_is_byte_identical_and_the_same_driver_map(machine, audio, rebooted, data):
    """The whole of /etc, /boot and /usr: bytes, modes, links; the drivers at once where no reboot was asked for, and after one in any case."""
    with simulated(machine) as watched:
        selected, members = choose(data, machine)
        files, drivers = watched.files(), watched.host.drivers()
        code, _, result = watched.change("prepare", gpus=selected, audio=audio)
        if code == REFUSED:
            refused_without_a_touch(watched, files, drivers)
            return
        assert code in (DONE, REBOOT), result
        if rebooted:
            watched.reboot()
        event(f"{machine.family}, {'rebooted' if rebooted else 'at once'}")
        code, _, result = watched.change("restore")
        assert code in (DONE, REBOOT), result
        assert not difference(files, watched.files())
        if code == DONE:
            assert not difference(drivers, watched.host.drivers()), "restored, no reboot asked for, and other drivers"
        assert not watched.host.overrides()
        watched.reboot()
        assert not difference(drivers, watched.host.drivers())
        assert not watched.host.overrides()
        assert not [path for path in watched.files() if "gpuctl" in path]
        never(watched, members)


@rounds
@given(machine=hosts(safe=True), data=st.data())
def test_several_prepares_are_taken_back_by_one_restore(machine, data):
    """Card after card, with other wishes for the audio; restore without a run takes all of them back."""
    with simulated(machine) as watched:
        files, drivers = watched.files(), watched.host.drivers()
        everything: set[str] = set()
        for _ in range(data.draw(st.integers(2, 3), label="prepares")):
            selected, members = choose(data, machine)
            code, _, result = watched.change("prepare", gpus=selected, audio=data.draw(AUDIO, label="audio"))
            assert code in (DONE, REBOOT, REFUSED), result
            everything |= members
            if data.draw(st.booleans(), label="reboot between"):
                watched.reboot()
        code, _, result = watched.change("restore")
        assert code in (DONE, REBOOT), result
        assert not difference(files, watched.files())
        watched.reboot()
        assert not difference(drivers, watched.host.drivers())
        never(watched, everything)
