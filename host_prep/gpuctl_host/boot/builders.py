"""Which program makes this host's images: by what is installed, not by the distribution's name or version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gpuctl_host.boot import common, dracut, initramfs_tools, mkinitcpio

if TYPE_CHECKING:
    from gpuctl_host.boot.planning import Leave
    from gpuctl_host.changes.model import Change, Wish
    from gpuctl_host.facts.model import Boot, Facts
    from gpuctl_host.host import Host


class Builder(Protocol):
    """What each image builder's module offers."""

    NAME: str
    PATHS: tuple[str, ...]

    def present(self, host: Host) -> bool:
        """Say whether the program is installed."""
        ...

    def configured(self, host: Host) -> bool:
        """Say whether its configuration is there."""
        ...

    def image_names(self, release: str) -> tuple[str, ...]:
        """Return where the image of a kernel may be."""
        ...

    def traits(self, host: Host, installed: tuple[str, ...]) -> dict[str, str]:
        """Return what planning needs to know of this host."""
        ...

    def leaves(self) -> tuple[Leave, ...]:
        """Return the files that make it put ours into every image."""
        ...

    def inside(self, name: str) -> str | None:
        """Return which file of ours a name inside an image is a copy of."""
        ...

    def rebuild(self, boot: Boot, release: str, image: str) -> Change:
        """Return the Change that makes an image anew."""
        ...


BUILDERS: tuple[Builder, ...] = (initramfs_tools, dracut, mkinitcpio)


def find(host: Host) -> Builder | None:
    """Return the builder in use, or None if there is none that we know."""
    for builder in BUILDERS:
        if builder.present(host):
            return builder
    return next((builder for builder in BUILDERS if builder.configured(host)), None)


def named(name: str | None) -> Builder | None:
    """Return a builder by its name."""
    return next((builder for builder in BUILDERS if name == builder.NAME), None)


def inside(builder: Builder | None, name: str) -> str | None:
    """Return the host's path of the file of ours that ``name`` (inside an image, no leading /) is a copy of."""
    short = name.removeprefix("usr/")
    for path in common.PATHS:
        if short == path[1:] or (path.endswith(".rules") and short == "lib/udev/rules.d/10-gpuctl.rules"):
            return path
    return builder.inside(name) if builder else None


def wanted(facts: Facts, wish: Wish) -> tuple[Leave, ...]:
    """Return every file that this host gets for its cards."""
    builder = named(facts.boot.initramfs)
    shared = common.leaves(wish, vfio_builtin=facts.software.vfio_pci == "builtin")
    return (*shared, *(builder.leaves() if builder else ()))


def expected(facts: Facts, wish: Wish) -> dict[str, str | None]:
    """Return the content that each image's copies must have, by the host's path; None: must not be inside."""
    from hashlib import sha256

    return {
        leave.path: None if leave.text is None else sha256(leave.text.encode()).hexdigest()
        for leave in wanted(facts, wish)
        if leave.path in common.PATHS
        or leave.path in {module.SCRIPT for module in (initramfs_tools, dracut, mkinitcpio)}
    }
