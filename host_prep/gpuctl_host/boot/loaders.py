"""Which boot loader starts this host's kernels: by what is there, not by the distribution's name or version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot import bls, grub, ostree, proxmox, systemd_boot, uki

if TYPE_CHECKING:
    from gpuctl_host.boot.loading import Loader
    from gpuctl_host.host import Host

LOADERS: tuple[Loader, ...] = (ostree, proxmox, bls, systemd_boot, uki, grub)


def find(host: Host) -> Loader | None:
    """Return the loader in use, or None if it is none that we know.

    The order tells apart what looks alike: ostree keeps BLS entries too, Proxmox has a GRUB that boots nothing, and a
    GRUB that was installed and replaced leaves its /etc/default/grub behind. Where a host has both a grub.cfg and
    entries or images on the ESP, the loader that started it says so in an EFI variable.
    """
    found = [loader for loader in LOADERS if loader.present(host)]
    if not found:
        return None
    if found[0] in (systemd_boot, uki) and grub in found and "grub" in loader_info(host).lower():
        return grub if not host.which("sdbootutil") else found[0]
    return found[0]


def named(name: str | None) -> Loader | None:
    """Return a loader by its name."""
    return next((loader for loader in LOADERS if name == loader.NAME), None)


def loader_info(host: Host) -> str:
    """Return what the loader that started this host calls itself ("systemd-boot 255", "GRUB 2.12"), or nothing."""
    data = host.read_bytes("/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", 4096)
    return data[4:].decode("utf-16-le", "replace").strip("\0") if data else ""
