"""proxmox-boot-tool: copies kernels, images and entries to each of its ESPs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.tools import BUILD, QUICK, ran

if TYPE_CHECKING:
    from gpuctl_host.host import Host


def argv() -> tuple[str, ...]:
    """Return the command that writes the present configuration to every ESP."""
    return ("proxmox-boot-tool", "refresh")


def refresh(host: Host) -> None:
    """Every ESP has the present kernels, images and command line.

    Raises:
        ToolError: it failed.
    """
    ran(
        host,
        argv(),
        timeout=BUILD,
        what="writing the ESPs",
        resolution="see `proxmox-boot-tool status`; an ESP that is gone is dropped with `proxmox-boot-tool clean`",
    )


def status(host: Host) -> dict[str, str]:
    """Return each configured ESP's UUID with how it boots: "grub", "uefi" or both.

    Raises:
        ToolError: it failed.
    """
    answer = ran(
        host, ("proxmox-boot-tool", "status"), timeout=QUICK, what="asking for the ESPs", resolution="run it by hand"
    )
    found = {}
    for line in answer.stdout.splitlines():
        uuid, separator, rest = line.partition(" is configured with: ")
        if separator:
            found[uuid.strip()] = rest.split("(", 1)[0].strip()
    return found
