"""Junk anywhere on a host: an answer, never a traceback, and never an endless one."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gpuctl_host.entry import serve
from gpuctl_host.host import Host
from tests.sim import worlds
from tests.sim.host import SimHost
from tests.work import an_end

RELEASE = worlds.DEBIAN
GPU = "sys/bus/pci/devices/0000:42:00.0"
# Every kind of file that is read, on a host that is otherwise whole: what stands in one of them is nobody's promise.
PLACES = (
    "etc/default/grub",
    "etc/default/grub.d/50-cloudimg-settings.cfg",
    "boot/grub/grub.cfg",
    "boot/grub/grubenv",
    f"boot/initrd.img-{RELEASE}",
    f"boot/config-{RELEASE}",
    "etc/modprobe.d/vfio.conf",
    "etc/modprobe.d/gpuctl.conf",
    "etc/driverctl.d/0000:42:00.0",
    "etc/gpuctl/cards",
    "etc/udev/rules.d/10-gpuctl.rules",
    "etc/os-release",
    "etc/fstab",
    "etc/kernel/cmdline",
    "proc/cmdline",
    "proc/cpuinfo",
    "proc/iomem",
    "proc/modules",
    "proc/mounts",
    "proc/self/mountinfo",
    "proc/net/route",
    "proc/interrupts",
    "proc/swaps",
    "var/log/dmesg",
    f"{GPU}/resource",
    f"{GPU}/class",
    f"{GPU}/vendor",
    f"{GPU}/uevent",
    f"{GPU}/modalias",
    f"{GPU}/sriov_totalvfs",
    f"{GPU}/numa_node",
    f"{GPU}/reset_method",
    f"{GPU}/driver_override",
    f"lib/modules/{RELEASE}/modules.alias",
    f"lib/modules/{RELEASE}/modules.dep",
    f"lib/modules/{RELEASE}/modules.builtin",
    "var/lib/gpuctl/manifest.json",
    "var/lib/gpuctl/runs/20261120T185155Z-3f2a/journal.jsonl",
)
NASTY = (
    b"\n" * 300_000,
    b" " * 300_000,
    b'"' * 100_000,
    b"\\\n" * 100_000,
    b"set default=" * 30_000,
    b'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX' * 5_000,
    b"options vfio-pci ids=" + b"10de:1b80," * 20_000,
    b"{" * 100_000,
    b"[" * 100_000,
    b'{"t": "begin"}\n' * 5_000,
    b"menuentry 'x' {\n" * 20_000,
    b"alias pci:v" + b"*" * 50_000 + b" x",
    b"\xff" * 100_000,
    b"a=" * 100_000,
    b"$(" * 50_000,
    b"0000:42:00.0 " * 20_000,
)
COMMANDS = ("facts", "check", "prepare", "restore", "history")
ENDLESS_S = 10.0  # of CPU; the slowest of these needs 0.6 on a quiet machine


@pytest.fixture(scope="module")
def whole():
    """A host that is whole, once; each example works on a copy."""
    folder = Path(tempfile.mkdtemp(prefix="junk-"))
    SimHost(worlds.two_gtx1080(), folder / "root")
    yield folder / "root"
    shutil.rmtree(folder, ignore_errors=True)


def ask_all(root: Path, place: str, data: bytes) -> None:
    target = root / place
    before = target.read_bytes() if target.is_file() else None
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    try:
        for command in COMMANDS:
            events: list[dict] = []
            with an_end(ENDLESS_S, f"{command} with {data[:20]!r}... in {place}"):
                code = serve({"command": command, "root": str(root)}, events.append, host=Host(str(root)))
            last = events[-1]
            assert last["event"] == "result" or last["code"] != "internal", (command, last)
            assert code in (0, 1, 2, 3), (command, last)
    finally:
        if before is None:
            target.unlink()
        else:
            target.write_bytes(before)


@pytest.mark.parametrize("place", PLACES)
def test_nasty_content_of_one_file(whole, place):
    for data in NASTY:
        ask_all(whole, place, data)


@given(place=st.sampled_from(PLACES), data=st.one_of(st.binary(max_size=400), st.text(max_size=200).map(str.encode)))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)
@example(place="proc/cmdline", data=b'"')
def test_any_content_of_one_file(whole, place, data):
    ask_all(whole, place, data)


def test_a_file_where_a_folder_is_expected_and_the_other_way_round(tmp_path):
    for place in PLACES:
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for command in COMMANDS:
        events: list[dict] = []
        serve({"command": command, "root": str(tmp_path)}, events.append)
        assert events[-1]["event"] == "result" or events[-1]["code"] != "internal", (command, events[-1])
