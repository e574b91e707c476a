"""Images read in Python: every packing, several archives, hard links, damage."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl_host.boot.cpio import Member, UnreadableImage, read_members
from gpuctl_host.host import Host
from tests.unit.boot.archive import newc, padded

PACKINGS = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32),
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
}
MICROCODE = padded(newc([("kernel/x86/microcode/GenuineIntel.bin", b"\1" * 5000)]))
FILES = [("./etc/gpuctl/cards", b"one\n"), ("usr/lib/modules/6.1/vfio-pci.ko.xz", b"\2" * 70001), ("empty", b"")]


def members(root: Path, image: bytes) -> list[Member]:
    (root / "image").write_bytes(image)
    return list(read_members(Host(str(root)), "/image", lambda name: name.startswith("etc/")))


@pytest.mark.parametrize("packing", sorted(PACKINGS))
@pytest.mark.parametrize("early", [b"", MICROCODE], ids=["alone", "microcode first"])
def test_every_packing(tmp_path: Path, packing: str, early: bytes) -> None:
    found = members(tmp_path, early + PACKINGS[packing](newc(FILES)))
    names = [member.name for member in found]
    assert names[-3:] == ["etc/gpuctl/cards", "usr/lib/modules/6.1/vfio-pci.ko.xz", "empty"]
    assert found[-3].data == b"one\n"
    assert found[-2].data is None
    assert found[-2].size == 70001


def test_archives_behind_a_compressed_one(tmp_path: Path) -> None:
    image = gzip.compress(newc([("a", b"1")])) + b"\0" * 7 + lzma.compress(newc([("b", b"2")])) + newc([("c", b"3")])
    assert [member.name for member in members(tmp_path, image)] == ["a", "b", "c"]


def test_hard_links_share_the_last_ones_data(tmp_path: Path) -> None:
    pair = {"inode": 7, "links": 2}
    image = newc([("etc/a", b"", pair), ("other", b"x"), ("bin/b", b"shared", pair)])
    found = {member.name: member.data for member in members(tmp_path, image)}
    assert found["etc/a"] == b"shared"


@pytest.mark.parametrize(
    "image",
    [
        b"no image",
        MICROCODE[:-600],
        gzip.compress(newc(FILES))[:-20],
        newc(FILES)[:150],
        b"070701" + b"zz" * 52,
        b"\x28\xb5\x2f\xfd1234",
    ],
    ids=["text", "cut", "cut gzip", "cut newc", "no numbers", "zstd without a filter"],
)
def test_damage_is_said(tmp_path: Path, image: bytes) -> None:
    with pytest.raises(UnreadableImage):
        members(tmp_path, image)


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    import tracemalloc

    image = lzma.compress(newc([("big", b"\0" * (64 << 20))]))
    (tmp_path / "image").write_bytes(image)
    tracemalloc.start()
    names = [member.name for member in read_members(Host(str(tmp_path)), "/image", lambda _: False)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert names == ["big"]
    assert peak < 16 << 20


def test_an_empty_file_is_no_image_but_no_error(tmp_path: Path) -> None:
    assert members(tmp_path, b"") == []


@given(st.data())
def test_any_bytes_are_an_answer_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    base = bytearray(MICROCODE[:1200] + PACKINGS[data.draw(st.sampled_from(sorted(PACKINGS)))](newc(FILES)))
    for _ in range(data.draw(st.integers(1, 6))):
        base[data.draw(st.integers(0, len(base) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnreadableImage):
        members(tmp_path_factory.mktemp("fuzz"), bytes(base))


@given(st.lists(st.tuples(st.from_regex(r"[a-z/]{1,30}", fullmatch=True), st.binary(max_size=3000)), max_size=8))
def test_content_is_what_was_packed(tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, bytes]]) -> None:
    root = tmp_path_factory.mktemp("packed")
    (root / "image").write_bytes(gzip.compress(newc(files)))
    found = list(read_members(Host(str(root)), "/image", lambda _: True))
    assert [sha256(member.data or b"").digest() for member in found] == [sha256(data).digest() for _, data in files]
