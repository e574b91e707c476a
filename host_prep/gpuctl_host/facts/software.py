"""Programs above the kernel: QEMU, libvirt, vfio-pci, and services that are known to hold cards."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from gpuctl_host.errors import ToolError
from gpuctl_host.facts.model import Software

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl_host.facts.model import Kernel
    from gpuctl_host.host import Host

_DPKG = "/var/lib/dpkg/status"
_PACMAN = "/var/lib/pacman/local"
_QEMU_DEBS = (
    "qemu-system-x86",
    "qemu-system-x86-xen",
    "qemu-system-arm",
    "qemu-system-ppc",
    "pve-qemu-kvm",
    "qemu-kvm",
)
_LIBVIRT_DEBS = ("libvirt-daemon", "libvirt-daemon-system", "libvirt0")
_QEMU_COMMANDS = ("/usr/libexec/qemu-kvm", "qemu-system-x86_64", "qemu-system-aarch64", "qemu-kvm")
_LIBVIRT_COMMANDS = ("libvirtd", "virtqemud")
_UNIT_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_SERVICES = (
    "nvidia-persistenced",
    "nvidia-fabricmanager",
    "nvidia-dcgm",
    "dcgm",
    "dcgm-exporter",
    "nvidia-dcgm-exporter",
    "nvidia-powerd",
    "nvidia-vgpu-mgr",
    "nvidia-vgpud",
    "nvidia-sriov-manage",
    "nvidia-mig-manager",
    "nvidia-cdi-refresh",
    "display-manager",
    "gdm",
    "lightdm",
    "sddm",
    "ollama",
    "rocm-exporter",
)
_DEADLINE = 5.0  # seconds; each answers in a few hundredths


def read_software(host: Host, kernel: Kernel, learned: dict[str, object]) -> Software:
    """Return the versions and the state of what passthrough needs.

    Args:
        host: the host.
        kernel: the running kernel, whose modules matter.
        learned: what a capture has noted, for a tree where no command can be run.
    """
    dpkg = host.read_bytes(_DPKG, 64 << 20) or b""
    pacman = host.names(_PACMAN)
    return Software(
        qemu=_deb(dpkg, _QEMU_DEBS)
        or _arch(pacman, ("qemu-system-x86", "qemu-base", "qemu-full", "qemu"))
        or _asked(host, _QEMU_COMMANDS, " version ")
        or _noted(learned, "qemu"),
        libvirt=_deb(dpkg, _LIBVIRT_DEBS)
        or _arch(pacman, ("libvirt",))
        or _asked(host, _LIBVIRT_COMMANDS, ") ")
        or _noted(learned, "libvirt"),
        vfio_pci=_vfio_pci(host, kernel),
        vfio_nodes=_vfio_nodes(host),
        services=tuple(name for name in _SERVICES if _has_unit(host, name)),
    )


def _deb(status: bytes, packages: Sequence[str]) -> str | None:
    """The upstream version of the first of ``packages`` that is installed, from dpkg's own data base."""
    for package in packages:
        at = (b"\n" + status[:512]).find(f"\nPackage: {package}\n".encode())
        at = at if at >= 0 else status.find(f"\nPackage: {package}\n".encode()) + 1
        if at <= 0 and not status.startswith(f"Package: {package}\n".encode()):
            continue
        paragraph = status[at : status.find(b"\n\n", at + 1)]
        fields = dict(line.split(b": ", 1) for line in paragraph.split(b"\n") if b": " in line and line[:1] != b" ")
        if not fields.get(b"Status", b"").endswith(b" installed"):
            continue
        version = fields.get(b"Version", b"").decode("utf-8", "replace").strip()
        return _upstream(version.rpartition(":")[2])
    return None


def _arch(names: Sequence[str], packages: Sequence[str]) -> str | None:
    """The version of a pacman package: its folder is NAME-VERSION-RELEASE."""
    for package in packages:
        for name in names:
            stem, _, _ = name.rpartition("-")
            title, _, version = stem.rpartition("-")
            if title == package:
                return _upstream(version.rpartition(":")[2])
    return None


def _upstream(version: str) -> str | None:
    """The digits and dots that a version starts with: "7.2+dfsg-7+deb12u5" is 7.2."""
    end = next(
        (i for i, char in enumerate(version) if not (char.isascii() and (char.isdigit() or char == "."))), len(version)
    )
    return version[:end].strip(".") or None


def _asked(host: Host, commands: Sequence[str], before: str) -> str | None:
    """What the program itself says; only on a live host, and where no package data base could tell."""
    if not host.live or host.root != "/":
        return None
    for command in commands:
        path = command if command.startswith("/") else host.which(command)
        if path is None or not host.exists(path):
            continue
        try:
            answer = host.run([path, "--version"], timeout=_DEADLINE)
        except ToolError:
            continue
        version = _upstream(answer.stdout.partition(before)[2].strip())
        if version:
            return version
    return None


def _noted(learned: dict[str, object], key: str) -> str | None:
    value = learned.get(key)
    return value if isinstance(value, str) else None


def _vfio_pci(host: Host, kernel: Kernel) -> str | None:
    """Where vfio-pci is for the running kernel; None if its modules cannot be seen."""
    if kernel.builtin is not None and "vfio_pci" in kernel.builtin:
        return "builtin"
    if kernel.modules is not None and "vfio_pci" in kernel.modules:
        return "module"
    if kernel.release is None:
        return None
    listed = host.read_bytes(f"/lib/modules/{kernel.release}/modules.dep", 16 << 20)
    if listed is None:
        return "builtin" if (kernel.config or {}).get("CONFIG_VFIO_PCI") == "y" else None
    if b"/vfio-pci.ko" in listed or b"/vfio_pci.ko" in listed:
        return "module"
    return "missing" if kernel.builtin is not None else None


def _vfio_nodes(host: Host) -> tuple[tuple[str, int], ...]:
    found = []
    for folder in ("/dev/vfio", "/dev/vfio/devices"):
        for name in host.names(folder)[:4096]:
            state = host.stat(f"{folder}/{name}")
            if state is not None and not stat.S_ISDIR(state.st_mode):
                found.append((f"{folder}/{name}", stat.S_IMODE(state.st_mode)))
    return tuple(found)


def _has_unit(host: Host, name: str) -> bool:
    return any(host.stat(f"{folder}/{name}.service", follow=False) is not None for folder in _UNIT_FOLDERS)
