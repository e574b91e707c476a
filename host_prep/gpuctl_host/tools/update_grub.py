"""GRUB's configuration, generated anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.tools import BUILD, ran

if TYPE_CHECKING:
    from gpuctl_host.host import Host


def mkconfig(host: Host) -> str | None:
    """Return where this host's grub-mkconfig is (grub2-mkconfig at SUSE and Fedora), or None."""
    return host.which("grub-mkconfig") or host.which("grub2-mkconfig")


def argv(command: str, config: str) -> tuple[str, ...]:
    """Return the command that generates ``config``.

    Args:
        command: update-grub or a grub-mkconfig, with or without its path.
        config: path of grub.cfg; update-grub knows it by itself.
    """
    return (command,) if command.endswith("update-grub") else (command, "-o", config)


def update_grub(host: Host, command: str, config: str) -> None:
    """grub.cfg is generated from the present configuration.

    Raises:
        ToolError: it failed; grub.cfg is as it was (grub-mkconfig writes a new file beside it first).
    """
    ran(
        host,
        argv(command, config),
        timeout=BUILD,
        what="making grub.cfg",
        resolution=f"run `{' '.join(argv(command, config))}` by hand and mend what it complains about",
    )
