"""Cards on a host whose IOMMU is on by itself: taken and given back at once, twins, another card at the address, a kill."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.host.gpuctl_in_guest import PYZ, agree, ask, install
from tests.lab.host.guest import Seen, changed, driver_map, functions, snapshot, vfio_open
from tests.lab.host.machine import Machine

pytestmark = [pytest.mark.lab_host, pytest.mark.timeout(3600), pytest.mark.story]

ONE, ONE_AUDIO = "0000:01:00.0", "0000:01:00.1"
TWO, TWO_AUDIO = "0000:02:00.0", "0000:02:00.1"
ONBOARD_SOUND = "0000:00:1b.0"


@dataclass(slots=True)
class Lab:
    """The machine that runs now, and how the host was before gpuctl."""

    machine: Machine
    files: dict[str, dict[str, Any]]
    drivers: dict[str, tuple[str, str]]


def _lab(machine: Machine) -> Lab:
    machine.wait_ssh()
    install(machine)
    return Lab(machine, snapshot(machine), driver_map(machine))


@pytest.fixture(scope="class")
def twins(rig: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two GTX 1080; a step may put the host's disk into another machine."""
    machine = Machine("gtx1080x2", disk_overlay=tmp_path_factory.mktemp("disk") / "disk.qcow2")
    machine.start()
    try:
        lab = _lab(machine)
        yield lab
        lab.machine.stop()
    finally:
        machine.stop()


class TestTwins:
    """Two cards of one kind, and then another one in the second's place."""

    def test_the_lab_shows_the_cards(self, twins: Lab) -> None:
        """Ids, a group for each card, and a stock host's drivers: the sound driver on three functions."""
        seen, wanted = functions(twins.machine), twins.machine.topology.functions()
        assert {address: seen[address].ids for address in wanted} == wanted
        assert (seen[ONE].class_code, seen[ONE].subsystem) == ("0x030000", "0x3842:0x6180")
        assert seen[ONE].group == seen[ONE_AUDIO].group != seen[TWO].group == seen[TWO_AUDIO].group
        sound = {address for address, item in seen.items() if item.driver == "snd_hda_intel"}
        assert sound == {ONBOARD_SOUND, ONE_AUDIO, TWO_AUDIO}
        assert (seen[ONE].driver, seen[TWO].driver) == ("", "")

    def test_prepare_takes_them_at_once(self, twins: Lab) -> None:
        """The kernel's default is right: no argument is added, nothing waits for a reboot, VFIO opens both."""
        plan, run = agree(twins.machine, "prepare")
        assert plan.document["arguments"] == [] and plan.document["reboot"] == []
        assert not [target for _, target in plan.changes() if "grub" in target]
        live = plan.changes("override", "unbind", "bind", "remove", "module", "rescan")
        assert {change for change in live if change[0] in ("bind", "remove")} == {
            ("bind", ONE),
            ("bind", TWO),
            ("remove", ONE_AUDIO),
            ("remove", TWO_AUDIO),
        }
        assert run.code == 0, run.document
        assert {item["state"] for item in run.document["changes"]} == {"done"}
        seen = functions(twins.machine)
        assert (seen[ONE].driver, seen[TWO].driver) == ("vfio-pci", "vfio-pci")
        assert not {ONE_AUDIO, TWO_AUDIO} & set(seen)
        assert seen[ONBOARD_SOUND].driver == "snd_hda_intel"
        assert [item["opened"] for item in vfio_open(twins.machine, ONE, TWO)] == [True, True]

    def test_restore_gives_them_back_at_once(self, twins: Lab) -> None:
        """No reboot: the audio functions are back with their driver, and the files are as they were."""
        _, run = agree(twins.machine, "restore")
        assert (run.code, run.document["reboot"]) == (0, []), run.document
        assert driver_map(twins.machine) == twins.drivers
        assert changed(twins.files, snapshot(twins.machine)) == []

    def test_one_of_them_leaves_the_other_alone(self, twins: Lab) -> None:
        """Prepared by address: after a reboot its twin is as on a stock host, with its own audio driver."""
        plan, run = agree(twins.machine, "prepare", gpus=[ONE])
        assert {card["address"] for card in plan.document["cards"]} == {ONE, ONE_AUDIO}
        assert run.code == 0, run.document
        twins.machine.reboot()
        seen = functions(twins.machine)
        assert seen[ONE].driver == "vfio-pci" and ONE_AUDIO not in seen
        assert (seen[TWO].driver, seen[TWO].override) == twins.drivers[TWO]
        assert (seen[TWO_AUDIO].driver, seen[TWO_AUDIO].override) == twins.drivers[TWO_AUDIO]

    def test_another_card_at_the_address_is_not_taken(self, twins: Lab) -> None:
        """Both are prepared; then a GTX 1060 is in the second's place: it stays with the host, and the check names both."""
        _, run = agree(twins.machine, "prepare")
        assert run.code == 0, run.document
        twins.machine.poweroff()
        # the same disk: one host after its card was changed
        twins.machine = Machine("swapped", disk_overlay=twins.machine.disk_overlay)
        twins.machine.start()
        twins.machine.wait_ssh()
        seen = functions(twins.machine)
        assert (seen[TWO].ids, seen[TWO].driver, seen[TWO].override) == ("10de:1c03", "", "(null)")
        assert (seen[TWO_AUDIO].ids, seen[TWO_AUDIO].driver) == ("10de:10f1", "snd_hda_intel")
        assert seen[ONE].driver == "vfio-pci" and ONE_AUDIO not in seen
        log = twins.machine.ssh("dmesg").out
        assert f"gpuctl: {TWO} is not the card that was prepared" in log
        assert f"gpuctl: {TWO_AUDIO} is not the card that was prepared" in log

        answer = ask(twins.machine, "check")
        assert (answer.code, answer.document["ready"]) == (1, False)
        said = answer.findings("fail")["identity", TWO]["evidence"]
        assert "10de:1b80" in said and "1c03" in said
        refused = ask(twins.machine, "prepare", phase="plan")
        assert refused.code == 3
        assert ("identity", TWO) in {(item["id"], item["subject"]) for item in refused.document["refusals"]}

    def test_restore_leaves_the_new_card_as_it_is(self, twins: Lab) -> None:
        """Both runs are taken back; the card that nobody prepared keeps what it had, and the files are as before."""
        other = driver_map(twins.machine)
        _, run = agree(twins.machine, "restore")
        assert run.code in (0, 4), run.document
        after = driver_map(twins.machine)
        assert (after[TWO], after[TWO_AUDIO]) == (other[TWO], other[TWO_AUDIO])
        assert (after[ONE], after[ONE_AUDIO]) == (twins.drivers[ONE], twins.drivers[ONE_AUDIO])
        assert changed(twins.files, snapshot(twins.machine)) == []


@pytest.fixture(scope="class")
def mixed(rig: None) -> Iterator[Lab]:
    """A card with four functions, and one without audio that is no display."""
    with Machine("mixed") as machine:
        yield _lab(machine)


TU102 = ("0000:01:00.0", "0000:01:00.2", "0000:01:00.3")
TU102_AUDIO = "0000:01:00.1"
V100 = "0000:02:00.0"


@pytest.mark.full
class TestMixedAndKilled:
    """Functions of every kind; and a power cut in the middle of the first prepare."""

    def test_killed_and_cut_off_while_the_initramfs_is_made(self, mixed: Lab) -> None:
        """SIGKILL, then the power goes: no sync, no unmount. The host boots."""
        machine = mixed.machine
        plan = ask(machine, "prepare", phase="plan")
        assert plan.code == 0, plan.document
        request = json.dumps({"command": "prepare", "phase": "apply", "fingerprint": plan.document["fingerprint"]})
        machine.ssh(f"systemd-run --quiet -p KillMode=process --unit=lab-killed python3 {PYZ} {shlex.quote(request)}")
        machine.ssh("for i in $(seq 1200); do pgrep -x mkinitramfs >/dev/null && exit; sleep 0.5; done; exit 1")
        time.sleep(3)
        assert machine.ssh("cat /etc/gpuctl/cards").out.count("\n0000:") == 5
        machine.ssh("kill -KILL $(systemctl show -P MainPID lab-killed); pgrep -x mkinitramfs")
        boot = machine.ssh("cat /proc/sys/kernel/random/boot_id").out.strip()
        machine.ssh("echo 1 >/proc/sys/kernel/sysrq; (sleep 1; echo b >/proc/sysrq-trigger) >/dev/null 2>&1 &")
        time.sleep(3)
        machine.wait_ssh(not_boot=boot)

    def test_the_next_prepare_takes_it_back_first(self, mixed: Lab) -> None:
        """Phase recover: what the killed run did is undone, byte by byte."""
        machine = mixed.machine
        assert len(ask(machine, "prepare", phase="plan").document["unfinished"]) == 1
        recovered = ask(machine, "prepare", phase="recover")
        assert recovered.code == 0
        assert "killed half way" in recovered.document["notes"][0]
        assert changed(mixed.files, snapshot(machine)) == []
        assert driver_map(machine) == mixed.drivers

    def test_then_it_prepares_every_function(self, mixed: Lab) -> None:
        """GPU, USB, UCSI and the 3D controller go to vfio-pci at once; the USB controller is taken from its driver."""
        machine = mixed.machine
        assert mixed.drivers[TU102[1]][0] == "xhci_hcd"
        _, run = agree(machine, "prepare")
        assert run.code == 0, run.document
        self._prepared(functions(machine))

    def test_and_a_boot_does_so_too(self, mixed: Lab) -> None:
        """Early, before the USB driver: the same map."""
        machine = mixed.machine
        machine.reboot()
        self._prepared(functions(machine))
        log = machine.ssh("dmesg").out
        assert all(f"gpuctl: {address} on vfio-pci" in log for address in (*TU102, V100))
        answer = ask(machine, "check")
        assert (answer.code, answer.findings("fail")) == (0, {})
        assert [item["opened"] for item in vfio_open(machine, *TU102, V100)] == [True] * 4

    def test_restore_after_all_that(self, mixed: Lab) -> None:
        """Every driver and every byte."""
        _, run = agree(mixed.machine, "restore")
        assert run.code == 0, run.document
        assert driver_map(mixed.machine) == mixed.drivers
        assert changed(mixed.files, snapshot(mixed.machine)) == []

    @staticmethod
    def _prepared(seen: dict[str, Seen]) -> None:
        assert {address: seen[address].driver for address in (*TU102, V100)} == dict.fromkeys(
            (*TU102, V100), "vfio-pci"
        )
        assert TU102_AUDIO not in seen
        assert seen[ONBOARD_SOUND].driver == "snd_hda_intel"
