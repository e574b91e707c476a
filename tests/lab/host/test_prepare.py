"""A stock Debian becomes ready for passthrough and becomes the stock Debian again: the product's promise, kept by a kernel.

The host starts as many do: two cards, the sound driver on their audio functions, and intel_iommu=off in the
distribution's own /etc/default/grub.
"""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gpuctl_host.facts.reader import read_facts
from gpuctl_host.facts.render import facts_document
from gpuctl_host.host import Host
from tests.lab.host import recipe
from tests.lab.host.gpuctl_in_guest import agree, ask, install
from tests.lab.host.guest import changed, driver_map, functions, hold, inner_qemu, let_go, snapshot, vfio_open
from tests.lab.host.machine import Machine

pytestmark = [pytest.mark.lab_host, pytest.mark.timeout(3600), pytest.mark.story]

ONE, ONE_AUDIO = "0000:01:00.0", "0000:01:00.1"
TWO, TWO_AUDIO = "0000:02:00.0", "0000:02:00.1"
ONBOARD_SOUND = "0000:00:1b.0"
OURS = (
    "/etc/gpuctl/cards",
    "/etc/udev/rules.d/10-gpuctl.rules",
    "/etc/modprobe.d/gpuctl.conf",
    "/etc/initramfs-tools/hooks/gpuctl",
    "/etc/initramfs-tools/scripts/init-top/gpuctl",
    "/etc/default/grub.d/zz-gpuctl.cfg",
)


@dataclass(slots=True)
class Stock:
    """The host, and how it was before gpuctl."""

    machine: Machine
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    drivers: dict[str, tuple[str, str]] = field(default_factory=dict)


@pytest.fixture(scope="class")
def stock(rig: None) -> Iterator[Stock]:
    """Two GTX 1080 on a host that turns its IOMMU off."""
    with Machine("gtx1080x2", cmdline_extra="intel_iommu=off") as machine:
        machine.wait_ssh()
        install(machine)
        yield Stock(machine, snapshot(machine), driver_map(machine))


class TestStockToReadyAndBack:
    """Check says why not; prepare; reboot; the cards are a guest's; restore; reboot; everything is as before."""

    def test_check_says_why_not(self, stock: Stock) -> None:
        """Each reason, by id and subject, and nothing else."""
        answer = ask(stock.machine, "check")
        assert (answer.code, answer.document["ready"]) == (1, False)
        assert set(answer.findings("fail")) == {
            ("iommu-enabled", "host"),
            *(("gpu-iommu-group", address) for address in (ONE, TWO)),
            *(("gpu-driver", address) for address in (ONE, TWO)),
            *(("audio-function", address) for address in (ONE_AUDIO, TWO_AUDIO)),
        }
        assert set(answer.findings("warn")) == {
            ("iommu-cmdline", "host"),
            ("driver-blacklist", ONE),
            ("driver-blacklist", TWO),
        }
        assert {("iommu-firmware", "host"), ("interrupt-remapping", "host")} <= set(answer.findings("pass"))
        off = answer.findings()["iommu-enabled", "host"]
        assert "intel_iommu=off" in off["evidence"]
        assert "update-grub" in off["fix"] and "/etc/default/grub" in off["fix"]
        assert "snd_hda_intel" in answer.findings()["audio-function", ONE_AUDIO]["evidence"]

    def test_prepare_writes_and_asks_for_a_reboot(self, stock: Stock) -> None:
        """Every step of the plan is done and read back; without an IOMMU none of them is for the running kernel."""
        plan, run = agree(stock.machine, "prepare")
        assert plan.document["arguments"] == ["intel_iommu=on", "iommu=pt"]
        assert plan.document["manual"] == []
        assert {target for kind, target in plan.changes("file")} == set(OURS)
        assert {kind for kind, _ in plan.changes()} == {"file", "generated"}
        assert {card["address"]: (card["action"], card["driver"]) for card in plan.document["cards"]} == {
            ONE: ("bind", "vfio-pci"),
            ONE_AUDIO: ("remove", "-"),
            TWO: ("bind", "vfio-pci"),
            TWO_AUDIO: ("remove", "-"),
        }
        assert run.code == 4, run.document
        assert run.changes() == plan.changes()
        assert {item["state"] for item in run.document["changes"]} == {"done"}
        assert driver_map(stock.machine) == stock.drivers

    def test_a_second_prepare_has_nothing_to_do(self, stock: Stock) -> None:
        """Only the reboot is left, and it says so again."""
        plan, run = agree(stock.machine, "prepare")
        assert (plan.document["changes"], run.code, run.document["run"]) == ([], 4, None)

    def test_after_the_reboot_the_cards_are_ready(self, stock: Stock) -> None:
        """The early script had them before any driver; what the host keeps has its driver."""
        machine = stock.machine
        machine.reboot()
        seen = functions(machine)
        assert (seen[ONE].driver, seen[TWO].driver) == ("vfio-pci", "vfio-pci")
        assert ONE_AUDIO not in seen and TWO_AUDIO not in seen
        assert seen[ONE].group and seen[TWO].group and seen[ONE].group != seen[TWO].group
        kept = {address: pair for address, pair in stock.drivers.items() if address[:7] not in ("0000:01", "0000:02")}
        assert {address: (seen[address].driver, seen[address].override) for address in kept} == kept
        assert seen[ONBOARD_SOUND].driver == "snd_hda_intel"
        log = machine.ssh("dmesg").out
        for said in (f"{ONE} on vfio-pci", f"{TWO} on vfio-pci", f"{ONE_AUDIO} removed", f"{TWO_AUDIO} removed"):
            assert f"gpuctl: {said}" in log
        assert "nouveau" not in machine.ssh("lsmod").out
        assert machine.ssh("cat /proc/cmdline").out.split()[-2:] == ["intel_iommu=on", "iommu=pt"]

    def test_check_says_ready(self, stock: Stock) -> None:
        """No fail and no warning is left, and a guest's QEMU agrees (below)."""
        answer = ask(stock.machine, "check", strict=True)
        assert answer.findings("fail", "warn") == {}
        assert (answer.code, answer.document["ready"]) == (0, True)
        assert {gpu["address"]: gpu["ready"] for gpu in answer.document["gpus"]} == {ONE: True, TWO: True}

    def test_the_audio_stays_away_after_a_rescan(self, stock: Stock) -> None:
        """It comes back, the onboard chip's driver takes it, and the rule removes it again."""
        machine = stock.machine
        before = driver_map(machine)
        machine.ssh("echo 1 >/sys/bus/pci/rescan; sleep 2; udevadm settle -t 300")
        assert f"{ONE_AUDIO}: [10de:10f0]" in machine.ssh("dmesg").out  # it had come back
        assert driver_map(machine) == before

    def test_a_guest_opens_the_cards(self, stock: Stock) -> None:
        """Through VFIO: our own opener, and a QEMU that shows them as its guest would see them."""
        opened = vfio_open(stock.machine, ONE, TWO)
        assert [(item["viable"], item["opened"], item["ids"]) for item in opened] == [(True, True, "10de:1b80")] * 2
        inside = inner_qemu(stock.machine, ONE, TWO)
        assert (inside.code, inside.out.count("VGA controller: PCI device 10de:1b80")) == (0, 2), inside

    def test_prepare_again_writes_nothing(self, stock: Stock) -> None:
        """Exit 0, and no file of the host or of ours is newer than it was."""
        machine = stock.machine
        machine.ssh("touch /run/before; sleep 1")
        plan, run = agree(machine, "prepare")
        assert (plan.document["changes"], run.code, run.document["run"]) == ([], 0, None), run.document
        assert machine.ssh("find /etc /boot /var/lib/gpuctl /var/log/gpuctl -cnewer /run/before").out == ""

    @pytest.mark.aside
    def test_a_capture_reads_the_same_elsewhere(self, stock: Stock, tmp_path: Path) -> None:
        """The facts of the unpacked capture, read here, are those of the host; but it does not tell the disk's UUID."""
        machine = stock.machine
        there = ask(machine, "facts").document
        assert ask(machine, "capture", file="/run/host.tar.gz").code == 0
        machine.get("/run/host.tar.gz", tmp_path / "host.tar.gz")
        with tarfile.open(tmp_path / "host.tar.gz") as archive:
            archive.extractall(tmp_path / "root", filter="tar")
        here = facts_document(read_facts(Host(str(tmp_path / "root")), ("10de",)))
        uuid = recipe.DISK["uuid"]
        assert uuid in json.dumps(there)
        files = [path for path in (tmp_path / "root").rglob("*") if path.is_file() and not path.is_symlink()]
        assert len(files) > 50 and not [path for path in files if uuid.encode() in path.read_bytes()]
        (replaced,) = {word.partition("UUID=")[2] for word in here["kernel"]["cmdline"] if "UUID=" in word}
        there = json.loads(json.dumps(there).replace(uuid, replaced))
        for document in (there, here):
            document.pop("collected_at")
            document.pop("host")  # left out of a capture
        assert here == there

    def test_a_card_in_use_is_left_alone(self, stock: Stock) -> None:
        """Prepare is refused; restore gives back the other card, and leaves this one whole until the reboot."""
        machine = stock.machine
        tenant = hold(machine, ONE)
        refused = ask(machine, "prepare", phase="plan", audio="bind")
        assert refused.code == 3
        assert [(item["id"], item["subject"]) for item in refused.document["refusals"]] == [("gpu-in-use", ONE)]
        assert f"pid {tenant}" in refused.document["refusals"][0]["evidence"]

        began = time.monotonic()
        plan, run = agree(machine, "restore", timeout=900)
        assert run.code == 4, run.document
        assert not [
            target for _, target in plan.changes() if target.startswith("0000:01:00") or target == "0000:00:02.0"
        ]
        assert any(ONE in why and "in use" in why for why in run.document["reboot"])
        assert {item["state"] for item in run.document["changes"]} == {"done"}
        after = driver_map(machine)
        assert after[ONE][0] == "vfio-pci" and ONE_AUDIO not in after
        assert (after[TWO], after[TWO_AUDIO]) == (stock.drivers[TWO], stock.drivers[TWO_AUDIO])
        assert machine.ssh("systemctl is-active lab-tenant").out.strip() == "active"
        assert time.monotonic() - began < 900  # an unbind of a held card waits for ever
        let_go(machine)

    def test_after_restore_and_reboot_all_is_as_before(self, stock: Stock) -> None:
        """Byte by byte below /etc and /boot (initramfs included), every driver, and nothing of ours but the history."""
        machine = stock.machine
        machine.reboot()
        assert changed(stock.files, snapshot(machine)) == []
        assert driver_map(machine) == stock.drivers
        assert "gpuctl" not in machine.ssh("dmesg; cat /proc/cmdline").out
        assert machine.ssh("find / -xdev -iname '*gpuctl*' -not -path '/var/*' -not -path '/opt/*'").out == ""
        left = machine.ssh("find /var/lib/gpuctl -type f -printf '%P %s\\n'").out.splitlines()
        assert sum(path.endswith("/journal.jsonl") for path, _ in map(str.split, left)) == 2
        # beside the journals only the texts that they speak of, for `host history --run`: no image is kept
        assert {path.split("/")[0] for path in left} <= {"runs", "blobs"}
        assert all(int(size) < 65536 for path, size in map(str.split, left))
        nothing = ask(machine, "restore", phase="plan")
        assert (nothing.code, nothing.document["changes"], nothing.document["reboot"]) == (0, [], [])
