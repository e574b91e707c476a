"""mkinitcpio (Arch): an install hook, and an early hook, all of which run before udev's uevents.

Images with the `systemd` hook run no such scripts; in them the udev rules do the work, and the drivers are there.
A preset with a configuration of its own (`ALL_config=`) makes mkinitcpio pass over drop-ins; this is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot import shellvars
from gpuctl_host.boot.planning import Leave
from gpuctl_host.boot.traits import trait
from gpuctl_host.changes.model import GENERATED, REBOOT, Change
from gpuctl_host.templates import header, render_script
from gpuctl_host.tools import BUILD, mkinitcpio

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Boot
    from gpuctl_host.host import Host

NAME = "mkinitcpio"
INSTALL = "/etc/initcpio/install/gpuctl"
SCRIPT = "/etc/initcpio/hooks/gpuctl"
CONF = "/etc/mkinitcpio.conf.d/gpuctl.conf"
PATHS: tuple[str, ...] = (INSTALL, SCRIPT, CONF)


def present(host: Host) -> bool:
    """Say whether it is installed."""
    return host.which("mkinitcpio") is not None


def configured(host: Host) -> bool:
    """Say whether its configuration is there: for a captured tree without programs."""
    return host.exists("/etc/mkinitcpio.conf")


def image_names(release: str) -> tuple[str, ...]:
    """Return where an image is by release; presets name theirs by package, see `traits`."""
    return (f"/boot/initramfs-{release}.img",)


def traits(host: Host, installed: tuple[str, ...]) -> dict[str, str]:
    """Return each kernel's preset and images, and `mkinitcpio_systemd` and `mkinitcpio_config` where they hold."""
    found = {}
    for release in installed:
        package = host.word(f"/usr/lib/modules/{release}/pkgbase") or host.word(f"/lib/modules/{release}/pkgbase")
        text = host.read(f"/etc/mkinitcpio.d/{package}.preset") if package else None
        if not package or text is None:
            continue
        values = shellvars.evaluate([text])
        names = (values.get("PRESETS") or "").split()
        images = [values.get(f"{name}_image") for name in names]
        found[f"preset {release}"] = package
        found[f"images {release}"] = "\n".join(image for image in images if image)
        if any(values.get(f"{name}_config") for name in ("ALL", *names)):
            found["mkinitcpio_config"] = f"/etc/mkinitcpio.d/{package}.preset"
    hooks = shellvars.evaluate([host.read("/etc/mkinitcpio.conf")]).get("HOOKS") or ""
    if "systemd" in hooks.split():
        found["mkinitcpio_systemd"] = "yes"
    return found


def leaves() -> tuple[Leave, ...]:
    """Return the two hooks and the drop-in that asks for them."""
    early = render_script("early.sh").replace("\ngpuctl_early\n", "\n")
    body = early[early.index("\n# A subshell") :]
    script = f"#!/usr/bin/ash\n{header()}\nrun_earlyhook() {{\n\tgpuctl_early\n}}\n{body}"
    return (
        Leave(INSTALL, render_script("mkinitcpio-install.sh"), "copies the record and the drivers into every image"),
        Leave(SCRIPT, script, "gives the cards to their driver before udev starts"),
        Leave(CONF, render_script("mkinitcpio.conf"), "asks mkinitcpio for the hook"),
    )


def inside(name: str) -> str | None:
    """Return which file of ours ``name`` (inside an image) is a copy of."""
    return SCRIPT if name == "hooks/gpuctl" else None


def rebuild(boot: Boot, release: str, image: str) -> Change:
    """Return the Change that makes the images of a kernel's preset anew."""
    preset = trait(boot, f"preset {release}")
    images = tuple(trait(boot, f"images {release}").splitlines()) or (image,)
    argv = mkinitcpio.argv(preset) if preset else ("mkinitcpio", "-k", release, "-g", image)
    return Change(
        GENERATED,
        f"initramfs {release}",
        None,
        None,
        "the image that boots next has to hold the record, the script and the drivers",
        REBOOT,
        images,
        argv,
        BUILD,
    )
