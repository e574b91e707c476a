"""The same promise where dracut makes the images: Debian with dracut in the place of initramfs-tools, on a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.host.dracut_image import dracut_disk
from tests.lab.host.gpuctl_in_guest import agree, ask, install
from tests.lab.host.guest import changed, driver_map, functions, snapshot, vfio_open
from tests.lab.host.machine import Machine
from tests.lab.host.packages import LabUnavailable

pytestmark = [pytest.mark.lab_host, pytest.mark.timeout(3600), pytest.mark.story, pytest.mark.full]

ONE, ONE_AUDIO = "0000:01:00.0", "0000:01:00.1"
TWO, TWO_AUDIO = "0000:02:00.0", "0000:02:00.1"
FOLDERS = ("/etc", "/boot", "/usr/lib/dracut")


@dataclass(slots=True)
class Lab:
    """The host, and how it was before gpuctl."""

    machine: Machine
    files: dict[str, dict[str, Any]]
    drivers: dict[str, tuple[str, str]]


@pytest.fixture(scope="class")
def host(rig: None) -> Iterator[Lab]:
    """Two GTX 1080 on a host whose images dracut makes."""
    try:
        base = dracut_disk()
    except LabUnavailable as error:
        pytest.skip(f"lab: {error}")
    with Machine("gtx1080x2", base=base) as machine:
        machine.wait_ssh()
        install(machine)
        yield Lab(machine, snapshot(machine, *FOLDERS), driver_map(machine))


class TestDracut:
    """Prepare; reboot; the hook had the cards before udev; restore."""

    def test_it_is_seen(self, host: Lab) -> None:
        """Facts name the builder."""
        assert ask(host.machine, "facts").document["boot"]["initramfs"] == "dracut"

    def test_prepare(self, host: Lab) -> None:
        """dracut makes the image anew, and what is inside was read back."""
        plan, run = agree(host.machine, "prepare")
        assert "/etc/dracut.conf.d/gpuctl.conf" in {target for _, target in plan.changes("file")}
        assert run.code == 0, run.document
        assert {item["state"] for item in run.document["changes"]} == {"done"}

    def test_after_a_reboot(self, host: Lab) -> None:
        """The pre-udev hook said so itself; the check is content; VFIO opens both."""
        host.machine.reboot()
        seen = functions(host.machine)
        assert (seen[ONE].driver, seen[TWO].driver) == ("vfio-pci", "vfio-pci")
        assert ONE_AUDIO not in seen and TWO_AUDIO not in seen
        assert seen["0000:00:1b.0"].driver == "snd_hda_intel"
        log = host.machine.ssh("dmesg").out
        for said in (f"{ONE} on vfio-pci", f"{TWO} on vfio-pci", f"{ONE_AUDIO} removed", f"{TWO_AUDIO} removed"):
            assert f"gpuctl: {said}" in log
        answer = ask(host.machine, "check", strict=True)
        assert (answer.code, answer.findings("fail", "warn")) == (0, {})
        assert [item["opened"] for item in vfio_open(host.machine, ONE, TWO)] == [True, True]

    def test_restore(self, host: Lab) -> None:
        """Every driver and every byte, dracut's own folders included."""
        _, run = agree(host.machine, "restore")
        assert run.code == 0, run.document
        assert driver_map(host.machine) == host.drivers
        assert changed(host.files, snapshot(host.machine, *FOLDERS)) == []
