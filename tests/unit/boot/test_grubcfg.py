"""The generated grub.cfg, GRUB's environment block, and the command line inside a unified kernel image."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl_host.boot import blsentry, grubcfg, grubenv, pe, registry
from gpuctl_host.host import Host
from tests.unit.boot.build import put
from tests.unit.boot.hosts import DEBIAN, UKI, grub_cfg

TEXT = grub_cfg("6.1.0-56-amd64", "quiet iommu=pt $vt_handoff")


def test_entries_with_their_submenus() -> None:
    found = grubcfg.parse(TEXT)
    assert [entry.number for entry in found] == ["0", "1>0", "1>1"]
    assert [entry.recovery for entry in found] == [False, False, True]
    assert found[0].cmdline == ("root=UUID=1111-2222", "ro", "quiet", "iommu=pt")
    assert found[1].release == "6.1.0-56-amd64"
    assert found[1].initrds == ("/boot/initrd.img-6.1.0-56-amd64",)


@pytest.mark.parametrize(
    ("default", "number"),
    [
        ("0", "0"),
        ("1>0", "1>0"),
        ("Linux", "0"),
        ("Advanced options>Linux, with 6.1.0-56-amd64", "1>0"),
        ("gnulinux-advanced-1>gnulinux-6.1.0-56-amd64-advanced-1", "1>0"),
        ("gnulinux-6.1.0-56-amd64-advanced-1", "1>0"),
    ],
)
def test_which_is_the_default(default: str, number: str) -> None:
    assert [entry.number for entry in grubcfg.parse(TEXT) if entry.is_default(default)] == [number]


def test_default_comes_from_the_environment_where_it_is_saved(tmp_path: Path) -> None:
    text = 'if [ "${next_entry}" ] ; then\n  set default="${next_entry}"\nelse\n  set default="${saved_entry}"\nfi\n'
    put(tmp_path, {"/boot/grub/grubenv": "# GRUB Environment Block\nsaved_entry=1>0\n######"})
    environment = grubenv.read(Host(str(tmp_path)))
    assert grubcfg.default_name(text, environment) == "1>0"
    assert grubcfg.default_name(text, {"next_entry": "2"}) == "2"
    assert grubcfg.default_name(text, {}) == "0"


def test_words_by_grubs_quoting() -> None:
    assert grubcfg.words("a 'b c' \"d $x e\" f\\ g ${y}h ''") == ("a", "b c", "d  e", "f g", "h", "")


@given(st.text(max_size=300))
def test_any_text_is_taken(text: str) -> None:
    grubcfg.parse(text)
    grubcfg.parse("menuentry 'x' {\n" + text)
    grubcfg.default_name(text, {})
    blsentry.parse("/x.conf", text, {})


def test_a_kernel_on_its_own_boot_partition(tmp_path: Path) -> None:
    put(tmp_path, {**DEBIAN, "/boot/grub/grub.cfg": grub_cfg("6.1.0-56-amd64", "quiet", boot="")})
    entries = registry.read_boot(Host(str(tmp_path)), None).entries
    assert entries is not None
    assert entries[0].initramfs == "/boot/initrd.img-6.1.0-56-amd64"


def image(sections: dict[str, bytes]) -> bytes:
    """Return a PE file with nothing but a section table, as far as pe.py looks."""
    head = bytearray(
        b"MZ"
        + b"\0" * 0x3A
        + struct.pack("<I", 0x40)
        + b"PE\0\0"
        + struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, 0, 0)
    )
    offset = 0x400
    for name, data in sections.items():
        head += struct.pack("<8sIIIIIIHHI", name.encode(), len(data), 0, len(data), offset, 0, 0, 0, 0, 0)
        offset += len(data)
    return bytes(head.ljust(0x400, b"\0")) + b"".join(sections.values())


def test_a_unified_kernel_image_tells_its_command_line(tmp_path: Path) -> None:
    put(tmp_path, UKI)
    path = "efi/EFI/Linux/abc-6.1.0-56-amd64.efi"
    (tmp_path / path).write_bytes(image({".uname": b"6.1.0-56-amd64", ".cmdline": b"root=UUID=1 iommu=pt\0"}))
    entries = registry.read_boot(Host(str(tmp_path)), None).entries
    assert entries is not None
    assert (entries[0].release, entries[0].cmdline) == ("6.1.0-56-amd64", ("root=UUID=1", "iommu=pt"))


@given(st.binary(max_size=400))
def test_any_bytes_are_an_answer(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    root = tmp_path_factory.mktemp("pe")
    (root / "x").write_bytes(b"MZ" + data)
    pe.read_sections(Host(str(root)), "/x", (".cmdline",))
