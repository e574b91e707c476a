"""A capture reads as its host did, whole and private or without what is nobody's business."""

from __future__ import annotations

import dataclasses
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from gpuctl_host.errors import UnreadableInput
from gpuctl_host.facts.capture import write_capture
from gpuctl_host.facts.model import Facts
from gpuctl_host.facts.reader import read_facts
from gpuctl_host.facts.scrub import Scrubber
from gpuctl_host.host import Host
from tests.unit.facts.trees import Tree, gtx1080

UUID = "964b3a2e-0dfa-47fe-a835-84330a6ff908"
SECRETS = (UUID, "2c:09:4d:00:02:e9", "gpu-host-17", "S3ZSNB0K", "enx2c094d0002e9", "0123456789abcdef0123456789abcdef")


@pytest.fixture
def full(tree: Tree) -> Tree:
    gtx1080(tree, "01", group=1, driver="nvidia", boot_vga="1", reset_method="bus", reset="")
    gtx1080(tree, "02", group=2, driver="vfio-pci")
    tree.function("0000:05:00.0", "10de:9999", "030200")
    tree.write("/usr/share/misc/pci.ids", "10de  NVIDIA Corporation\n\t9999  GX999\n")
    tree.write("/proc/sys/kernel/osrelease", "6.1.0-56-amd64\n").write("/proc/sys/kernel/hostname", "gpu-host-17\n")
    tree.write("/proc/sys/kernel/random/boot_id", UUID + "\n")
    tree.write(
        "/proc/cmdline", f"BOOT_IMAGE=/vmlinuz root=UUID={UUID} ip=10.0.0.1::10.0.0.254::gpu-host-17:eno1 iommu=pt\n"
    )
    tree.write("/proc/cpuinfo", "vendor_id : GenuineIntel\nflags : vmx lm\n").write(
        "/proc/modules", "nvidia 1 2 - Live 0x0\n"
    )
    tree.write(
        "/var/log/dmesg",
        f"[    1.0] [drm] on gpu-host-17\n[    1.1] eth0: {SECRETS[1]}\n[    1.2] usb 1-1: SerialNumber: S3ZSNB0K\n"
        f"[    1.3] {SECRETS[4]}: renamed\n[    1.4] machine {SECRETS[5]}\n",
    )
    tree.write("/var/lib/dpkg/status", "Package: qemu-system-x86\nStatus: install ok installed\nVersion: 1:7.2+x\n")
    tree.write("/proc/self/mountinfo", "20 1 259:2 / / rw - ext4 /dev/root rw\n")
    tree.folder("/sys/devices/pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0/nvme0n1/nvme0n1p2")
    tree.link("/sys/dev/block/259:2", "/sys/devices/pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0/nvme0n1/nvme0n1p2")
    tree.write("/etc/modprobe.d/a.conf", "options vfio-pci ids=10de:1b80\n").write("/dev/vfio/1", "")
    os.chmod(tree.root + "/dev/vfio/1", 0o666)
    tree.folder("/usr/lib/modules/6.1.0-56-amd64")
    os.symlink("usr/lib", tree.root + "/lib")
    tree.write("/usr/lib/modules/6.1.0-56-amd64/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko.xz:\n")
    tree.write("/boot/vmlinuz-6.1.0-56-amd64", b"the kernel's image is not read")
    return tree


def unpacked(host: Host, folder: Path, *, keep_private: bool = False) -> Host:
    file = folder / "capture.tar.gz"
    write_capture(host, str(file), keep_private=keep_private)
    with tarfile.open(file) as archive:
        for member in archive:
            assert not member.name.startswith(("/", "..")), member.name
            assert member.isfile() or member.isdir() or member.issym()
        archive.extractall(folder / "tree")  # noqa: S202 - looked at just now
    return Host(str(folder / "tree"))


def parts(facts: Facts) -> dict[str, Any]:
    found = {field.name: getattr(facts, field.name) for field in dataclasses.fields(facts)}
    del found["collected_at"]
    return found


@pytest.mark.parametrize("vendors", [("10de",), ("any",), ("1002",)])
def test_the_facts_of_a_capture_are_those_of_the_host(full: Tree, tmp_path: Path, vendors: tuple[str, ...]) -> None:
    source = parts(read_facts(full.host(), vendors))
    capture = (
        parts(read_facts(unpacked(full.host(), tmp_path / "x", keep_private=True), vendors))
        if (tmp_path / "x").mkdir() is None
        else {}
    )
    assert capture == source


def test_without_what_is_private_only_that_differs(full: Tree, tmp_path: Path) -> None:
    source, capture = full.facts(), read_facts(unpacked(full.host(), tmp_path))
    before, after = parts(source), parts(capture)
    assert {name for name in before if before[name] != after[name]} == {"host", "system", "kernel"}
    assert capture.host is None
    assert dataclasses.replace(source.system, boot_id=None) == capture.system
    private = {"cmdline": capture.kernel.cmdline, "log": capture.kernel.log}
    assert dataclasses.replace(source.kernel, **private) == capture.kernel
    assert capture.kernel.cmdline == (
        "BOOT_IMAGE=/vmlinuz", "root=UUID=00000000-0000-4000-8000-000000000001", "ip=removed", "iommu=pt",
    )  # fmt: skip
    assert capture.kernel.log is not None
    assert capture.kernel.log[0] == "[drm] on host"


def test_no_secret_is_in_it(full: Tree, tmp_path: Path) -> None:
    unpacked(full.host(), tmp_path)
    for folder, _, files in os.walk(tmp_path / "tree"):
        for name in files:
            path = Path(folder) / name
            content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
            for secret in SECRETS:
                assert secret not in str(path.relative_to(tmp_path))
                assert secret.encode() not in content, path


def test_the_same_host_gives_the_same_bytes_and_the_file_is_its_owners(full: Tree, tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    document = write_capture(full.host(), str(first))
    write_capture(full.host(), str(second))
    assert first.read_bytes() == second.read_bytes()
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert document["bytes"] == first.stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "host"]


def test_links_out_of_the_tree_lead_nowhere(full: Tree, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret of another tree")
    os.symlink("../../../outside", full.root + "/etc/modprobe.d/b.conf")
    os.symlink(str(tmp_path / "outside"), full.root + "/etc/modprobe.d/c.conf")
    unpacked(full.host(), tmp_path)
    texts = [path.read_bytes() for path in (tmp_path / "tree").rglob("*") if path.is_file() and not path.is_symlink()]
    assert not any(b"secret of another tree" in text for text in texts)


def test_a_place_that_cannot_be_written(full: Tree, tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="cannot write the capture"):
        write_capture(full.host(), str(tmp_path / "no" / "such" / "x.tar.gz"))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (
            f"root=UUID={UUID} {UUID.upper()}",
            "root=UUID=00000000-0000-4000-8000-000000000001 00000000-0000-4000-8000-000000000001",
        ),
        ("pci 0000:01:00.0: [10de:1b80]", "pci 0000:01:00.0: [10de:1b80]"),
        ("root=PARTUUID=1234abcd-02", "root=PARTUUID=0000-0001"),
        ("/dev/disk/by-id/ata-Samsung_S3Z-part1", "/dev/disk/by-id/disk-1"),
        ("BOOTIF=01-52-54-00-12-34-56", "BOOTIF=02:00:00:00:00:01"),
        ("Serial: 8250/16550 driver", "Serial: 8250/16550 driver"),
        ("nvme: SN123, Serial Number: ABC", "nvme: SN123, Serial Number: removed"),
        ("box7 box7.example.org abox7 box7x", "host host abox7 box7x"),
        ("/dev/mapper/box7-root", "/dev/mapper/host-root"),
        ("ip=dhcp systemd.hostname=q", "ip=dhcp systemd.hostname=removed"),
    ],
)
def test_what_is_taken_out(text: str, clean: str) -> None:
    assert Scrubber("box7.example.org").text(text) == clean


def test_a_host_called_nvidia_keeps_its_driver_names() -> None:
    assert Scrubber("nvidia").text("nvidia 0000:01:00.0: on nvidia") == "nvidia 0000:01:00.0: on nvidia"
