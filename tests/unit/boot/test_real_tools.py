"""The distributions' own tools, in a chroot of their packages, on what we leave: hooks run, order holds, drop-ins win.

Needs mmdebstrap, root and a package registry; the roots are kept in GPUCTL_BOOTLAB (by default ~/.cache/gpuctl/bootlab).
Nothing of this machine is touched: every command runs inside the root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gpuctl_host.boot import builders, images, initramfs_tools, registry
from gpuctl_host.data import changed
from gpuctl_host.facts.model import Image
from gpuctl_host.host import Host
from tests.unit.boot.build import WISH, facts_of, put, write_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.machine,
    pytest.mark.network,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mmdebstrap") is None, reason="needs root and mmdebstrap"),
]

LAB = Path(os.environ.get("GPUCTL_BOOTLAB", Path.home() / ".cache/gpuctl/bootlab"))
ROOTS = {
    "deb-root": ("bookworm", "linux-image-amd64,initramfs-tools,grub-pc,zstd,kmod,udev,systemd-sysv,busybox"),
    "dracut-root": ("bookworm", "linux-image-amd64,dracut,kmod,udev,systemd-sysv,zstd,cpio,grub-pc"),
    "trixie-root": ("trixie", "linux-image-amd64,dracut,kmod,udev,systemd-sysv,zstd,cpio"),
}
PROBE = """#!/bin/sh
case "$*" in
*--target=device*) echo /dev/vda2 ;;
*fs_uuid*) echo 1111-2222 ;;
*--target=fs*) echo ext2 ;;
esac
"""


def root_of(name: str) -> Path:
    root = LAB / name
    if not (root / "etc/os-release").exists():
        LAB.mkdir(parents=True, exist_ok=True)
        suite, packages = ROOTS[name]
        new = LAB / f"{name}.{os.getpid()}"  # renamed when whole: half a root would look like one
        argv = ["mmdebstrap", "--variant=minbase", "--mode=root", f"--include={packages}"]
        argv += ['--aptopt=Apt::Install-Recommends "false"', suite, str(new)]
        made = subprocess.run(argv, check=False, capture_output=True, text=True)
        if made.returncode:
            shutil.rmtree(new, ignore_errors=True)
            pytest.skip(f"no {suite} packages to be had: {made.stderr.strip().splitlines()[-1]}")
        new.rename(root)
    return root


def release_of(root: Path) -> str:
    return max(path.name for path in (root / "usr/lib/modules").iterdir())


def prepared(root: Path) -> str:
    """Write below ``root`` what prepare leaves, from scratch; return the kernel's release."""
    release = release_of(root)
    host = Host(str(root))
    if not (root / "etc/default/grub").exists():  # a root without a boot loader: one is made up
        put(root, {"/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n'})
    for path in registry.managed_paths(registry.read_boot(host, release)):
        (root / path.lstrip("/")).unlink(missing_ok=True)
    changes, _ = registry.plan_boot(facts_of(host, installed=(release,)), changed(WISH, kernels=(release,)))
    write_files(root, changes)
    return release


def inside(root: Path, *argv: str) -> str:
    answer = subprocess.run(["chroot", str(root), *argv], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


def read(root: Path, release: str) -> tuple[Image, str]:
    """Read the built image with this machine's zstd, as a live host would."""
    boot = registry.read_boot(Host(str(root)), release)
    path = images.image_path(Host(str(root)), boot, release)
    assert path is not None
    return images.read_image(Host("/"), boot, release, f"{root}{path}"), f"{root}{path}"


def test_initramfs_tools_runs_the_hook_and_orders_the_script_before_udev() -> None:
    root = root_of("deb-root")
    release = prepared(root)
    inside(root, "update-initramfs", "-u", "-k", release)
    image, path = read(root, release)
    facts = facts_of(Host(str(root)))
    assert images.lacks(image, WISH, builders.expected(facts, WISH)) == ()
    assert initramfs_tools.order_problem(images.read_order(Host("/"), path) or "") is None
    assert {"vfio_pci", "vfio_iommu_type1"} <= set(image.modules or ())


def test_grub_mkconfig_reads_our_drop_in_last_and_keeps_recovery_clean() -> None:
    root = root_of("deb-root")
    probe = root / "usr/sbin/grub-probe"
    kept = probe.read_bytes()
    cloud = root / "etc/default/grub.d/50-cloudimg-settings.cfg"
    try:
        put(
            root,
            {
                "/usr/sbin/grub-probe*": PROBE,
                "/etc/default/grub.d/50-cloudimg-settings.cfg": 'GRUB_CMDLINE_LINUX_DEFAULT="console=ttyS0"\n',
            },
        )
        prepared(root)
        inside(root, "update-grub")
    finally:
        probe.write_bytes(kept)
    boot = registry.read_boot(Host(str(root)), None)
    cloud.unlink()
    assert boot.configured == ("console=ttyS0", "intel_iommu=on", "iommu=pt")
    assert boot.entries
    for entry in boot.entries:
        assert entry.cmdline is not None
        assert entry.cmdline[-3:] == boot.configured
    text = (root / "boot/grub/grub.cfg").read_text()
    assert all("iommu" not in line for line in text.splitlines() if " single" in line)


@pytest.mark.parametrize("name", ["dracut-root", "trixie-root"])
def test_dracut_takes_the_module(name: str) -> None:
    root = root_of(name)
    release = prepared(root)
    inside(root, "depmod", release)  # the package's own hooks may not have, in a root without a boot
    inside(root, "dracut", "--force", "--no-hostonly", "--gzip", f"/boot/initrd.img-{release}", release)
    image, _ = read(root, release)
    facts = facts_of(Host(str(root)))
    assert images.lacks(image, WISH, builders.expected(facts, WISH)) == ()
    hooks = [name for name in image.files or () if "/hooks/pre-udev/" in name]
    assert any(name.endswith("05-gpuctl-early.sh") for name in hooks), hooks


def test_udevadm_finds_no_fault_in_the_rules() -> None:
    root = root_of("trixie-root")
    prepared(root)
    assert "Fail:    0" in inside(root, "udevadm", "verify", "/etc/udev/rules.d/10-gpuctl.rules")
