"""Which functions are GPUs, and which others are part of the card."""

from __future__ import annotations

import pytest

from gpuctl_host.facts.render import facts_document
from tests.unit.facts.trees import ROOT_BUS, Tree, gtx1080


def test_a_card_its_audio_its_port_and_its_bars(tree: Tree) -> None:
    path = gtx1080(tree, boot_vga="1", numa_node="-1", reset="", power_state="D0", d3cold_allowed="1")
    facts = tree.facts()
    (gpu,) = facts.gpus
    assert (gpu.address, gpu.name) == ("0000:01:00.0", "NVIDIA GP104 [GeForce GTX 1080]")
    assert [(role, item.address, item.driver) for role, item in gpu.functions] == [
        ("audio", "0000:01:00.1", "snd_hda_intel")
    ]
    assert [(item.address, item.is_bridge) for item in gpu.group_peers] == [("0000:00:01.0", True)]
    assert [(bar.index, bar.size) for bar in gpu.pci.bars] == [(0, 16 << 20), (1, 256 << 20), (3, 32 << 20)]
    assert (gpu.pci.path, gpu.pci.parent) == (path, "0000:00:01.0")
    assert (gpu.pci.boot_vga, gpu.pci.numa_node, gpu.pci.reset_methods) == (True, None, None)
    assert gpu.pci.d3cold_allowed is True
    assert gpu.nova_device_type == "type-PCI"


@pytest.mark.parametrize("code", ["030000", "030200", "038000", "120000"])
def test_every_class_of_a_gpu(tree: Tree, code: str) -> None:
    tree.function("0000:42:00.0", "10de:ffff", code)
    (gpu,) = tree.facts().gpus
    assert gpu.pci.base_class == code[:4]
    assert gpu.name == "10de:ffff"


def test_what_is_no_gpu(tree: Tree) -> None:
    tree.function("0008:00:00.0", "10de:22b1", "060400")  # Grace's root port
    tree.function("0000:05:00.0", "10de:22a3", "068000", driver="nvidia-nvswitch")
    tree.function("0000:06:00.0", "1a03:2000", "030000")
    facts = tree.facts("any")
    assert facts.gpus == ()
    assert [item.address for item in facts.nvswitches] == ["0000:05:00.0"]


@pytest.mark.parametrize(
    "ids", ["1a03:2000", "102b:0533", "102b:0536", "1af4:1050", "1414:5353", "15ad:0405", "1002:515e", "1d0f:1111"]
)
def test_a_console_is_offered_to_nobody(tree: Tree, ids: str) -> None:
    tree.function("0000:03:00.0", ids, "030000")
    assert tree.facts("any").gpus == ()
    assert tree.facts(ids[:4]).gpus == ()


def test_any_offers_what_the_fallback_lab_has(tree: Tree) -> None:
    tree.function("0000:03:00.0", "1234:1111", "030000")
    assert [gpu.address for gpu in tree.facts("any").gpus] == ["0000:03:00.0"]


def test_turing_has_four_functions(tree: Tree) -> None:
    for number, (device, code) in enumerate(
        (("1e04", "030000"), ("10f7", "040300"), ("1ad6", "0c0330"), ("1ad7", "0c8000"))
    ):
        tree.function(f"0000:02:00.{number}", f"10de:{device}", code, group=1)
    (gpu,) = tree.facts().gpus
    assert [role for role, _ in gpu.functions] == ["audio", "usb", "ucsi"]
    assert gpu.group_peers == ()


def test_an_apu_keeps_its_chip_functions(tree: Tree) -> None:
    tree.function("0000:0b:00.0", "1002:15d8", "030000", group=21)
    tree.function("0000:0b:00.1", "1002:15de", "040300", group=22)
    tree.function("0000:0b:00.2", "1022:15df", "108000", group=21)
    tree.function("0000:0b:00.3", "1022:15e0", "0c0330", group=21)
    (gpu,) = tree.facts("1002").gpus
    assert [item.address for _, item in gpu.functions] == ["0000:0b:00.1"]
    assert [item.address for item in gpu.group_peers] == ["0000:0b:00.2", "0000:0b:00.3"]


def test_virtual_functions_are_gpus_of_their_own(tree: Tree) -> None:
    path = tree.function("0000:0a:00.0", "10de:2bb5", "030200", group=1, sriov_totalvfs="32", sriov_numvfs="1")
    virtual = tree.function("0000:0a:00.4", "10de:2bb5", "030200", group=2)
    tree.link(f"{virtual}/physfn", path)
    physical, child = tree.facts().gpus
    assert (physical.nova_device_type, child.nova_device_type) == ("type-PF", "type-VF")
    assert physical.functions == child.functions == ()
    assert physical.holders is not None
    assert [holder.kind for holder in physical.holders] == ["vf"]


def arc(
    tree: Tree, port_bus: str = "01", *, bridges: bool = True, audio_vendor: str = "8086", together: bool = False
) -> None:
    first = int(port_bus, 16)
    port = f"{ROOT_BUS}/0000:00:{port_bus}.0"
    if bridges:
        tree.function(f"0000:00:{port_bus}.0", "8086:4c01", "060400")
        up = tree.function(f"0000:{first:02x}:00.0", "8086:4fa1", "060400", under=port)
        left = tree.function(f"0000:{first + 1:02x}:01.0", "8086:4fa4", "060400", under=up)
        right = tree.function(f"0000:{first + 1:02x}:04.0", "8086:4fa4", "060400", under=up)
    else:
        left = f"/sys/devices/pci0000:{first + 2:02x}"
        right = f"/sys/devices/pci0000:{first + 3:02x}"
    tree.function(f"0000:{first + 2:02x}:00.0", "8086:56a0", "030000", under=left, group=first)
    tree.function(
        f"0000:{first + 3:02x}:00.0", f"{audio_vendor}:4f90", "040300", under=right, group=first + (not together)
    )


@pytest.mark.parametrize("bridges", [True, False])
def test_arc_has_its_audio_on_the_next_bus(tree: Tree, bridges: bool) -> None:
    arc(tree, bridges=bridges)
    (gpu,) = tree.facts("8086").gpus
    assert [(role, item.address) for role, item in gpu.functions] == [("audio", "0000:04:00.0")]


@pytest.mark.parametrize("together", [True, False])
def test_arcs_audio_is_another_device_of_its_group_where_it_is_in_it(tree: Tree, together: bool) -> None:
    arc(tree, together=together)
    (gpu,) = facts_document(tree.facts("8086"))["gpus"]
    assert [item["address"] for item in gpu["functions"]] == ["0000:04:00.0"]
    assert [item["address"] for item in gpu["group_peers"]] == (["0000:04:00.0"] if together else [])


def test_each_of_two_arcs_has_its_own_audio(tree: Tree) -> None:
    arc(tree, "01")
    arc(tree, "05")
    first, second = tree.facts("8086").gpus
    assert [item.address for _, item in first.functions] == ["0000:04:00.0"]
    assert [item.address for _, item in second.functions] == ["0000:08:00.0"]


def test_a_sound_card_behind_the_boards_switch_is_not_arcs(tree: Tree) -> None:
    arc(tree, audio_vendor="13f6")
    tree.function("0000:00:1f.3", "8086:a348", "040300")
    (gpu,) = tree.facts("8086").gpus
    assert gpu.functions == ()


def test_any_domain_and_single_files_without_uevent(tree: Tree) -> None:
    tree.function("10000:e1:00.0", "10de:2941", "030200", under="/sys/devices/pci10000:e0", uevent=False)
    (gpu,) = tree.facts().gpus
    assert gpu.address == "10000:e1:00.0"
    assert (gpu.pci.vendor_id, gpu.pci.device_id, gpu.pci.class_code) == ("10de", "2941", "030200")
    assert gpu.pci.subsystem_device == "119e"


def test_a_device_that_left_the_bus_answers_all_ones(tree: Tree) -> None:
    tree.function("0000:0c:00.0", "10de:1b80", "030000", config=b"\xff" * 64)
    (gpu,) = tree.facts().gpus
    assert gpu.pci.config_dead
    assert gpu.pci.header_type is None
    assert not gpu.pci.is_bridge


def test_an_nvswitch_is_an_endpoint_though_its_class_is_a_bridges(tree: Tree) -> None:
    tree.function("0000:05:00.0", "10de:22a3", "068000", group=114)
    (switch,) = tree.facts().nvswitches
    assert not switch.is_bridge


def test_a_real_kernel_without_a_reset_method(tree: Tree) -> None:
    tree.function("0000:01:00.0", "10de:1b80", "030000")
    tree.function("0000:02:00.0", "10de:1b80", "030000", reset="")
    tree.function("0000:03:00.0", "10de:1b80", "030000", reset="", reset_method="flr bus")
    tree.function("0000:04:00.0", "10de:1b80", "030000", uevent=False)
    assert [gpu.pci.reset_methods for gpu in tree.facts().gpus] == [(), None, ("flr", "bus"), None]


def test_an_unassigned_bar_and_the_bars_of_virtual_functions(tree: Tree) -> None:
    path = tree.function("0000:01:00.0", "10de:1b80", "030000")
    rows = [
        "0x0 0xffffff 0x20040200",
        *["0x0 0x0 0x0"] * 5,
        "0xf000 0xffff 0x46200",
        "0x0 0x3fffff 0x20040200",
        "junk",
        "0x1 0x0 0x200",
    ]
    tree.write(f"{path}/resource", "\n".join(rows))
    pci = tree.facts().gpus[0].pci
    assert [(bar.index, bar.kind, bar.assigned) for bar in pci.bars] == [(0, "mem", False), (6, "rom", True)]
    assert [bar.index for bar in pci.vf_bars] == [7]


def test_names_of_what_the_table_has_not(tree: Tree) -> None:
    tree.write(
        "/usr/share/misc/pci.ids",
        "# list\n10dd  Other\n\t9999  Wrong\n10de  NVIDIA Corporation\n\t9999  GX999\n\t\t1043 1  Sub\n10df  Later\n\t8888  Wrong\n",
    )
    tree.function("0000:01:00.0", "10de:9999", "030000")
    tree.function("0000:02:00.0", "10de:8888", "030000")
    tree.write("/run/udev/data/+pci:0000:03:00.0", "E:ID_MODEL_FROM_DATABASE=GX777\n")
    tree.function("0000:03:00.0", "10de:7777", "030000")
    assert [gpu.name for gpu in tree.facts().gpus] == ["NVIDIA GX999", "10de:8888", "NVIDIA GX777"]
