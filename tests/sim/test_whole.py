"""Whole lives of named hosts: checked, prepared, booted, changed in their hardware, restored."""

from __future__ import annotations

import pytest

from gpuctl_host.errors import KernelStuck
from tests.property.scenario import difference, simulated
from tests.sim import worlds
from tests.sim.parts import Machine
from tests.sim.world import install_kernel
from tests.sim.worlds import AUDIO, GPU, TWIN, TWIN_AUDIO


def findings(watched, status="fail"):
    """The ids of what check says with a status."""
    _, document = watched.ask("check")
    return {item["id"] for item in document["findings"] if item["status"] == status}


def prepared(watched, **keys):
    """Prepare, boot, and return what prepare said."""
    code, _, result = watched.change("prepare", **keys)
    assert code in (0, 4), result
    watched.reboot()
    return result


def test_the_demo_s_host():
    """From an old recipe that does nothing to ready, and back."""
    with simulated(worlds.two_gtx1080()) as watched:
        files, drivers = watched.files(), watched.host.drivers()
        assert {"iommu-enabled", "gpu-driver", "audio-function"} <= findings(watched)
        prepared(watched)
        code, document = watched.ask("check")
        assert (code, document["ready"]) == (0, True)
        watched.change("restore")
        watched.reboot()
        assert not difference(files, watched.files())
        assert not difference(drivers, watched.host.drivers())


def test_one_of_two_twins():
    """The other one keeps nouveau and its sound; after a rescan too."""
    with simulated(worlds.twins()) as watched:
        prepared(watched, gpus=[GPU])
        watched.host.poke("/sys/bus/pci/rescan", "1")
        drivers = watched.host.drivers()
        assert (drivers[GPU], drivers.get(AUDIO, "gone")) == ("vfio-pci", "gone")
        assert (drivers[TWIN], drivers[TWIN_AUDIO]) == ("nouveau", "snd_hda_intel")


@pytest.mark.parametrize("family", ["debian", "rhel", "suse"])
def test_all_four_functions_of_a_turing_card(family):
    """GPU, USB and UCSI are bound as one, the audio is gone."""
    with simulated(worlds.turing(family=family)) as watched:
        prepared(watched)
        drivers = watched.host.drivers()
        assert {drivers[f"0000:42:00.{number}"] for number in (0, 2, 3)} == {"vfio-pci"}
        assert AUDIO not in drivers


def test_an_arc_card_s_audio_is_on_the_next_bus():
    """And the processor's own graphics, the console, is not touched."""
    with simulated(worlds.arc()) as watched:
        prepared(watched, vendors=["8086"], gpus=["0000:03:00.0"])
        drivers = watched.host.drivers()
        assert drivers["0000:03:00.0"] == "vfio-pci"
        assert "0000:04:00.0" not in drivers
        assert drivers["0000:00:02.0"] == "i915"


def test_a_variant_driver_where_the_kernel_has_one():
    """By modules.alias, under the name that the driver gives itself."""
    with simulated(worlds.grace()) as watched:
        prepared(watched)
        assert watched.host.drivers()["0009:01:00.0"] == "nvgrace-gpu-vfio-pci"


def test_an_hgx_with_its_switches_to_one_guest_and_back():
    """Eight GPUs and four NVSwitches in one group, taken from the vendor's driver."""
    with simulated(worlds.hgx_h100()) as watched:
        files, drivers = watched.files(), watched.host.drivers()
        prepared(watched, nvswitch="guest")
        ours = [item.address for item in watched.host.machine.functions if item.vendor == "10de"]
        assert len(ours) == 12
        assert {watched.host.drivers()[address] for address in ours} == {"vfio-pci"}
        watched.change("restore")
        watched.reboot()
        assert not difference(files, watched.files())
        assert not difference(drivers, watched.host.drivers())


def other_card(machine: Machine, slot: str) -> Machine:
    """The machine with another model in a slot."""
    functions = [item for item in machine.functions if item.slot != slot]
    from tests.sim.catalogue import card

    return machine.but(functions=(*functions, *card("rtx2080ti", slot, parent="0000:40:02.0", group=41)))


def test_another_card_in_the_prepared_slot_stays_with_the_host():
    """Identity, not the address alone: nothing is bound, and check says whose place it is."""
    with simulated(worlds.twins()) as watched:
        prepared(watched, gpus=[GPU])
        watched.host.reboot(other_card(watched.host.machine, "0000:42:00"))
        drivers = watched.host.drivers()
        assert not any("vfio" in (driver or "") for driver in drivers.values())
        assert drivers[AUDIO] == "snd_hda_intel"
        assert "identity" in findings(watched)


def test_a_kernel_that_is_installed_later_is_prepared_by_its_package_s_own_image():
    """Its image is made by the host's tools, with our hook in them."""
    with simulated(worlds.twins()) as watched:
        prepared(watched, gpus=[GPU])
        install_kernel(watched.host, "6.1.0-99-amd64")
        watched.host.run(["update-grub"], timeout=60)
        watched.reboot()
        assert watched.host.word("/proc/sys/kernel/osrelease") == "6.1.0-99-amd64"
        assert watched.host.drivers()[GPU] == "vfio-pci"
        assert AUDIO not in watched.host.drivers()


def test_an_older_kernel_boots_prepared_too():
    """Every installed kernel's image is rebuilt, not the running one's alone."""
    releases = ("6.1.0-9-amd64", "6.1.0-56-amd64")
    with simulated(worlds.twins(releases=releases)) as watched:
        prepared(watched, gpus=[GPU])
        watched.host.tree.remove(f"/boot/vmlinuz-{releases[1]}")  # as its package's removal leaves it
        watched.host.run(["update-grub"], timeout=60)
        watched.reboot()
        assert watched.host.word("/proc/sys/kernel/osrelease") == releases[0]
        assert watched.host.drivers()[GPU] == "vfio-pci"


def test_restore_beside_a_guest_gives_the_files_back_and_unbinds_nothing():
    """The held card waits for the reboot, and restore says so; what it would have come to is a hang."""
    with simulated(worlds.twins()) as watched:
        files, drivers = watched.files(), watched.host.drivers()
        prepared(watched, gpus=[GPU])
        watched.host.hold(GPU)
        code, _, result = watched.change("restore")
        assert code == 4, result
        assert any(GPU in why for why in result["reboot"])
        assert not [path for path, _ in watched.writes if path.endswith("unbind")]
        assert not difference(files, watched.files())
        with pytest.raises(KernelStuck):
            watched.host.poke(f"/sys/bus/pci/devices/{GPU}/driver/unbind", GPU, timeout=5)
        watched.reboot()
        assert not difference(drivers, watched.host.drivers())


def test_restore_brings_nothing_back_into_a_group_that_a_guest_has_open():
    """The audio returns at the reboot only: a host driver in a guest's group is EBUSY, and a BUG() before Linux 5.19."""
    with simulated(worlds.twins()) as watched:
        prepared(watched, gpus=[GPU])
        watched.host.hold(GPU)
        watched.change("restore")
        assert not [path for path, _ in watched.writes if path.endswith(("rescan", "drivers_probe"))]
        assert AUDIO not in watched.host.drivers()
