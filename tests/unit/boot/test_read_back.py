"""The doors: what is read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuctl_host.boot import registry
from gpuctl_host.command import Result
from gpuctl_host.data import changed
from gpuctl_host.host import Host
from tests.unit.boot.build import WISH, facts_of, put
from tests.unit.boot.hosts import DEBIAN, HOSTS, RHEL9
from tests.unit.boot.image import IMAGE, ORDER, RELEASE, deep, pack
from tests.unit.boot.test_registry import targets


class Live(Host):
    """A tree that counts as live: so that what commands generate is read back too."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root), live=True)


def generate(root: Path, arguments: str) -> None:
    put(root, {"/boot/grub/grub.cfg": DEBIAN["/boot/grub/grub.cfg"].replace("ro  quiet", f"ro  quiet {arguments}")})


def test_read_back_finds_nothing_when_all_is_well(prepared: Path) -> None:
    generate(prepared, "intel_iommu=on iommu=pt")
    assert registry.verify_boot(Live(prepared), facts_of(Live(prepared)), WISH) == []
    assert targets(deep(prepared)) == []


def test_read_back_says_what_is_missing(prepared: Path) -> None:
    """Trap 27: a file written is not a file read."""
    facts = facts_of(Live(prepared))
    generate(prepared, "iommu=pt")
    pack(
        prepared,
        order=ORDER.replace('/scripts/init-top/gpuctl "$@"\n', "") + '/scripts/init-top/gpuctl "$@"\n',
        modules=[],
    )
    (prepared / "etc/gpuctl/cards").write_text("edited\n")
    problems = registry.verify_boot(Live(prepared), facts, WISH)
    assert any("/etc/gpuctl/cards is not what was written" in line for line in problems)
    assert any("lacks intel_iommu=on" in line for line in problems)
    assert any("has no vfio_pci" in line for line in problems)
    assert any("starts udev before" in line for line in problems)


def test_read_back_of_an_image_that_cannot_be_opened_is_a_problem(prepared: Path) -> None:
    generate(prepared, "intel_iommu=on iommu=pt")
    (prepared / IMAGE.lstrip("/")).write_bytes(b"\x02\x21\x4c\x18" + b"x" * 100)
    assert any(
        "could not be opened" in line for line in registry.verify_boot(Live(prepared), facts_of(Live(prepared)), WISH)
    )


def test_read_back_below_a_tree_is_of_files_alone(prepared: Path) -> None:
    assert registry.verify_boot(Host(str(prepared)), facts_of(Host(str(prepared))), WISH) == []
    (prepared / "etc/udev/rules.d/10-gpuctl.rules").unlink()
    assert registry.verify_boot(Host(str(prepared)), facts_of(Host(str(prepared))), WISH) == [
        "/etc/udev/rules.d/10-gpuctl.rules is not there"
    ]


def test_read_back_of_boot_loader_entries(tmp_path: Path) -> None:
    put(tmp_path, RHEL9)
    problems = registry.verify_boot(Live(tmp_path), facts_of(Live(tmp_path)), changed(WISH, cards=()))
    assert problems == [
        f"the entry of {RELEASE} in /boot/loader/entries/abc-{RELEASE}.conf lacks intel_iommu=on",
        f"the entry of {RELEASE} in /boot/loader/entries/abc-{RELEASE}.conf lacks iommu=pt",
    ]


class Proxmox(Live):
    """Its one ESP appears where it is mounted."""

    def __init__(self, root: Path, entry: str, *, status: int = 0) -> None:
        super().__init__(root)
        self.entry, self.status, self.ran = entry, status, []

    def run(self, argv, *, timeout, stdin="", env=None):
        self.ran.append(argv[0])
        place = Path(self.root) / "run/gpuctl/esp/loader/entries"
        if argv[0] == "mount" and not self.status:
            put(place, {"proxmox-6.conf": self.entry})
        elif argv[0] == "umount":
            (place / "proxmox-6.conf").unlink()
        return Result(tuple(argv), 0 if argv[0] == "mkdir" else self.status, "", "no")


@pytest.mark.parametrize(
    ("options", "status", "expected"),
    [
        ("root=ZFS=x intel_iommu=on iommu=pt", 0, []),
        ("root=ZFS=x", 0, ["lacks intel_iommu=on", "lacks iommu=pt"]),
        ("", 32, ["an ESP could not be looked into"]),
    ],
)
def test_read_back_of_proxmox_looks_into_its_esps(
    tmp_path: Path, options: str, status: int, expected: list[str]
) -> None:
    put(tmp_path, HOSTS["proxmox-efi"])
    entry = f"title Proxmox\nversion 6.8.12-1-pve\noptions   {options}\nlinux /EFI/proxmox/6.8/vmlinuz\ninitrd /EFI/proxmox/6.8/initrd\n"
    host = Proxmox(tmp_path, entry, status=status)
    problems = registry.verify_boot(host, facts_of(Host(str(tmp_path))), changed(WISH, cards=()))
    assert len(problems) == len(expected)
    assert all(want in line for want, line in zip(expected, problems))
    assert host.ran == (["mkdir", "mount", "umount"] if not status else ["mkdir", "mount"])
