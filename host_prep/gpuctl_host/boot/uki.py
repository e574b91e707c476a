"""Unified kernel images: command line and initramfs are in a signed file. What to do is said, nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot import cmdline, pe
from gpuctl_host.boot.loading import LoaderPlan, LoaderRead
from gpuctl_host.facts.model import BootEntry

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Boot, Facts
    from gpuctl_host.host import Host

NAME = "uki"
PRINT_ONLY = True
FOLDERS = ("/efi/EFI/Linux", "/boot/efi/EFI/Linux", "/boot/EFI/Linux")


def present(host: Host) -> bool:
    """Say whether there are unified kernel images on the ESP."""
    return any(name.lower().endswith(".efi") for folder in FOLDERS for name in host.names(folder))


def read(host: Host, installed: tuple[str, ...]) -> LoaderRead:  # noqa: ARG001 - one form for all back-ends
    """Return one entry an image, with the command line that is inside it."""
    entries = []
    for folder in FOLDERS:
        for name in host.names(folder):
            if not name.lower().endswith(".efi"):
                continue
            sections = pe.read_sections(host, f"{folder}/{name}", (".cmdline", ".uname")) or {}
            line = sections.get(".cmdline")
            release = sections.get(".uname", "").strip("\0 \n") or None
            tokens = cmdline.split(line.rstrip("\0")) if line is not None else None
            entries.append(BootEntry(release, tokens, None, None, f"{folder}/{name}"))
    configured = host.read("/etc/kernel/cmdline")
    return LoaderRead(tuple(entries), None if configured is None else cmdline.split(configured))


def paths(boot: Boot) -> tuple[str, ...]:  # noqa: ARG001 - one form for all back-ends
    """Return nothing: nothing is written."""
    return ()


def plan(facts: Facts, arguments: tuple[str, ...], *, new_images: bool) -> LoaderPlan:  # noqa: ARG001 - one form for all back-ends
    """Return what a person has to do."""
    told = []
    if arguments:
        told.append(f"add `{' '.join(arguments)}` to /etc/kernel/cmdline (it goes into the image's .cmdline)")
    images = ", ".join(entry.source for entry in facts.boot.entries or ())
    told.append(
        "make each image anew, with vfio-pci and the files below inside, by the tool that made it (`kernel-install add "
        "RELEASE /usr/lib/modules/RELEASE/vmlinuz`, `dracut --uefi --force`, `mkinitcpio -P` or `ukify build`), and "
        f"sign it with your key if Secure Boot is on: {images}"
    )
    return LoaderPlan(manual=tuple(told))
