"""initramfs-tools (Debian, Ubuntu, Proxmox): a hook that copies, a script in init-top that runs before udev's.

Order in init-top: mkinitramfs writes scripts/init-top/ORDER from a topological sort of the scripts' `prereqs`
(hook-functions, cache_run_scripts). Neither ours nor udev's names any, and tsort then goes by name: gpuctl, udev. As
that is tsort's habit and no promise, the built image's ORDER is read back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot.planning import Leave
from gpuctl_host.changes.model import GENERATED, REBOOT, Change
from gpuctl_host.templates import render_script
from gpuctl_host.tools import BUILD, update_initramfs

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Boot
    from gpuctl_host.host import Host

NAME = "initramfs-tools"
HOOK = "/etc/initramfs-tools/hooks/gpuctl"
SCRIPT = "/etc/initramfs-tools/scripts/init-top/gpuctl"
PATHS: tuple[str, ...] = (HOOK, SCRIPT)
ORDER = "scripts/init-top/ORDER"


def present(host: Host) -> bool:
    """Say whether it makes this host's images; dracut's package may bring an update-initramfs of its own."""
    return host.which("mkinitramfs") is not None


def configured(host: Host) -> bool:
    """Say whether its configuration is there: for a captured tree without programs."""
    return host.exists("/etc/initramfs-tools/initramfs.conf")


def image_names(release: str) -> tuple[str, ...]:
    """Return where the image of a kernel may be."""
    return (f"/boot/initrd.img-{release}",)


def traits(host: Host, installed: tuple[str, ...]) -> dict[str, str]:
    """Return `initramfs_state`: files that older versions keep beside each image, a checksum among them."""
    names = [f"/var/lib/initramfs-tools/{release}" for release in installed]
    return {"initramfs_state": "\n".join(name for name in names if host.exists(name))}


def leaves() -> tuple[Leave, ...]:
    """Return the hook and the early script."""
    return (
        Leave(HOOK, render_script("initramfs-hook.sh"), "copies the record and the drivers into every image", 0o755),
        Leave(SCRIPT, render_script("early.sh"), "gives the cards to their driver before udev starts", 0o755),
    )


def inside(name: str) -> str | None:
    """Return which file of ours ``name`` (inside an image) is a copy of."""
    return SCRIPT if name == "scripts/init-top/gpuctl" else None


def rebuild(boot: Boot, release: str, image: str) -> Change:
    """Return the Change that makes the image of ``release`` anew."""
    from gpuctl_host.boot.traits import listed

    state = tuple(name for name in listed(boot, "initramfs_state") if name.endswith("/" + release))
    return Change(
        GENERATED,
        f"initramfs {release}",
        None,
        None,
        "the image that boots next has to hold the record, the script and the drivers",
        REBOOT,
        (image, *state),
        update_initramfs.argv(release),
        BUILD,
    )


def order_problem(order: str) -> str | None:
    """Return what is wrong with the order of the scripts in a built image, or None."""
    names = [line.split()[0].rpartition("/")[2] for line in order.splitlines() if line.startswith("/scripts/")]
    if "gpuctl" not in names:
        return "its init-top does not call the gpuctl script"
    if "udev" in names and names.index("udev") < names.index("gpuctl"):
        return "its init-top starts udev before the gpuctl script"
    return None
