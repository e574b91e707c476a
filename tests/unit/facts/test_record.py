"""The record of the cards, drift, and other tools' claims."""

from __future__ import annotations

import hashlib
import json

from gpuctl_host.facts.model import Card, Image
from gpuctl_host.facts.record import parse_cards, read_record
from gpuctl_host.templates.cards import render_record
from tests.unit.facts.trees import Tree, gtx1080

CARDS = (
    Card("0000:01:00.0", "10de", "1b80", "10de", "119e", "bind", "vfio-pci", "/sys/devices/pci0000:00/0000:01:00.0"),
    Card("0000:01:00.1", "10de", "10f0", "10de", "119e", "remove", "-", "/sys/devices/pci0000:00/0000:01:00.1"),
)
RUN = "20261120T185155Z-3f2a"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_what_is_written_is_read_back() -> None:
    text = render_record(CARDS)
    assert parse_cards(text) == CARDS
    assert parse_cards("junk\n\0\n0000:01:00.0 x\n") == ()


def test_drift(tree: Tree) -> None:
    gtx1080(tree, group=1)
    tree.write("/etc/gpuctl/cards", render_record(CARDS))
    tree.write("/etc/modprobe.d/gpuctl.conf", "edited\n").write("/etc/a", "same\n")
    files = {
        "/etc/modprobe.d/gpuctl.conf": sha("ours\n"),
        "/etc/a": sha("same\n"),
        "/etc/gone": sha("x"),
        "not-a-path": "x",
    }
    tree.write("/var/lib/gpuctl/manifest.json", json.dumps(files))
    record = tree.facts().record
    assert record is not None
    assert record.cards == CARDS
    assert (record.edited, record.missing) == (("/etc/modprobe.d/gpuctl.conf",), ("/etc/gone",))
    assert record.unprepared == ()
    groups = {"0000:01:00.0": ["0000:01:00.0", "0000:01:00.1"]}
    tree.write("/var/lib/gpuctl/manifest.json", json.dumps({"run": RUN, "files": files, "groups": groups}))
    record = tree.facts().record
    assert record is not None
    assert record.run == RUN
    assert record.edited
    assert record.group_changes == ("0000:01:00.0: group had 0000:01:00.0, has 0000:00:01.0 0000:01:00.0",)


def test_what_we_take_off_the_bus_and_groups_that_are_new_are_no_drift(tree: Tree) -> None:
    gtx1080(tree, group=1)
    tree.write("/etc/gpuctl/cards", render_record(CARDS))
    groups = {"0000:01:00.0": ["0000:00:01.0", "0000:01:00.0", "0000:01:00.1"], "0000:01:00.1": []}
    tree.write("/var/lib/gpuctl/manifest.json", json.dumps({"run": RUN, "files": {}, "groups": groups}))
    record = tree.facts().record
    assert record is not None
    assert record.group_changes == ()


def test_a_kernel_whose_image_has_nothing_of_ours(tree: Tree) -> None:
    tree.write("/etc/gpuctl/cards", render_record(CARDS))
    images = [
        Image(release="a", path="/boot/a", sha256=None, files=("x",), modules=(), ours={"/etc/gpuctl/cards": "1"}),
        Image(release="b", path="/boot/b", sha256=None, files=("x",), modules=(), ours={}),
        Image(release="c", path="/boot/c", sha256=None, files=None, modules=None, ours=None),
    ]
    record = read_record(tree.host(), pci=None, installed=("a", "b", "c"), images=images)
    assert record is not None
    assert record.unprepared == ("b",)


def test_broken_manifests_are_none(tree: Tree) -> None:
    for text in ("", "[]", "{", "[" * 100000, "\0", '{"/etc/a": 1}'):
        tree.write("/var/lib/gpuctl/manifest.json", text)
        tree.facts()


def test_claims_of_others(tree: Tree) -> None:
    gtx1080(tree, "01", group=1)
    gtx1080(tree, "02", group=2)
    tree.write("/etc/driverctl.d/0000:01:00.0", "vfio-pci\n").write("/etc/driverctl.d/README", "")
    tree.write("/etc/modprobe.d/vfio.conf", "options vfio-pci ids=10de:1B80,10de:10f0 disable_vga=1\n")
    tree.write("/proc/cmdline", "vfio-pci.ids=10de:10f0 xen-pciback.hide=(0000:02:00.0)\n")
    tree.write("/etc/udev/rules.d/99-vfio.rules", 'KERNEL=="0000:02:00.0", ATTR{driver_override}="vfio-pci"\n')
    tree.write("/etc/udev/rules.d/10-gpuctl.rules", 'ATTR{driver_override}="vfio-pci"\n')
    found = {claim.path: claim.addresses for claim in tree.facts().foreign}
    assert found["/etc/driverctl.d/0000:01:00.0"] == ("0000:01:00.0",)
    assert found["/etc/modprobe.d/vfio.conf"] == ("0000:01:00.0", "0000:01:00.1", "0000:02:00.0", "0000:02:00.1")
    assert found["/etc/udev/rules.d/99-vfio.rules"] == ("0000:02:00.0",)
    assert "/etc/udev/rules.d/10-gpuctl.rules" not in found
    assert [claim.addresses for claim in tree.facts().foreign if claim.path == "/proc/cmdline"] == [
        ("0000:01:00.1", "0000:02:00.1"),
        ("0000:02:00.0",),
    ]
