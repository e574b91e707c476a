"""Proxmox with proxmox-boot-tool: kernels, images and entries are copied to ESPs that are not mounted.

Each ESP boots with GRUB or with systemd-boot (`proxmox-boot-tool status`), and one host may have both: the arguments
go to GRUB's drop-in and, where the file is there, to /etc/kernel/cmdline; one refresh writes them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot import blsentry, grub, systemd_boot
from gpuctl_host.boot.loading import LoaderPlan, LoaderRead
from gpuctl_host.boot.planning import Leave, content, file_change
from gpuctl_host.boot.traits import trait
from gpuctl_host.changes.model import GENERATED, REBOOT, Change
from gpuctl_host.facts.model import BootEntry
from gpuctl_host.templates import grub as template
from gpuctl_host.tools import BUILD, mount, proxmox_boot_tool

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Boot, Facts
    from gpuctl_host.host import Host

NAME = "proxmox"
PRINT_ONLY = False
UUIDS = "/etc/kernel/proxmox-boot-uuids"


def present(host: Host) -> bool:
    """Say whether proxmox-boot-tool keeps ESPs: without that file it does nothing, and GRUB boots as on Debian."""
    return bool(host.word(UUIDS))


def read(host: Host, installed: tuple[str, ...]) -> LoaderRead:
    """Return what is configured; the entries lie on ESPs that are not mounted, so they cannot be seen from here."""
    efi = host.is_dir("/sys/firmware/efi")
    kernel = systemd_boot.read_configured(host) if host.exists(systemd_boot.CMDLINE) else None
    below = grub.read(host, installed)
    found = dict(below.traits)
    found["proxmox_cmdline"] = "yes" if kernel is not None else "no"
    configured = kernel if efi and kernel is not None else below.configured
    return LoaderRead(None, configured, tuple(found.items()))


def read_back(host: Host) -> tuple[BootEntry, ...]:
    """Return the entries on every ESP, each mounted read-only for a moment.

    Raises:
        ToolError: an ESP that is configured could not be mounted.
    """
    found: list[BootEntry] = []
    for uuid in (host.read(UUIDS) or "").split():
        with mount.read_only(host, f"/dev/disk/by-uuid/{uuid}") as base:
            said = [(entry.release, entry.options) for entry in blsentry.read_all(host, f"{base}/loader/entries", {})]
            menu = grub.read_entries(host, f"{base}/grub/grub.cfg") or ()
            said += [(entry.release, entry.cmdline or ()) for entry in menu]
            found += [BootEntry(release, tokens, None, None, f"ESP {uuid}") for release, tokens in said]
    return tuple(found)


def paths(boot: Boot) -> tuple[str, ...]:  # noqa: ARG001 - one form for all back-ends
    """Return the files that the arguments go to."""
    return (template.PATH, systemd_boot.CMDLINE)


def plan(facts: Facts, arguments: tuple[str, ...], *, new_images: bool) -> LoaderPlan:
    """Return the arguments' files and one refresh."""
    from gpuctl_host.boot import cmdline

    changes = []
    own = template.read_grub_dropin(content(facts, template.PATH) or "")
    wanted = cmdline.union(own, arguments)
    if wanted:
        leave = Leave(
            template.PATH, template.render_grub_dropin(wanted), f"ESPs with GRUB get {' '.join(wanted)}", in_image=False
        )
        change = file_change(facts, leave)
        changes += [change] if change else []
    if content(facts, systemd_boot.CMDLINE) is not None or trait(facts.boot, "proxmox_cmdline") == "yes":
        change = systemd_boot.cmdline_change(facts, arguments)
        changes += [change] if change else []
    if changes or new_images:
        changes.append(regenerate(facts.boot))
    return LoaderPlan(tuple(changes))


def regenerate(boot: Boot) -> Change:
    """Return the Change that writes every ESP anew, from the configuration and the images in /boot."""
    config = trait(boot, "grub_config", "/boot/grub/grub.cfg")
    reason = "what boots lies on the ESPs: kernels, images and arguments are copied there"
    return Change(GENERATED, "ESPs", None, None, reason, REBOOT, (config,), proxmox_boot_tool.argv(), BUILD)
