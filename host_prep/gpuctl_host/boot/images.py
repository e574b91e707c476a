"""The built images: where each kernel's is, what is in it, and whether it is what a wish asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.boot import builders, initramfs_tools
from gpuctl_host.boot.cpio import UnreadableImage, read_members
from gpuctl_host.boot.traits import trait
from gpuctl_host.facts.model import Image

if TYPE_CHECKING:
    from gpuctl_host.changes.model import Wish
    from gpuctl_host.facts.model import Boot, Facts
    from gpuctl_host.host import Host

_MODULE = re.compile(r"(?:.*/)?([^/]+)\.ko(?:\.(?:gz|xz|zst))?")
_VFIO = re.compile(r"(?:.*/)?([^/]*vfio[^/]*)\.ko")


def image_path(host: Host, boot: Boot, release: str) -> str | None:
    """Return where the image of ``release`` is, or None if there is none: as the boot entries say, else by name."""
    for entry in boot.entries or ():
        if entry.release == release and entry.initramfs and host.exists(entry.initramfs):
            return entry.initramfs
    builder = builders.named(boot.initramfs)
    names = trait(boot, f"images {release}").splitlines() or (list(builder.image_names(release)) if builder else [])
    return next((name for name in names if host.exists(name)), None)


def planned_path(facts: Facts, release: str) -> str | None:
    """Return where the image of ``release`` is, from facts alone."""
    for image in facts.images or ():
        if image.release == release:
            return image.path
    for entry in facts.boot.entries or ():
        if entry.release == release and entry.initramfs:
            return entry.initramfs
    builder = builders.named(facts.boot.initramfs)
    names = trait(facts.boot, f"images {release}").splitlines() or (builder.image_names(release) if builder else ())
    return names[0] if names else None


def read_image(host: Host, boot: Boot, release: str, path: str) -> Image:
    """Return what is inside one image; a module that this kernel has built in counts as inside."""
    from hashlib import sha256

    builder = builders.named(boot.initramfs)
    names: list[str] = []
    modules: set[str] = builtin_vfio(host, release)
    ours: dict[str, str] = {}
    try:
        for member in read_members(host, path, lambda name: builders.inside(builder, name) is not None):
            names.append(member.name)
            if found := _MODULE.fullmatch(member.name):
                modules.add(found.group(1).replace("-", "_"))
            elif member.data is not None and (origin := builders.inside(builder, member.name)):
                ours[origin] = sha256(member.data).hexdigest()
    except UnreadableImage:
        return Image(release, path, None, None, None, None)
    return Image(release, path, _whole(host, path), tuple(names), tuple(sorted(modules)), ours)


def builtin_vfio(host: Host, release: str) -> set[str]:
    """Return the VFIO drivers that the kernel ``release`` has built in."""
    for base in ("/lib/modules", "/usr/lib/modules"):
        text = host.read(f"{base}/{release}/modules.builtin")
        if text is not None:
            return {found.group(1).replace("-", "_") for line in text.split() if (found := _VFIO.fullmatch(line))}
    return set()


def read_order(host: Host, path: str) -> str | None:
    """Return the order of the init-top scripts in an image of initramfs-tools, or None if it cannot be read."""
    try:
        for member in read_members(host, path, lambda name: name == initramfs_tools.ORDER):
            if member.name == initramfs_tools.ORDER and member.data is not None:
                return member.data.decode("utf-8", "replace")
    except UnreadableImage:
        return None
    return None


def lacks(image: Image, wish: Wish, expected: dict[str, str | None]) -> tuple[str, ...]:
    """Return what an image lacks or has otherwise; empty also if it could not be opened (`files` is None then)."""
    if image.files is None:
        return ()
    ours, modules = image.ours or {}, set(image.modules or ())
    problems = []
    for path, digest in expected.items():
        found = ours.get(path)
        if found is None and digest is not None and not path.endswith(".rules"):
            problems.append(f"{path} is not in it")
        elif found is not None and found != digest:
            problems.append(f"its copy of {path} is another one")
    problems += [f"it has no {name}" for name in wish.driver_modules if name.replace("-", "_") not in modules]
    return tuple(problems)


def _whole(host: Host, path: str) -> str | None:
    from hashlib import sha256

    total = sha256()
    try:
        with open(host.real(path), "rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    except OSError:
        return None
    return total.hexdigest()
