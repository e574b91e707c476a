"""The simulator against what a real kernel was seen to do: facts/kernel-lab.md, tests/lab/host/FINDINGS.md."""

from __future__ import annotations

import errno

import pytest

from gpuctl_host.errors import KernelRefused, KernelStuck, ToolError
from tests.sim import Fault, SimHost, cpio, worlds
from tests.sim.grub import grub_variables
from tests.sim.udev import RuleError, parse

BUS = "/sys/bus/pci"
GPU, AUDIO, TWIN, TWIN_AUDIO = "0000:42:00.0", "0000:42:00.1", "0000:84:00.0", "0000:84:00.1"


@pytest.fixture
def twins(tmp_path):
    """Two GTX 1080, IOMMU on."""
    return SimHost(worlds.twins(), tmp_path / "root")


@pytest.fixture
def off(tmp_path):
    """Two GTX 1080, IOMMU off."""
    return SimHost(worlds.two_gtx1080(), tmp_path / "off")


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


# ---------------------------------------------------------------- the IOMMU


@pytest.mark.parametrize(
    ("changes", "extra", "on"),
    [
        ({"iommu_default_on": True}, "", True),  # Debian 12: on without any argument
        ({"iommu_default_on": True}, "intel_iommu=off iommu_intel=on", False),  # the typo does nothing
        ({"iommu_default_on": False}, "iommu_intel=on", False),
        ({"iommu_default_on": False}, "intel_iommu=on iommu=pt", True),
        ({"iommu": "amd", "cpu": "amd", "iommu_default_on": False}, "", True),
        ({"iommu": "amd", "cpu": "amd"}, "amd_iommu=off", False),
        ({"iommu": "amd", "cpu": "amd"}, "amd_iommu=on", True),
        ({"iommu": ""}, "intel_iommu=on", False),
        ({"iommu": "smmu", "cpu": "arm"}, "", True),
    ],
)
def test_iommu_by_default_and_by_argument(tmp_path, changes, extra, on):
    files = {"/etc/default/grub": f'GRUB_CMDLINE_LINUX="{extra}"\n'.encode()}
    host = SimHost(worlds.two_gtx1080(**{"files": files, **changes}), tmp_path)
    assert bool(host.names("/sys/kernel/iommu_groups")) is on
    assert bool(host.names("/sys/class/iommu")) is on
    assert host.is_dir("/sys/kernel/iommu_groups")


def test_the_log_says_dmar_with_the_iommu_off(off):
    log = off.read("/var/log/dmesg") or ""
    assert "DMAR: Host address width" in log
    assert "DMAR: IOMMU enabled" not in log
    assert 'Unknown kernel command line parameters "iommu_intel=on"' in log


# ---------------------------------------------------------------- modules


def test_a_blacklist_stops_aliases_only(twins):
    twins.tree.write("/etc/modprobe.d/b.conf", "blacklist nouveau\nblacklist snd_hda_intel\n")
    twins.reboot()
    assert (twins.drivers()[GPU], twins.drivers()["0000:00:1b.0"]) == (None, None)
    twins.run(["modprobe", "nouveau"], timeout=5)
    assert twins.drivers()[GPU] == "nouveau"


def test_ids_and_softdep_without_blacklist_take_all_four(twins):
    twins.tree.write(
        "/etc/modprobe.d/v.conf",
        "options vfio-pci ids=10de:1b80,10de:10f0\nsoftdep nouveau pre: vfio-pci\nsoftdep snd_hda_intel pre: vfio-pci\n",
    )
    twins.reboot()
    assert {twins.drivers()[item] for item in (GPU, AUDIO, TWIN, TWIN_AUDIO)} == {"vfio-pci"}
    assert twins.drivers()["0000:00:1b.0"] == "snd_hda_intel"


def test_ids_alone_never_load_vfio(twins):
    twins.tree.write("/etc/modprobe.d/v.conf", "options vfio-pci ids=10de:1b80,10de:10f0\n")
    twins.reboot()
    assert twins.drivers()[AUDIO] == "snd_hda_intel"
    assert "vfio_pci" not in (twins.read("/proc/modules") or "")


def test_ids_and_blacklist_alone_bind_nobody(twins):
    twins.tree.write(
        "/etc/modprobe.d/v.conf",
        "options vfio-pci ids=10de:1b80,10de:10f0\nblacklist nouveau\nblacklist snd_hda_intel\n",
    )
    twins.reboot()
    assert {twins.drivers()[item] for item in (GPU, AUDIO, TWIN, TWIN_AUDIO)} == {None}


def test_options_of_a_builtin_module_count_on_the_command_line_only(tmp_path):
    machine = worlds.twins()
    names = ("pcieport", "vfio", "vfio_virqfd", "vfio_pci_core", "vfio_pci")
    host = SimHost(
        machine.but(builtin=names, files={"/etc/modprobe.d/v.conf": b"options vfio-pci ids=10de:1b80\n"}),
        tmp_path / "a",
    )
    assert host.drivers()[GPU] == "nouveau"
    host.tree.write("/etc/default/grub", 'GRUB_CMDLINE_LINUX="vfio-pci.ids=10de:1b80"\n')
    host.run(["update-grub"], timeout=5)
    host.reboot()
    assert host.drivers()[GPU] == host.drivers()[TWIN] == "vfio-pci"


# ---------------------------------------------------------------- images and boot files


def test_update_initramfs_twice_has_other_bytes_equal_content_and_changes_nothing_else(twins):
    image = "/boot/initrd.img-6.1.0-56-amd64"
    before = twins.snapshot()
    twins.run(["update-initramfs", "-u", "-k", "all"], timeout=60)
    twins.run(["update-grub"], timeout=60)
    after = twins.snapshot()
    assert {path for path in after if after[path] != before.get(path)} == {image}
    assert cpio.unpack(after[image][1]) == cpio.unpack(before[image][1])


def test_a_rule_in_etc_is_in_the_image_unasked(twins):
    twins.tree.write("/etc/udev/rules.d/60-x.rules", 'ACTION=="add", GOTO="end"\nLABEL="end"\n')
    twins.run(["update-initramfs", "-u"], timeout=60)
    assert "usr/lib/udev/rules.d/60-x.rules" in cpio.unpack(twins.tree.read("/boot/initrd.img-6.1.0-56-amd64") or b"")


def test_modules_named_in_the_configuration_are_in_the_image(twins):
    twins.tree.write("/etc/initramfs-tools/modules", "vfio_pci\nvfio_virqfd\nno_such_module\n")
    twins.run(["update-initramfs", "-u"], timeout=60)
    names = cpio.unpack(twins.read_bytes("/boot/initrd.img-6.1.0-56-amd64") or b"")
    assert "usr/lib/modules/6.1.0-56-amd64/kernel/drivers/vfio/pci/vfio-pci.ko" in names
    assert names["conf/modules"][1] == b"vfio_pci\nvfio_virqfd\nno_such_module\n"
    twins.reboot()
    assert "vfio_pci " in (twins.read("/proc/modules") or "")


def test_a_dropin_wins_in_grub_cfg_and_recovery_has_only_the_plain_variable(off):
    off.tree.write("/etc/default/grub.d/50-cloudimg-settings.cfg", 'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1"\n')
    off.tree.write(
        "/etc/default/grub.d/zz-x.cfg", 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT intel_iommu=on"\n'
    )
    assert off.run(["update-grub"], timeout=5).returncode == 0
    lines = [line for line in (off.read("/boot/grub/grub.cfg") or "").splitlines() if "\tlinux\t" in line]
    assert [("intel_iommu=on" in line, "single" in line, "iommu_intel" in line) for line in lines] == [
        (True, False, False),
        (True, False, False),
        (False, True, False),
    ]
    off.reboot()
    assert off.word(
        "/proc/cmdline",
    ).endswith("ro console=tty1 intel_iommu=on")
    assert off.names("/sys/kernel/iommu_groups")


def test_a_syntax_error_in_the_grub_file_fails_and_leaves_grub_cfg(off):
    before = off.read("/boot/grub/grub.cfg")
    off.tree.write("/etc/default/grub", 'GRUB_CMDLINE_LINUX="unclosed\n')
    assert off.run(["update-grub"], timeout=5).returncode != 0
    assert off.read("/boot/grub/grub.cfg") == before


def test_grubby_edits_every_entry_and_the_default_file(tmp_path):
    host = SimHost(worlds.hgx_h100(releases=("5.14.0-362.el9.x86_64", worlds.ROCKY)), tmp_path)
    host.run(["grubby", "--update-kernel=ALL", "--args=intel_iommu=on iommu=pt"], timeout=5)
    for name in host.names("/boot/loader/entries"):
        assert "crashkernel=1G-4G:192M resume=/dev/mapper/rl-swap intel_iommu=on iommu=pt" in (
            host.read(f"/boot/loader/entries/{name}") or ""
        )
    assert grub_variables(host.tree, dropins=False)[0].endswith("intel_iommu=on iommu=pt")
    host.reboot()
    assert host.word("/proc/sys/kernel/osrelease") == worlds.ROCKY
    assert "intel_iommu=on" in (host.read("/proc/cmdline") or "")
    host.run(["grubby", "--update-kernel=ALL", "--remove-args=intel_iommu=on iommu=pt"], timeout=5)
    assert "iommu" not in (host.read(f"/boot/loader/entries/{name}") or "")


def test_dracut_will_not_override_without_force(tmp_path):
    host = SimHost(worlds.hgx_h100(), tmp_path)
    path = f"/boot/initramfs-{worlds.ROCKY}.img"
    assert host.run(["dracut", path, worlds.ROCKY], timeout=5).returncode == 1
    assert host.run(["dracut", "--force", path, worlds.ROCKY], timeout=5).returncode == 0


def test_a_dracut_configuration_without_conf_at_the_end_is_not_read(tmp_path):
    host = SimHost(worlds.hgx_h100(), tmp_path)
    path = f"/boot/initramfs-{worlds.ROCKY}.img"
    for name, found in (("vfio", False), ("vfio.conf", True)):
        host.tree.write(f"/etc/dracut.conf.d/{name}", 'add_drivers+=" vfio-pci "\n')
        host.run(["dracut", "-f", path, worlds.ROCKY], timeout=5)
        assert any("vfio-pci.ko" in item for item in cpio.unpack(host.read_bytes(path) or b"")) is found


# ---------------------------------------------------------------- the simulator's own manners


def test_faults(twins):
    twins.faults["update-grub"] = Fault("fail", 3, "no space left on device\n")
    assert twins.run(["/usr/sbin/update-grub"], timeout=5).returncode == 3
    twins.faults["update-grub"] = Fault("hang")
    before = twins.monotonic()
    with pytest.raises(ToolError, match="did not end"):
        twins.run(["update-grub"], timeout=300)
    assert twins.monotonic() - before >= 300
    for name in ("dracut", "rm"):
        with pytest.raises(ToolError, match="cannot run"):
            twins.run([name], timeout=5)


def test_a_reboot_has_a_new_boot_id_and_the_same_drivers(twins):
    before, drivers = twins.word("/proc/sys/kernel/random/boot_id"), twins.drivers()
    twins.reboot()
    assert twins.word("/proc/sys/kernel/random/boot_id") != before
    assert twins.drivers() == drivers


def test_what_is_not_simulated_is_an_error_and_not_silence():
    with pytest.raises(RuleError):
        parse('KERNEL=="x" ATTR{remove}="1"\n')


@pytest.mark.parametrize(
    "build", [worlds.two_gtx1080, worlds.twins, worlds.turing, worlds.arc, worlds.hgx_h100, worlds.grace]
)
def test_every_world_boots(tmp_path, build):
    host = SimHost(build(), tmp_path)
    drivers = host.drivers()
    assert drivers[next(item.address for item in host.machine.functions if item.disk)] in ("nvme", "ahci")
    assert drivers[next(item.address for item in host.machine.functions if item.net)] == "ixgbe"
