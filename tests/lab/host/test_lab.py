"""The lab itself works: it boots, shows the cards asked for, reboots, and a card can be taken and given to a guest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.host.build import build
from tests.lab.host.connection import LabError
from tests.lab.host.guest import functions, inner_qemu, snapshot, vfio_open
from tests.lab.host.machine import Machine
from tests.lab.host.packages import LabUnavailable

# a boot is half a minute on a quiet machine and four minutes on a busy one; the first test may build the disk
pytestmark = [pytest.mark.lab_host, pytest.mark.timeout(3600)]

CARD = ("0000:01:00.0", "0000:01:00.1")
TWIN = ("0000:02:00.0", "0000:02:00.1")


@pytest.fixture(scope="module")
def rig() -> None:
    """The disk and the newer QEMU are there, else the test is skipped with the reason."""
    try:
        build()
    except LabUnavailable as error:
        pytest.skip(f"lab: {error}")


@pytest.fixture(scope="class")
def host(rig: None) -> Iterator[Machine]:
    """Two GTX 1080, booted; tests leave it as they find it."""
    with Machine("gtx1080x2") as machine:
        machine.wait_ssh()
        yield machine


class TestOneHost:
    """One machine for all of these, stopped before the next test starts its own: only one runs at a time."""

    def test_cards_have_the_ids_asked_for_and_groups(self, host: Machine) -> None:
        """sysfs and lspci show every function, and a card's functions share a group that is theirs alone."""
        seen = functions(host)
        wanted = host.topology.functions()
        assert {address: seen[address].ids for address in wanted} == wanted
        listed = host.ssh("lspci -nn -D").out
        assert all(ids in listed for ids in wanted.values())
        assert seen[CARD[0]].class_code == "0x030000"
        assert seen[CARD[0]].subsystem == "0x3842:0x6180"
        assert seen[CARD[0]].group == seen[CARD[1]].group != ""
        assert [address for address in seen if seen[address].group == seen[CARD[0]].group] == list(CARD)
        assert seen[TWIN[0]].group not in ("", seen[CARD[0]].group)

    def test_a_stock_host_has_its_sound_driver_on_the_cards(self, host: Machine) -> None:
        """There is something to take away, and something of the same driver that the host keeps."""
        seen = functions(host)
        assert [seen[CARD[1]].driver, seen[TWIN[1]].driver] == ["snd_hda_intel", "snd_hda_intel"]
        assert seen["0000:00:1b.0"].driver == "snd_hda_intel"
        assert seen[CARD[0]].driver == ""

    def test_an_override_binds_and_vfio_opens(self, host: Machine) -> None:
        """Not viable while the sound driver has its function; afterwards our opener and a QEMU in the guest get the card."""
        override = "modprobe vfio-pci; for a in {}; do echo vfio-pci >/sys/bus/pci/devices/$a/driver_override; done"
        host.ssh(override.format(" ".join(CARD)))
        host.ssh(f"echo {CARD[0]} >/sys/bus/pci/drivers_probe")
        assert functions(host)[CARD[0]].driver == "vfio-pci"
        assert [answer["viable"] for answer in vfio_open(host, CARD[0])] == [False]
        assert "is not viable" in inner_qemu(host, CARD[0]).err

        host.ssh(
            f"echo {CARD[1]} >/sys/bus/pci/drivers/snd_hda_intel/unbind; echo {CARD[1]} >/sys/bus/pci/drivers_probe"
        )
        assert functions(host)[CARD[1]].driver == "vfio-pci"
        assert [(answer["opened"], answer["ids"]) for answer in vfio_open(host, *CARD)] == [
            (True, "10de:1b80"),
            (True, "10de:10f0"),
        ]
        inside = inner_qemu(host, *CARD)
        assert inside.code == 0, inside
        assert "10de:1b80" in inside.out and "10de:10f0" in inside.out
        assert functions(host)[TWIN[1]].driver == "snd_hda_intel"

    def test_a_reboot_goes_through_grub_and_forgets_it(self, host: Machine) -> None:
        """A new boot id, the stock drivers again, and nothing below /etc and /boot has changed."""
        before = snapshot(host)
        assert any(entry.get("content") for path, entry in before.items() if path.startswith("/boot/initrd.img"))
        boot = host.ssh("cat /proc/sys/kernel/random/boot_id").out.strip()
        assert host.reboot() != boot
        assert functions(host)[CARD[1]].driver == "snd_hda_intel"
        assert "BOOT_IMAGE=" in host.ssh("cat /proc/cmdline").out
        after = snapshot(host)
        assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == set()

    def test_a_failed_command_is_told(self, host: Machine) -> None:
        """The error names the command and shows what it printed."""
        with pytest.raises(LabError, match="no-such-file"):
            host.ssh("ls /no-such-file")


@pytest.mark.parametrize("name", ["swapped", "mixed"])
def test_other_card_lists(rig: None, name: str) -> None:
    """They boot and show their cards; the USB controller of a TU102 has its driver."""
    with Machine(name) as machine:
        machine.wait_ssh()
        seen, wanted = functions(machine), machine.topology.functions()
        assert {address: seen[address].ids for address in wanted} == wanted
        if name == "mixed":
            assert seen["0000:01:00.2"].driver == "xhci_hcd"
            assert seen["0000:02:00.0"].class_code == "0x030200"


@pytest.mark.parametrize(("topology", "cmdline"), [("no-iommu", ""), ("gtx1080x2", "intel_iommu=off")])
def test_iommu_off_has_no_groups(rig: None, topology: str, cmdline: str) -> None:
    """Both ways of a host without an IOMMU: firmware, and kernel command line through the guest's own GRUB."""
    with Machine(topology, cmdline_extra=cmdline) as machine:
        machine.wait_ssh()
        assert machine.ssh("ls /sys/kernel/iommu_groups").out == ""
        assert cmdline in machine.ssh("cat /proc/cmdline").out
        assert functions(machine)[CARD[1]].driver == "snd_hda_intel"


def test_stock_devices_work_without_the_newer_qemu(rig: None) -> None:
    """The fallback has a display and a sound function per card, with drivers that really bind."""
    with Machine("stock") as machine:
        machine.wait_ssh()
        seen, wanted = functions(machine), machine.topology.functions()
        assert {address: seen[address].ids for address in wanted} == wanted
        assert [seen[CARD[0]].driver, seen[CARD[1]].driver] == ["bochs-drm", "snd_hda_intel"]
