"""dracut (RHEL family, SUSE, Debian where chosen): a module of ours, its script hooked in before udev."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot.planning import Leave
from gpuctl_host.changes.model import GENERATED, REBOOT, Change
from gpuctl_host.templates import render_script
from gpuctl_host.tools import BUILD, dracut

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Boot
    from gpuctl_host.host import Host

NAME = "dracut"
CONF = "/etc/dracut.conf.d/gpuctl.conf"
SETUP = "/usr/lib/dracut/modules.d/90gpuctl/module-setup.sh"
SCRIPT = "/usr/lib/dracut/modules.d/90gpuctl/gpuctl-early.sh"
PATHS: tuple[str, ...] = (CONF, SETUP, SCRIPT)
_HOOK = "dracut/hooks/pre-udev/05-gpuctl-early.sh"  # below /usr/lib, /lib or (dracut-ng) /var/lib


def present(host: Host) -> bool:
    """Say whether it is installed."""
    return host.which("dracut") is not None


def configured(host: Host) -> bool:
    """Say whether its configuration is there: for a captured tree without programs."""
    return host.exists("/etc/dracut.conf") or host.exists("/etc/dracut.conf.d")


def image_names(release: str) -> tuple[str, ...]:
    """Return where the image of a kernel may be: RHEL's, SUSE's, Debian's name."""
    return (f"/boot/initramfs-{release}.img", f"/boot/initrd-{release}", f"/boot/initrd.img-{release}")


def traits(host: Host, installed: tuple[str, ...]) -> dict[str, str]:  # noqa: ARG001 - one form for all back-ends
    """Return nothing: dracut keeps no state beside its images."""
    return {}


def leaves() -> tuple[Leave, ...]:
    """Return the module and the drop-in that asks for it."""
    return (
        Leave(SETUP, render_script("dracut-setup.sh"), "copies the record and the drivers into every image", 0o755),
        Leave(SCRIPT, render_script("early.sh"), "gives the cards to their driver before udev starts", 0o755),
        Leave(CONF, render_script("dracut.conf"), "asks dracut for the module"),
    )


def inside(name: str) -> str | None:
    """Return which file of ours ``name`` (inside an image) is a copy of."""
    return SCRIPT if name.endswith(_HOOK) else None


def rebuild(boot: Boot, release: str, image: str) -> Change:  # noqa: ARG001 - one form for all back-ends
    """Return the Change that makes the image of ``release`` anew."""
    return Change(
        GENERATED,
        f"initramfs {release}",
        None,
        None,
        "the image that boots next has to hold the record, the script and the drivers",
        REBOOT,
        (image,),
        dracut.argv(image, release),
        BUILD,
    )
