"""What the host lives on, traced to PCI functions through every layer that lies between."""

from __future__ import annotations

import pytest

from gpuctl_host.facts.topology import endpoints
from tests.unit.facts.trees import ROOT_BUS, Tree, gtx1080

NVME = f"{ROOT_BUS}/0000:00:1d.0/0000:02:00.0/nvme/nvme0/nvme0n1"
SATA = f"{ROOT_BUS}/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda"


def disk(tree: Tree, path: str, number: str, *partitions: tuple[str, str]) -> None:
    for place, device in ((path, number), *((f"{path}/{name}", device) for name, device in partitions)):
        tree.folder(place).link(f"/sys/dev/block/{device}", place)
        tree.link(f"/sys/class/block/{place.rpartition('/')[2]}", place)


def mounts(tree: Tree, *rows: tuple[str, str, str, str]) -> None:
    lines = [
        f"{n} 1 {number} / {point} rw,relatime shared:{n} - {kind} {source} rw"
        for n, (number, point, kind, source) in enumerate(rows, 20)
    ]
    tree.write("/proc/self/mountinfo", "\n".join(lines) + "\n")


def needed(tree: Tree, why: str) -> list[tuple[str, str]]:
    return [(need.address, need.detail) for need in tree.facts().needs or () if need.why == why]


def test_a_partition(tree: Tree) -> None:
    disk(tree, NVME, "259:0", ("nvme0n1p1", "259:1"), ("nvme0n1p2", "259:2"))
    mounts(
        tree,
        ("0:5", "/proc", "proc", "proc"),
        ("259:2", "/", "ext4", "/dev/root"),
        ("259:1", "/boot/efi", "vfat", "/dev/nvme0n1p1"),
    )
    assert needed(tree, "disk") == [("0000:02:00.0", "/ on nvme0n1p2")]


def test_luks_on_lvm_on_md_on_two_disks(tree: Tree) -> None:
    disk(tree, NVME, "259:0")
    disk(tree, SATA, "8:0")
    for name, number, slaves in (("md0", "9:0", (NVME, SATA)), ("dm-0", "253:0", ()), ("dm-1", "253:1", ())):
        path = f"/sys/devices/virtual/block/{name}"
        disk(tree, path, number)
        for slave in slaves or (f"/sys/devices/virtual/block/{'md0' if name == 'dm-0' else 'dm-0'}",):
            tree.link(f"{path}/slaves/{slave.rpartition('/')[2]}", slave)
    mounts(tree, ("253:1", "/", "xfs", "/dev/mapper/vg-root"))
    assert needed(tree, "disk") == [("0000:02:00.0", "/ on nvme0n1"), ("0000:00:17.0", "/ on sda")]


def test_nvme_with_native_multipath_hangs_on_a_subsystem(tree: Tree) -> None:
    controller = f"{ROOT_BUS}/0000:00:1d.0/0000:02:00.0/nvme/nvme0"
    subsystem = "/sys/devices/virtual/nvme-subsystem/nvme-subsys0"
    tree.folder(controller)
    disk(tree, f"{subsystem}/nvme0n1", "259:0")
    tree.link(f"{subsystem}/nvme0", controller)
    mounts(tree, ("259:0", "/", "ext4", "/dev/nvme0n1"))
    assert needed(tree, "disk") == [("0000:02:00.0", "/ on nvme0")]


def test_every_device_of_a_btrfs(tree: Tree) -> None:
    disk(tree, NVME, "259:0")
    disk(tree, SATA, "8:0")
    tree.folder("/sys/fs/btrfs/features")
    for path in (NVME, SATA):
        tree.link(f"/sys/fs/btrfs/6f7a/devices/{path.rpartition('/')[2]}", path)
    mounts(tree, ("0:31", "/", "btrfs", "/dev/nvme0n1"))
    assert {address for address, _ in needed(tree, "disk")} == {"0000:02:00.0", "0000:00:17.0"}


def test_zfs_by_its_cache_file_else_unknown(tree: Tree) -> None:
    mounts(tree, ("0:25", "/", "zfs", "rpool/ROOT/debian"))
    assert tree.facts().needs_unknown == ("/ on zfs rpool/ROOT/debian",)
    disk(tree, SATA, "8:0")
    tree.write("/etc/zfs/zpool.cache", b"\0\1path\0/dev/sda\0\0devid\0")
    assert needed(tree, "disk") == [("0000:00:17.0", "/ on sda")]


def test_swap(tree: Tree) -> None:
    disk(tree, SATA, "8:0")
    mounts(tree)
    tree.write("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda partition 1 0 -2\n/swap.img file 1 0 -3\n")
    assert needed(tree, "disk") == [("0000:00:17.0", "swap on sda")]


def interface(tree: Tree, name: str, path: str | None, *lower: str) -> None:
    place = f"{path}/net/{name}" if path else f"/sys/devices/virtual/net/{name}"
    tree.folder(place).link(f"/sys/class/net/{name}", place)
    if path:
        tree.link(f"{place}/device", path)
    for one in lower:
        tree.write(f"{place}/lower_{one}", "")


def route(tree: Tree, name: str) -> None:
    tree.write(
        "/proc/net/route",
        f"Iface\tDestination\nlo\t0000007F\t0\t1\t0\t0\t0\t000000FF\n{name}\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
    )


def test_the_default_route_through_a_vlan_on_a_bond(tree: Tree) -> None:
    nic = f"{ROOT_BUS}/0000:00:1c.0/0000:41:00"
    interface(tree, "eth0", f"{nic}.0")
    interface(tree, "eth1", f"{nic}.1")
    interface(tree, "bond0", None, "eth0", "eth1")
    interface(tree, "bond0.7", None, "bond0")
    route(tree, "bond0.7")
    assert needed(tree, "network") == [
        ("0000:41:00.0", "default route by bond0.7 (eth0)"),
        ("0000:41:00.1", "default route by bond0.7 (eth1)"),
    ]


def test_the_default_route_through_open_vswitch_and_ipv6(tree: Tree) -> None:
    interface(tree, "eno1", f"{ROOT_BUS}/0000:00:1f.6")
    interface(tree, "ovs-system", None, "eno1")
    interface(tree, "br-ex", None)
    tree.write(
        "/proc/net/ipv6_route",
        f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} 00000400 1 0 00000003    br-ex\n{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 1 0 00200200       lo\n",
    )
    assert needed(tree, "network") == [("0000:00:1f.6", "default route by br-ex (eno1)")]


def test_a_route_that_leads_to_no_device_is_unknown(tree: Tree) -> None:
    interface(tree, "wg0", None)
    route(tree, "wg0")
    facts = tree.facts()
    assert (facts.needs, facts.needs_unknown) == ((), ("default route by wg0",))


@pytest.mark.parametrize(
    ("boot_vga", "consoles", "driver", "is_need"),
    [
        ("1", "tty0 -WU (EC p  ) 4:1\n", "nouveau", True),
        ("1", "", "nouveau", True),
        ("1", "ttyS0 -W- (EC p  ) 4:64\n", "nouveau", False),
        ("0", "", "nouveau", False),
        ("1", "", "vfio-pci", False),
    ],
)
def test_the_only_display_is_the_console(tree: Tree, boot_vga: str, consoles: str, driver: str, is_need: bool) -> None:
    gtx1080(tree, boot_vga=boot_vga, driver=driver)
    if consoles:
        tree.write("/proc/consoles", consoles)
    assert bool(needed(tree, "console")) is is_need


def test_with_a_controllers_display_no_card_is_the_only_one(tree: Tree) -> None:
    gtx1080(tree, boot_vga="1")
    tree.function("0000:05:00.0", "1a03:2000", "030000", boot_vga="0")
    assert not needed(tree, "console")


def test_behind_vmd_both_domains_count() -> None:
    path = "/sys/devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0/nvme/nvme0"
    assert endpoints(path) == ("0000:00:0e.0", "10000:e1:00.0")
