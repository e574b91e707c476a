"""The simulated kernel against what a real one was seen to do: facts/kernel-lab.md, tests/lab/host/FINDINGS.md."""

from __future__ import annotations

import errno

import pytest

from gpuctl_host.errors import KernelRefused, KernelStuck
from tests.sim import SimHost, worlds
from tests.sim.worlds import AUDIO, GPU, TWIN, TWIN_AUDIO

BUS = "/sys/bus/pci"


def device(address, name):
    return f"{BUS}/devices/{address}/{name}"


def refused(host, path, data):
    """The errno's name of a write that the kernel refuses."""
    with pytest.raises(KernelRefused) as caught:
        host.poke(path, data)
    return errno.errorcode[caught.value.errno]


# ---------------------------------------------------------------- drivers


def test_unbind_moves_the_link(twins):
    twins.poke(device(GPU, "driver/unbind"), GPU)
    assert twins.drivers()[GPU] is None
    assert not twins.exists(f"{BUS}/drivers/nouveau/{GPU}")
    assert twins.drivers()[TWIN] == "nouveau"


def test_unbind_by_the_wrong_driver_is_enodev(twins):
    assert refused(twins, f"{BUS}/drivers/nouveau/unbind", AUDIO) == "ENODEV"
    assert refused(twins, f"{BUS}/drivers/nouveau/unbind", "0000:99:00.0") == "ENODEV"


def test_bind_without_a_match_is_enodev(twins):
    twins.run(["modprobe", "vfio-pci"], timeout=5)
    twins.poke(device(GPU, "driver/unbind"), GPU)
    assert refused(twins, f"{BUS}/drivers/vfio-pci/bind", GPU) == "ENODEV"


def test_bind_of_a_bound_device_is_ebusy(twins):
    assert refused(twins, f"{BUS}/drivers/nouveau/bind", GPU) == "EBUSY"


def test_override_unbind_probe_works_at_once(twins):
    twins.run(["modprobe", "vfio-pci"], timeout=5)
    for address in (GPU, AUDIO):
        twins.poke(device(address, "driver_override"), "vfio-pci")
        twins.poke(device(address, "driver/unbind"), address)
        twins.poke(f"{BUS}/drivers_probe", address)
    assert (twins.drivers()[GPU], twins.drivers()[AUDIO]) == ("vfio-pci", "vfio-pci")
    assert (twins.drivers()[TWIN], twins.drivers()[TWIN_AUDIO]) == ("nouveau", "snd_hda_intel")
    assert twins.exists("/dev/vfio/41")


def test_an_override_excludes_every_other_driver(twins):
    twins.poke(device(GPU, "driver_override"), "vfio-pci")
    twins.poke(device(GPU, "driver/unbind"), GPU)
    twins.poke(f"{BUS}/drivers_probe", GPU)  # vfio-pci is not loaded: nothing binds, and the write succeeds
    assert twins.drivers()[GPU] is None


def test_loading_the_module_probes_what_the_override_names(twins):
    """FINDINGS: one modprobe binds all three, without drivers_probe."""
    twins.poke(device(GPU, "driver_override"), "vfio-pci\n")
    twins.poke(device(GPU, "driver/unbind"), GPU)
    twins.run(["modprobe", "--", "vfio-pci"], timeout=5)
    assert twins.drivers()[GPU] == "vfio-pci"
    assert twins.drivers()[TWIN] == "nouveau"


@pytest.mark.parametrize("clear", ["\n", "\0"])
def test_override_reads_null_again_when_cleared(twins, clear):
    path = device(GPU, "driver_override")
    assert twins.word(path) == "(null)"
    twins.poke(path, "vfio-pci")
    assert twins.read(path) == "vfio-pci\n"
    twins.poke(path, clear)
    assert twins.read(path) == "(null)\n"


def test_an_empty_write_to_override_does_nothing(twins):
    twins.poke(device(GPU, "driver_override"), "vfio-pci")
    twins.poke(device(GPU, "driver_override"), "")
    assert twins.word(device(GPU, "driver_override")) == "vfio-pci"


def test_an_override_of_a_page_is_einval(twins):
    assert refused(twins, device(GPU, "driver_override"), "x" * 4096) == "EINVAL"


def test_vfio_bind_without_iommu_is_einval_but_the_probe_write_succeeds(off):
    off.run(["modprobe", "vfio-pci"], timeout=5)
    off.poke(device(GPU, "driver/unbind"), GPU)
    off.poke(device(GPU, "driver_override"), "vfio-pci")
    assert refused(off, f"{BUS}/drivers/vfio-pci/bind", GPU) == "EINVAL"
    off.poke(f"{BUS}/drivers_probe", GPU)
    assert off.drivers()[GPU] is None
    assert off.names("/dev/vfio") == ["vfio"]


def test_new_id_takes_every_driverless_twin_and_succeeds_even_when_nothing_binds(twins, off):
    for host in (twins, off):
        host.run(["modprobe", "vfio-pci"], timeout=5)
        for address in (GPU, TWIN):
            host.poke(device(address, "driver/unbind"), address)
        host.poke(f"{BUS}/drivers/vfio-pci/new_id", "10de 1b80")
    assert (twins.drivers()[GPU], twins.drivers()[TWIN]) == ("vfio-pci", "vfio-pci")
    assert (off.drivers()[GPU], off.drivers()[TWIN]) == (None, None)


def test_writes_to_what_is_not_there_or_not_writable(twins):
    assert refused(twins, device(GPU, "nothing"), "1") == "ENOENT"
    assert refused(twins, device(GPU, "vendor"), "1") == "EACCES"
    assert refused(twins, device(GPU, "remove"), "x") == "EINVAL"
    assert refused(twins, device(GPU, "power/control"), "off") == "EINVAL"
    assert refused(twins, f"{BUS}/drivers_probe", "0000:99:00.0") == "ENODEV"


# ---------------------------------------------------------------- users


def test_unbind_of_a_held_device_blocks_and_goes_through_when_the_user_ends(twins):
    pid = twins.hold(GPU)
    before = twins.monotonic()
    with pytest.raises(KernelStuck):
        twins.poke(device(GPU, "driver/unbind"), GPU, timeout=10)
    assert twins.monotonic() - before >= 10
    assert twins.drivers()[GPU] == "nouveau"
    twins.release(GPU, pid)
    assert twins.drivers()[GPU] is None


def test_a_host_driver_cannot_join_a_group_that_a_guest_has_open(twins):
    twins.run(["modprobe", "vfio-pci"], timeout=5)
    twins.poke(device(GPU, "driver_override"), "vfio-pci")
    for address in (GPU, AUDIO):
        twins.poke(device(address, "driver/unbind"), address)
    twins.poke(f"{BUS}/drivers_probe", GPU)
    twins.hold(GPU)
    assert refused(twins, f"{BUS}/drivers/snd_hda_intel/bind", AUDIO) == "EBUSY"


# ---------------------------------------------------------------- remove and rescan


def test_remove_takes_the_function_out_of_its_group_and_the_last_one_takes_the_group(twins):
    twins.poke(device(AUDIO, "remove"), "1")
    assert not twins.exists(f"{BUS}/devices/{AUDIO}")
    assert twins.names("/sys/kernel/iommu_groups/41/devices") == [GPU]
    twins.poke(device(GPU, "remove"), "1\n")
    assert not twins.exists("/sys/kernel/iommu_groups/41")


@pytest.mark.parametrize("door", [f"{BUS}/rescan", f"{BUS}/devices/0000:40:02.0/rescan"])
def test_rescan_brings_it_back_on_the_host_s_driver_without_override(twins, door):
    twins.poke(device(AUDIO, "driver_override"), "vfio-pci")
    twins.poke(device(AUDIO, "remove"), "1")
    twins.poke(door, "1")
    assert twins.drivers()[AUDIO] == "snd_hda_intel"
    assert twins.word(device(AUDIO, "driver_override")) == "(null)"


def test_a_function_that_returns_may_be_in_another_group(twins):
    twins.poke(device(AUDIO, "remove"), "1")
    twins.poke(f"{BUS}/rescan", "1")
    assert twins.link_name(device(AUDIO, "iommu_group")) == "61"
    assert twins.link_name(device(GPU, "iommu_group")) == "41"


def test_a_rescan_of_another_bridge_brings_nothing_back(twins):
    twins.poke(device(AUDIO, "remove"), "1")
    twins.poke(f"{BUS}/devices/0000:80:02.0/rescan", "1")
    assert not twins.exists(f"{BUS}/devices/{AUDIO}")


def test_a_removed_bridge_takes_what_is_below_it(twins):
    twins.poke(device("0000:40:02.0", "remove"), "1")
    assert not {GPU, AUDIO} & set(twins.drivers())


def test_our_kind_of_rule_removes_the_audio_again_after_a_rescan(twins):
    twins.tree.write(
        "/etc/udev/rules.d/10-gpuctl.rules",
        f'ACTION=="add", SUBSYSTEM=="pci", KERNEL=="{AUDIO}", ATTR{{vendor}}=="0x10de", ATTR{{device}}=="0x10f0", ATTR{{remove}}="1"\n',
    )
    twins.poke(device(AUDIO, "remove"), "1")
    twins.poke(f"{BUS}/rescan", "1")
    assert AUDIO not in twins.drivers()
    twins.reboot()
    assert AUDIO not in twins.drivers()
    assert TWIN_AUDIO in twins.drivers()


def test_removed_comes_back_after_a_reboot(twins):
    twins.poke(device(AUDIO, "remove"), "1")
    twins.reboot()
    assert twins.drivers()[AUDIO] == "snd_hda_intel"


# ---------------------------------------------------------------- SR-IOV


def test_virtual_functions_have_groups_of_their_own_and_block_vfio_on_the_whole_card(tmp_path):
    machine = worlds.twins()
    functions = (*worlds.chipset(), *worlds.in_slot("a100", "0000:42:00", "0000:40:02.0", 41, port_group=40))
    host = SimHost(machine.but(functions=functions, modules=(*machine.modules, worlds.NVIDIA)), tmp_path)
    host.poke(device(GPU, "driver/unbind"), GPU)
    assert refused(host, device(GPU, "sriov_numvfs"), "4") == "ENOENT"  # no driver
    host.poke(f"{BUS}/drivers/nvidia/bind", GPU)
    assert refused(host, device(GPU, "sriov_numvfs"), "17") == "ERANGE"
    host.poke(device(GPU, "sriov_numvfs"), "2")
    virtual = [name for name in host.drivers() if host.exists(device(name, "physfn"))]
    assert len(virtual) == 2
    assert len({host.link_name(device(name, "iommu_group")) for name in virtual}) == 2
    assert refused(host, device(GPU, "sriov_numvfs"), "3") == "EBUSY"
    host.poke(device(GPU, "sriov_numvfs"), "0")
    assert not set(virtual) & set(host.drivers())
