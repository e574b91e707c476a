"""A simulated boot against what a real one was seen to do: the IOMMU, modules, images and boot files (facts/kernel-lab.md,
tests/lab/host/FINDINGS.md).
"""

from __future__ import annotations

import pytest

from tests.sim import SimHost, cpio, worlds
from tests.sim.grub import grub_variables
from tests.sim.worlds import AUDIO, GPU, TWIN, TWIN_AUDIO

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
