"""The lab itself works, without any code of the product: it boots, a card can be taken and given to a guest, and it forgets.

That the cards, groups and stock drivers are those asked for is looked at where the product starts from them
(test_cards.py, test_prepare.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.host.connection import LabError
from tests.lab.host.guest import changed, functions, inner_qemu, snapshot, vfio_open
from tests.lab.host.machine import Machine

# a boot is half a minute on a quiet machine and four minutes on a busy one; the first test may build the disk
pytestmark = [pytest.mark.lab_host, pytest.mark.timeout(3600), pytest.mark.full]

CARD = ("0000:01:00.0", "0000:01:00.1")
TWIN = ("0000:02:00.0", "0000:02:00.1")


@pytest.fixture(scope="class")
def host(rig: None) -> Iterator[Machine]:
    """Two GTX 1080, booted; tests leave it as they find it."""
    with Machine("gtx1080x2") as machine:
        machine.wait_ssh()
        yield machine


class TestOneHost:
    """One machine for all of these, stopped before the next test starts its own: only one runs at a time."""

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
        assert changed(before, snapshot(host)) == []

    def test_a_snapshot_sees_what_changes(self, host: Machine) -> None:
        """A byte, a mode, a new file: each is told."""
        before = snapshot(host, "/etc")
        host.ssh("echo >>/etc/motd; chmod 600 /etc/issue; touch /etc/new")
        assert changed(before, snapshot(host, "/etc")) == ["/etc/issue", "/etc/motd", "/etc/new"]

    def test_a_failed_command_is_told(self, host: Machine) -> None:
        """The error names the command and shows what it printed."""
        with pytest.raises(LabError, match="no-such-file"):
            host.ssh("ls /no-such-file")


def test_firmware_without_an_iommu_has_no_groups(rig: None) -> None:
    """The other way to a host without one is its command line (test_prepare.py)."""
    with Machine("no-iommu") as machine:
        machine.wait_ssh()
        assert machine.ssh("ls /sys/kernel/iommu_groups").out == ""
        assert functions(machine)[CARD[1]].driver == "snd_hda_intel"


def test_stock_devices_work_without_the_newer_qemu(rig: None) -> None:
    """The fallback has a display and a sound function per card, with drivers that really bind."""
    with Machine("stock") as machine:
        machine.wait_ssh()
        seen, wanted = functions(machine), machine.topology.functions()
        assert {address: seen[address].ids for address in wanted} == wanted
        assert [seen[CARD[0]].driver, seen[CARD[1]].driver] == ["bochs-drm", "snd_hda_intel"]
