"""Whatever a tree holds, facts are read to an end and nothing is raised."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gpuctl_host.facts.capture import write_capture
from gpuctl_host.facts.render import facts_document
from tests.unit.facts.trees import Tree, gtx1080
from tests.work import an_end

# Every kind of file that facts/ reads, at least once
FILES = (
    "/proc/cmdline", "/proc/cpuinfo", "/proc/modules", "/proc/iomem", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/hostname",
    "/proc/mounts", "/proc/self/mountinfo", "/proc/swaps", "/proc/net/route", "/proc/net/ipv6_route", "/proc/consoles", "/proc/config.gz",
    "/var/log/dmesg", "/etc/os-release", "/etc/machine-id", "/etc/gpuctl/cards", "/var/lib/gpuctl/manifest.json", "/gpuctl-capture.json",
    "/etc/modprobe.d/x.conf", "/etc/driverctl.d/0000:01:00.0", "/etc/udev/rules.d/x.rules", "/var/lib/dpkg/status", "/etc/zfs/zpool.cache",
    "/lib/modules/6.1/modules.builtin", "/lib/modules/6.1/modules.dep", "/lib/modules/6.1/modules.alias", "/lib/modules/6.1/pkgbase",
    "/sys/kernel/security/lockdown", "/sys/kernel/iommu_groups/1/reserved_regions", "/sys/kernel/irq/9/chip_name", "/usr/share/misc/pci.ids",
    "/run/libvirt/qemu/x.xml", "/sys/class/dmi/id/sys_vendor", "/boot/config-6.1",
)  # fmt: skip
ATTRIBUTES = (
    "uevent", "resource", "config", "numa_node", "boot_vga", "sriov_totalvfs", "sriov_numvfs", "reset_method", "class", "vendor", "device",
    "driver_override", "d3cold_allowed", "power_state", "revision",
)  # fmt: skip
JUNK = {
    "empty": b"",
    "nul": b"\0" * 4096,
    "ff": b"\xff" * 4096,
    "no newline": b"a" * 300_000,
    "lines": b"\n" * 300_000,
    "numbers": b"9" * 10_000 + b" 0x" + b"f" * 10_000 + b" - : = , ",
    "colons": b": " * 50_000,
    "json": b'{"needs": 7, "needs_unknown": [{}], "holders": {"0000:01:00.0": [[1]]}, "names": 3, "files": [], "groups": {"a": 1}}',
    "digits": "٣٣٣:²".encode(),
    "surrogate": b"\xed\xa0\x80 \xc3( \x80=\x81:\x82\n",
}


@pytest.mark.parametrize("kind", sorted(JUNK))
def test_junk_in_every_file(tree: Tree, tmp_path: Path, kind: str) -> None:
    path = gtx1080(tree)
    for name in FILES:
        tree.write(name, JUNK[kind])
    for name in ATTRIBUTES:
        tree.write(f"{path}/{name}", JUNK[kind])
    _readable(tree, tmp_path)
    tree.write("/proc/sys/kernel/osrelease", "6.1\n")  # so that what lies below /lib/modules is read as well
    _readable(tree, tmp_path)


def _readable(tree: Tree, tmp_path: Path) -> None:
    with an_end(20, "facts"):  # the slowest needs one or two
        json.dumps(facts_document(tree.facts("any", deep=True))).encode()
    write_capture(tree.host(), str(tmp_path / "capture.tar.gz"))


def test_folders_in_place_of_files_and_files_in_place_of_folders(tree: Tree, tmp_path: Path) -> None:
    path = gtx1080(tree)
    for name in FILES:
        tree.folder(name)
    for name in ("drm", "sound", "power", "graphics", "vfio-dev"):
        tree.write(f"{path}/{name}", "no folder")
    _readable(tree, tmp_path)


def test_links_in_circles_out_of_the_tree_and_to_nothing(tree: Tree, tmp_path: Path) -> None:
    gtx1080(tree)
    targets = ("loop", "/etc/passwd", "../../../../../../../../etc/passwd", "nowhere/at/all", ".", "..", "../" * 1000)
    for number, target in enumerate(targets):
        address = f"0000:0{number + 3}:00.0"
        os.symlink(target, f"{tree.root}/sys/bus/pci/devices/{address}")
    os.symlink("loop", f"{tree.root}/sys/bus/pci/devices/loop")
    os.symlink("0000:0b:00.0", f"{tree.root}/sys/bus/pci/devices/0000:0b:00.0")
    tree.folder("/sys/devices/pci0000:00/0000:0c:00.0")
    os.symlink("driver", f"{tree.root}/sys/devices/pci0000:00/0000:0c:00.0/driver")
    tree.link("/sys/bus/pci/devices/0000:0c:00.0", "/sys/devices/pci0000:00/0000:0c:00.0")
    os.symlink("/lib", tree.root + "/lib")
    _readable(tree, tmp_path)
    assert "root:" not in json.dumps(facts_document(tree.facts("any")))


def test_names_that_are_no_text(tree: Tree, tmp_path: Path) -> None:
    path = gtx1080(tree)
    os.unlink(f"{tree.root}{path}/driver")
    os.symlink(b"../../\xff\xfe", f"{tree.root}{path}/driver".encode())
    os.mkdir(f"{tree.root}/sys/kernel/iommu_groups/".encode() + b"\xff")
    tree.folder("/etc/modprobe.d")
    Path(tree.root + "/etc/modprobe.d/x\udcff.conf").write_bytes(b"blacklist x\n")
    _readable(tree, tmp_path)


def test_fifos_do_not_block(tree: Tree, tmp_path: Path) -> None:
    path = gtx1080(tree)
    tree.folder("/proc/sys/kernel").folder("/etc/modprobe.d")
    for name in ("/proc/cmdline", "/etc/modprobe.d/x.conf", f"{path}/numa_node"):
        os.mkfifo(tree.root + name)
    _readable(tree, tmp_path)


def test_a_deep_and_a_wide_tree(tree: Tree, tmp_path: Path) -> None:
    tree.folder("/sys/bus/pci/devices").folder("/sys/devices/" + "a/" * 300)
    os.symlink("../../../devices/" + "a/" * 300, f"{tree.root}/sys/bus/pci/devices/0000:01:00.0")
    for number in range(3000):
        os.symlink(
            "nowhere",
            f"{tree.root}/sys/bus/pci/devices/0000:{number // 256:02x}:{(number % 256) // 8:02x}.{number % 8}x",
        )
    _readable(tree, tmp_path)
