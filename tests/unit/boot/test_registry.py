"""The doors: when images are made anew, what is left to a person, what a host's boot is read to be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpuctl_host.boot import builders, images, initramfs_tools, registry
from gpuctl_host.boot.traits import BootRead
from gpuctl_host.changes.model import FILE, GENERATED
from gpuctl_host.data import changed
from gpuctl_host.facts.model import Boot, Facts, FileState, Image
from gpuctl_host.host import Host
from tests.unit.boot.build import WISH, facts_of, put
from tests.unit.boot.hosts import DEBIAN, HOSTS
from tests.unit.boot.image import IMAGE, RELEASE, deep, pack
from tests.work import calls


def targets(facts: Facts) -> list[str]:
    return [change.target for change in registry.plan_boot(facts, WISH)[0]]


def test_what_is_right_is_not_planned(prepared: Path) -> None:
    assert targets(deep(prepared)) == ["grub.cfg"]  # the tree's grub.cfg was not generated anew


def test_an_image_without_our_files_is_made_anew(prepared: Path) -> None:
    pack(prepared, without=initramfs_tools.SCRIPT)
    assert f"initramfs {RELEASE}" in targets(deep(prepared))


def test_an_image_of_another_record_is_made_anew(prepared: Path) -> None:
    record = prepared / "etc/gpuctl/cards"
    text = record.read_text()
    record.write_text(text.replace("1b80", "1b81"))
    pack(prepared)
    record.write_text(text)
    assert f"initramfs {RELEASE}" in targets(deep(prepared))


def test_an_image_without_the_driver_is_made_anew_unless_it_is_built_in(prepared: Path) -> None:
    """Trap 24."""
    pack(prepared, modules=[])
    assert f"initramfs {RELEASE}" in targets(deep(prepared))
    put(prepared, {f"/lib/modules/{RELEASE}/modules.builtin": "kernel/drivers/vfio/pci/vfio-pci.ko\n"})
    assert f"initramfs {RELEASE}" not in targets(deep(prepared))


def test_an_image_that_cannot_be_opened_is_unknown_not_wrong(prepared: Path) -> None:
    (prepared / IMAGE.lstrip("/")).write_bytes(b"\x28\xb5\x2f\xfd no filter below a tree")
    facts = deep(prepared)
    assert facts.images is not None
    assert facts.images[0].files is None
    assert f"initramfs {RELEASE}" not in targets(facts)


def test_every_kernel_of_the_wish_is_rebuilt_when_a_file_changes(tmp_path: Path) -> None:
    """Trap 26."""
    put(tmp_path, {**DEBIAN, "/boot/initrd.img-6.12.1": "", "/lib/modules/6.12.1/modules.builtin": ""})
    changes, _ = registry.plan_boot(facts_of(Host(str(tmp_path))), changed(WISH, kernels=(RELEASE, "6.12.1")))
    assert [change.target for change in changes if change.kind == GENERATED] == [
        f"initramfs {RELEASE}",
        "initramfs 6.12.1",
        "grub.cfg",
    ]


def test_order_is_files_then_images_then_loader(tmp_path: Path) -> None:
    put(tmp_path, DEBIAN)
    changes, _ = registry.plan_boot(facts_of(Host(str(tmp_path))), WISH)
    kinds = [(change.kind, change.target) for change in changes]
    assert kinds[-1] == (GENERATED, "grub.cfg")
    assert kinds.index((GENERATED, f"initramfs {RELEASE}")) > kinds.index((FILE, initramfs_tools.SCRIPT))


def test_a_file_that_is_no_longer_wanted_goes_if_it_is_ours(prepared: Path) -> None:
    wish = changed(WISH, blacklist=(), softdep=())
    gone = [
        change for change in registry.plan_boot(deep(prepared), wish)[0] if change.after is None and change.kind == FILE
    ]
    assert [change.target for change in gone] == ["/etc/modprobe.d/gpuctl.conf"]
    put(prepared, {"/etc/modprobe.d/gpuctl.conf": "blacklist mine\n"})
    assert not [c for c in registry.plan_boot(deep(prepared), wish)[0] if c.after is None and c.kind == FILE]


def test_options_of_a_vfio_that_is_built_in_go_on_the_command_line(tmp_path: Path) -> None:
    put(tmp_path, DEBIAN)
    facts = facts_of(Host(str(tmp_path)), vfio_pci="builtin")
    changes, _ = registry.plan_boot(facts, changed(WISH, vfio_options=("disable_idle_d3=1",)))
    dropin = next(change for change in changes if change.target.endswith("zz-gpuctl.cfg"))
    assert isinstance(dropin.after, FileState)
    assert b"vfio-pci.disable_idle_d3=1" in dropin.after.data
    conf = next(change for change in changes if change.target.endswith("gpuctl.conf"))
    assert isinstance(conf.after, FileState)
    assert b"softdep" not in conf.after.data


def test_a_plain_boot_of_a_case_file_is_enough() -> None:
    """Case files hold a Boot without traits: Debian's ways are taken."""
    boot = Boot("grub", "initramfs-tools", None, None, None, None)
    changes, manual = registry.plan_boot(facts_of(boot=boot), WISH)
    assert manual == ()
    assert [change.target for change in changes][-2:] == ["/etc/default/grub.d/zz-gpuctl.cfg", "grub.cfg"]


def test_what_switches_the_iommu_off_is_named(tmp_path: Path) -> None:
    put(tmp_path, {**DEBIAN, "/etc/default/grub": 'GRUB_CMDLINE_LINUX="iommu=off"\n'})
    _, manual = registry.plan_boot(facts_of(Host(str(tmp_path))), WISH)
    assert any("iommu=off" in line for line in manual)


def test_a_cloud_images_drop_in_is_what_counts(tmp_path: Path) -> None:
    """Trap 31: what /etc/default/grub says is not what boots."""
    put(tmp_path, HOSTS["ubuntu-cloud"])
    assert registry.read_boot(Host(str(tmp_path)), None).configured == ("console=tty1", "console=ttyS0")


def test_a_configuration_that_cannot_be_evaluated_is_unknown(tmp_path: Path) -> None:
    put(tmp_path, {**DEBIAN, "/etc/default/grub": 'GRUB_CMDLINE_LINUX="root=$(findroot)"\n'})
    assert registry.read_boot(Host(str(tmp_path)), None).configured is None


@pytest.mark.parametrize(
    ("files", "kdump"),
    [
        ({"/sys/kernel/kexec_crash_loaded": "1\n"}, True),
        ({"/sys/kernel/kexec_crash_loaded": "0\n"}, False),
        ({"/proc/cmdline": "ro crashkernel=1G\n"}, True),
        ({}, None),
    ],
)
def test_kdump(tmp_path: Path, files: dict[str, str], kdump: bool | None) -> None:
    put(tmp_path, files)
    assert registry.read_boot(Host(str(tmp_path)), None).kdump is kdump


@pytest.mark.parametrize(("byte", "on"), [(b"\1", True), (b"\0", False)])
def test_secure_boot(tmp_path: Path, byte: bytes, on: bool) -> None:
    path = tmp_path / registry._SECURE_BOOT.lstrip("/")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\6\0\0\0" + byte)
    assert registry.read_boot(Host(str(tmp_path)), None).secure_boot is on


def test_the_loader_that_ran_decides_between_two(tmp_path: Path) -> None:
    put(tmp_path, {**HOSTS["fedora-systemd-boot"], **DEBIAN})
    assert registry.read_boot(Host(str(tmp_path)), None).loader == "systemd-boot"
    info = tmp_path / "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
    info.parent.mkdir(parents=True)
    info.write_bytes(b"\6\0\0\0" + "GRUB 2.12\0".encode("utf-16-le"))
    assert registry.read_boot(Host(str(tmp_path)), None).loader == "grub"


def test_an_empty_host_is_unknown(tmp_path: Path) -> None:
    boot = registry.read_boot(Host(str(tmp_path)), None)
    assert (boot.loader, boot.initramfs, boot.entries, boot.configured) == (None, None, None, None)
    assert registry.managed_paths(boot) == []


def test_the_work_of_reading_grows_with_what_there_is_and_no_faster(tmp_path: Path) -> None:
    small, large = (_work(tmp_path / str(size), size) for size in (2, 8))
    assert large < 5 * small


def _work(root: Path, size: int) -> int:
    files = dict(DEBIAN)
    for number in range(size):
        files[f"/lib/modules/6.{number}.0/modules.builtin"] = "x\n"
    files["/boot/grub/grub.cfg"] = DEBIAN["/boot/grub/grub.cfg"] * size
    put(root, files)
    host = Host(str(root))
    registry.read_boot(host, RELEASE)  # what is imported at the first time is not counted
    return calls(lambda: registry.read_boot(host, RELEASE))


def test_names_inside_an_image_are_known_with_and_without_usr() -> None:
    tools = builders.named("initramfs-tools")
    dracut = builders.named("dracut")
    assert builders.inside(tools, "lib/udev/rules.d/10-gpuctl.rules") == "/etc/udev/rules.d/10-gpuctl.rules"
    assert builders.inside(tools, "usr/lib/udev/rules.d/10-gpuctl.rules") == "/etc/udev/rules.d/10-gpuctl.rules"
    for base in ("usr/lib/", "lib/", "var/lib/"):
        assert builders.inside(dracut, f"{base}dracut/hooks/pre-udev/05-gpuctl-early.sh") is not None
    assert builders.inside(tools, "etc/gpuctl/cards") == "/etc/gpuctl/cards"
    assert builders.inside(tools, "etc/passwd") is None


def test_an_image_is_found_where_the_entry_says(tmp_path: Path) -> None:
    put(tmp_path, HOSTS["fedora-systemd-boot"])
    host = Host(str(tmp_path))
    boot = registry.read_boot(host, None)
    assert isinstance(boot, BootRead)
    assert images.image_path(host, boot, RELEASE) == f"/efi/abc/{RELEASE}/initrd"


def test_a_rule_for_an_image_that_lacks_it_is_no_problem() -> None:
    image = Image(RELEASE, IMAGE, None, (), ("vfio_pci",), {"/etc/gpuctl/cards": "a"})
    assert images.lacks(image, WISH, {"/etc/gpuctl/cards": "a", "/etc/udev/rules.d/10-gpuctl.rules": "b"}) == ()
    assert images.lacks(image, WISH, {"/etc/gpuctl/cards": None}) != ()
    assert os.sep == "/"
