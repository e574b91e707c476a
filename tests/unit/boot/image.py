"""A Debian host's tree whose image has what gpuctl wants in it, and what is read of it."""

from __future__ import annotations

import gzip
from pathlib import Path

from gpuctl_host.boot import initramfs_tools, registry
from gpuctl_host.data import changed
from gpuctl_host.facts.model import Facts
from gpuctl_host.host import Host
from tests.unit.boot.archive import newc
from tests.unit.boot.build import facts_of

RELEASE = "6.1.0-56-amd64"
IMAGE = f"/boot/initrd.img-{RELEASE}"
MODULES = [(f"usr/lib/modules/{RELEASE}/kernel/drivers/vfio/pci/vfio-pci.ko", b"\x7fELF")]
ORDER = '/scripts/init-top/all_generic_ide "$@"\n[ -e /conf/param.conf ] && . /conf/param.conf\n/scripts/init-top/gpuctl "$@"\n/scripts/init-top/udev "$@"\n'


def pack(root: Path, *, without: str = "", order: str = ORDER, modules: list[tuple[str, bytes]] | None = None) -> None:
    """Write the image that initramfs-tools would make of what lies below ``root``."""
    inside = {
        "etc/gpuctl/cards": "/etc/gpuctl/cards",
        "etc/modprobe.d/gpuctl.conf": "/etc/modprobe.d/gpuctl.conf",
        "scripts/init-top/gpuctl": initramfs_tools.SCRIPT,
        "usr/lib/udev/rules.d/10-gpuctl.rules": "/etc/udev/rules.d/10-gpuctl.rules",
    }
    files = [(name, (root / path.lstrip("/")).read_bytes()) for name, path in inside.items() if path != without]
    files += [("scripts/init-top/ORDER", order.encode()), *(MODULES if modules is None else modules)]
    (root / IMAGE.lstrip("/")).write_bytes(newc([("kernel/x86/microcode/x.bin", b"1")]) + gzip.compress(newc(files)))


def deep(root: Path) -> Facts:
    host = Host(str(root))
    boot = registry.read_boot(host, RELEASE)
    return changed(facts_of(host), images=registry.read_images(host, boot, (RELEASE,)))
