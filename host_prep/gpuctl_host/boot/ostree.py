"""ostree and bootc: the system's image is not changed from inside. What to do is said, nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot import blsentry, grubenv
from gpuctl_host.boot.loading import LoaderPlan, LoaderRead, placed
from gpuctl_host.boot.traits import trait
from gpuctl_host.facts.model import BootEntry

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Boot, Facts
    from gpuctl_host.host import Host

NAME = "ostree"
PRINT_ONLY = True


def present(host: Host) -> bool:
    """Say whether the host booted from ostree, or is laid out so."""
    return host.exists("/run/ostree-booted") or host.is_dir("/ostree/repo") or host.is_dir("/sysroot/ostree/repo")


def read(host: Host, installed: tuple[str, ...]) -> LoaderRead:  # noqa: ARG001 - one form for all back-ends
    """Return the entries that ostree keeps in /boot/loader."""
    entries = blsentry.read_all(host, "/boot/loader/entries", grubenv.read(host))
    found = tuple(
        BootEntry(
            entry.release,
            entry.options,
            next((placed(host, "/boot", path) for path in entry.initrds), None),
            index == 0,
            entry.path,
        )
        for index, entry in enumerate(entries)
    )
    tool = next((name for name in ("rpm-ostree", "bootc") if host.which(name)), "")
    return LoaderRead(found or None, next((entry.cmdline for entry in found), None), (("ostree_tool", tool),))


def paths(boot: Boot) -> tuple[str, ...]:  # noqa: ARG001 - one form for all back-ends
    """Return nothing: nothing is written."""
    return ()


def plan(facts: Facts, arguments: tuple[str, ...], *, new_images: bool) -> LoaderPlan:  # noqa: ARG001 - one form for all back-ends
    """Return what a person has to do."""
    told = []
    if arguments:
        words = " ".join(f"--append-if-missing={argument}" for argument in arguments)
        listed = ", ".join(f'"{argument}"' for argument in arguments)
        if trait(facts.boot, "ostree_tool") == "bootc":
            told.append(
                f"in the container image, write `kargs = [{listed}]` to /usr/lib/bootc/kargs.d/10-gpuctl.toml; "
                "then `bootc upgrade`"
            )
        else:
            told.append(f"run `rpm-ostree kargs {words}`")
    told.append(
        "with rpm-ostree, put the drivers and the files below into the initramfs: `rpm-ostree initramfs --enable "
        "--arg=--add-drivers --arg=vfio-pci` and `rpm-ostree initramfs-etc --track=/etc/gpuctl "
        "--track=/etc/modprobe.d/gpuctl.conf --track=/etc/udev/rules.d/10-gpuctl.rules`; with bootc, put them into the "
        "container image, whose initramfs is made there; then reboot"
    )
    return LoaderPlan(manual=tuple(told))
