"""The files that gpuctl leaves on a host, at work: the real scripts run in a simulated image, the rules in a simulated udev."""

from __future__ import annotations

import pytest

from gpuctl_host.facts.model import Card
from gpuctl_host.templates import render_script
from gpuctl_host.templates.cards import render_record
from gpuctl_host.templates.udev import render_udev_rules
from tests.sim import SimHost, cpio, worlds
from tests.sim.worlds import AUDIO, GPU, TWIN, TWIN_AUDIO


def card(host, address, action="bind", driver="vfio-pci", **other):
    """The record of a function as it is now."""
    item = host.machine.at(address)
    fields = {
        "address": address, "vendor_id": item.vendor, "device_id": item.device, "subsystem_vendor": item.subvendor,
        "subsystem_device": item.subdevice, "action": action, "driver": driver if action == "bind" else "-", "path": host.kernel.path_of(item),
    }  # fmt: skip
    return Card(**{**fields, **other})


def put(host, cards, *, rules=True, build=True):
    """Our files are on the host, its images built."""
    host.tree.write("/etc/gpuctl/cards", render_record(cards))
    if rules:
        host.tree.write("/etc/udev/rules.d/10-gpuctl.rules", render_udev_rules(cards))
    if host.machine.family == "debian":
        host.tree.write("/etc/initramfs-tools/hooks/gpuctl", render_script("initramfs-hook.sh"), 0o755)
        host.tree.write("/etc/initramfs-tools/scripts/init-top/gpuctl", render_script("early.sh"), 0o755)
        result = host.run(["update-initramfs", "-u", "-k", "all"], timeout=60) if build else None
    else:
        base = "/usr/lib/dracut/modules.d/90gpuctl"
        host.tree.write("/etc/dracut.conf.d/gpuctl.conf", render_script("dracut.conf"))
        host.tree.write(f"{base}/module-setup.sh", render_script("dracut-setup.sh"), 0o755)
        host.tree.write(f"{base}/gpuctl-early.sh", render_script("early.sh"), 0o755)
        result = host.run(["dracut", "--force", "--regenerate-all"], timeout=60) if build else None
    assert result is None or result.returncode == 0, result.stderr


@pytest.fixture(params=["debian", "rhel"])
def host(request, tmp_path):
    """Two GTX 1080 with the IOMMU on, of either family."""
    return SimHost(worlds.twins(family=request.param), tmp_path)


def test_the_image_has_record_driver_and_script(host):
    put(host, [card(host, GPU), card(host, AUDIO, "remove")])
    names = cpio.unpack(host.tree.read(host.builds[-1]) or b"")
    assert names["etc/gpuctl/cards"][1] == host.tree.read("/etc/gpuctl/cards")
    assert any(name.endswith("vfio-pci.ko") for name in names)
    assert any(name.endswith("vfio_iommu_type1.ko") for name in names)


@pytest.mark.parametrize("rules", [True, False])
def test_one_of_two_twins_is_bound_at_boot_and_its_audio_is_gone(host, rules):
    put(host, [card(host, GPU), card(host, AUDIO, "remove")], rules=rules)
    host.reboot()
    drivers = host.drivers()
    assert drivers[GPU] == "vfio-pci"
    assert AUDIO not in drivers
    assert (drivers[TWIN], drivers[TWIN_AUDIO], drivers["0000:00:1b.0"]) == (
        "nouveau",
        "snd_hda_intel",
        "snd_hda_intel",
    )
    assert not any("nouveau bound " + GPU in line or "snd_hda_intel bound " + AUDIO in line for line in host.kernel.log)


def test_a_rescan_brings_the_audio_back_and_the_rule_takes_it_again(host):
    put(host, [card(host, GPU), card(host, AUDIO, "remove")])
    host.reboot()
    host.poke("/sys/bus/pci/rescan", "1")
    assert AUDIO not in host.drivers()


def test_a_card_that_comes_back_by_rescan_is_bound_again(host):
    put(host, [card(host, GPU), card(host, AUDIO)])
    host.reboot()
    host.kernel.unload("nouveau")
    host.poke(f"/sys/bus/pci/devices/{GPU}/remove", "1")
    host.poke("/sys/bus/pci/rescan", "1")
    assert host.drivers()[GPU] == "vfio-pci"


def test_another_card_at_the_address_is_left_alone(host):
    put(host, [card(host, GPU, device_id="1b06"), card(host, AUDIO, "remove", subsystem_device="ffff")])
    host.reboot()
    assert host.drivers()[GPU] == "nouveau"
    assert host.drivers()[AUDIO] == "snd_hda_intel"


def test_gpuctl_off_on_the_command_line_leaves_everything_alone(tmp_path):
    host = SimHost(worlds.twins(files={"/etc/default/grub": b'GRUB_CMDLINE_LINUX="gpuctl=off"\n'}), tmp_path)
    put(host, [card(host, GPU), card(host, AUDIO, "remove")])
    host.reboot()
    assert host.drivers()[GPU] == "nouveau"
    assert host.drivers()[AUDIO] == "snd_hda_intel"


def test_a_driver_that_is_built_in_has_to_let_go(tmp_path):
    machine = worlds.turing(builtin=("pcieport", "xhci_pci"))
    host = SimHost(machine, tmp_path)
    usb = "0000:42:00.2"
    assert host.drivers()[usb] == "xhci_hcd"
    put(host, [card(host, GPU), card(host, usb)])
    host.reboot()
    assert host.drivers()[usb] == host.drivers()[GPU] == "vfio-pci"


def test_a_variant_driver_by_its_own_name(tmp_path):
    host = SimHost(worlds.grace(), tmp_path)
    put(host, [card(host, "0009:01:00.0", driver="nvgrace-gpu-vfio-pci")])
    host.reboot()
    assert host.drivers()["0009:01:00.0"] == "nvgrace-gpu-vfio-pci"
