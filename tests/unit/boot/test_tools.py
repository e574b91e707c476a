"""One typed function a command: what is run, and what is said when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuctl_host.command import Result
from gpuctl_host.errors import NotLive, ToolError
from gpuctl_host.host import Host
from gpuctl_host.tools import (
    decompress,
    dracut,
    grubby,
    kernel_install,
    mkinitcpio,
    modprobe,
    proxmox_boot_tool,
    udevadm,
    update_grub,
    update_initramfs,
)


class Recorder(Host):
    """Runs nothing and remembers."""

    def __init__(self, root: Path, *, status: int = 0, stdout: str = "", stderr: str = "") -> None:
        super().__init__(str(root), live=True)
        self.answer = (status, stdout, stderr)
        self.calls: list[tuple[tuple[str, ...], float]] = []

    def run(self, argv, *, timeout, stdin="", env=None):
        self.calls.append((tuple(argv), timeout))
        return Result(tuple(argv), *self.answer)


CALLS = [
    (lambda host: update_grub.update_grub(host, "update-grub", "/boot/grub/grub.cfg"), ("update-grub",)),
    (
        lambda host: update_grub.update_grub(host, "grub2-mkconfig", "/boot/grub2/grub.cfg"),
        ("grub2-mkconfig", "-o", "/boot/grub2/grub.cfg"),
    ),
    (lambda host: update_initramfs.update(host, "6.1"), ("update-initramfs", "-u", "-k", "6.1")),
    (lambda host: kernel_install.add(host, "6.1", "/v"), ("kernel-install", "add", "6.1", "/v")),
    (proxmox_boot_tool.refresh, ("proxmox-boot-tool", "refresh")),
    (lambda host: modprobe.load(host, "vfio-pci"), ("modprobe", "--", "vfio-pci")),
    (udevadm.reload_rules, ("udevadm", "control", "--reload")),
]


@pytest.mark.parametrize(("call", "argv"), CALLS, ids=[argv[0] for _, argv in CALLS])
def test_what_is_run_and_what_is_said(tmp_path: Path, call, argv: tuple[str, ...]) -> None:
    host = Recorder(tmp_path)
    call(host)
    assert host.calls[0][0] == argv
    assert host.calls[0][1] >= 30
    with pytest.raises(ToolError) as failed:
        call(Recorder(tmp_path, status=3, stderr="it is broken\n"))
    assert argv[0] in failed.value.brief
    assert "it is broken" in failed.value.details
    assert failed.value.resolution


def test_grubby_info(tmp_path: Path) -> None:
    text = 'index=0\nkernel="/boot/vmlinuz-6.1"\nargs="ro iommu=pt $tuned_params"\nindex=1\nkernel="/boot/vmlinuz-5"\n'
    assert [entry["kernel"] for entry in grubby.info(Recorder(tmp_path, stdout=text))] == [
        "/boot/vmlinuz-6.1",
        "/boot/vmlinuz-5",
    ]


def test_proxmox_status(tmp_path: Path) -> None:
    text = "Re-executing ...\nSystem currently booted with uefi\nABCD-1234 is configured with: uefi (versions: 6.8)\n"
    assert proxmox_boot_tool.status(Recorder(tmp_path, stdout=text)) == {"ABCD-1234": "uefi"}


def test_a_captured_tree_has_no_filter(tmp_path: Path) -> None:
    assert decompress.argv(Host(str(tmp_path)), "zstd") is None
    with pytest.raises(ToolError):
        list(decompress.stream(Host(str(tmp_path)), "zstd", "/x", 0))


def test_no_command_runs_below_a_tree(tmp_path: Path) -> None:
    with pytest.raises(NotLive):
        udevadm.reload_rules(Host(str(tmp_path)))


def test_the_commands_that_plans_name() -> None:
    assert grubby.argv(["iommu=pt"], ["x"]) == ("grubby", "--update-kernel=ALL", "--remove-args=x", "--args=iommu=pt")
    assert dracut.argv("/boot/i", "6.1") == ("dracut", "--force", "/boot/i", "6.1")
    assert mkinitcpio.argv("linux") == ("mkinitcpio", "-p", "linux")
