"""The doors of this package: what boots next, how a wish becomes Changes, and whether it came true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot import builders, cmdline, common, images, initramfs_tools, kdump, loaders, proxmox
from gpuctl_host.boot.planning import file_change
from gpuctl_host.boot.traits import BootRead, trait
from gpuctl_host.errors import ToolError
from gpuctl_host.facts.model import Boot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuctl_host.boot.planning import Leave
    from gpuctl_host.changes.model import Change, Wish
    from gpuctl_host.facts.model import BootEntry, Facts, Image
    from gpuctl_host.host import Host

_SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def read_boot(host: Host, release: str | None) -> Boot:
    """Return how this host boots; nothing is run and no image is opened.

    Args:
        host: the host or a captured tree.
        release: the running kernel's, or None.
    """
    loader, builder = loaders.find(host), builders.find(host)
    installed = tuple(
        sorted({*host.names("/lib/modules"), *host.names("/usr/lib/modules"), *([release] if release else [])})
    )
    found = loader.read(host, installed) if loader else None
    traits = dict(found.traits) if found else {}
    if builder:
        traits.update({f"images {name}": path for name in installed if (path := _image_of(host, builder, name))})
        traits.update(builder.traits(host, installed))
    return BootRead(
        loader.NAME if loader else None,
        builder.NAME if builder else None,
        found.entries if found else None,
        found.configured if found else None,
        _secure_boot(host),
        kdump.present(host),
        tuple(sorted(traits.items())),
    )


def _image_of(host: Host, builder: builders.Builder, release: str) -> str | None:
    return next((name for name in builder.image_names(release) if host.exists(name)), None)


def _secure_boot(host: Host) -> bool | None:
    """Say whether Secure Boot is on: the variable's fifth byte (four bytes of attributes stand before it)."""
    if host.is_dir("/sys/firmware") and not host.exists("/sys/firmware/efi"):
        return False
    data = host.read_bytes(_SECURE_BOOT, 16)
    return data[4] == 1 if data and len(data) > 4 else None


def managed_paths(boot: Boot) -> list[str]:
    """Return every file that plan_boot may write on this host; none on a host where it only says what to do."""
    loader, builder = loaders.named(boot.loader), builders.named(boot.initramfs)
    if loader is None or builder is None or loader.PRINT_ONLY:
        return []
    return [*common.PATHS, *builder.PATHS, *loader.paths(boot)]


def read_images(host: Host, boot: Boot, installed: Iterable[str]) -> tuple[Image, ...]:
    """Return what is inside the image of each installed kernel that has one; it takes a second or two an image."""
    found = []
    for release in installed:
        path = images.image_path(host, boot, release)
        if path is not None:
            found.append(images.read_image(host, boot, release, path))
    return tuple(found)


def plan_boot(facts: Facts, wish: Wish) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """Return the Changes that make the next boot as wished, and what a person has to do instead.

    Pure: facts alone are read. Nothing is in the plan that is right already. The order is that of doing: files,
    images, boot loader.
    """
    loader, builder = loaders.named(facts.boot.loader), builders.named(facts.boot.initramfs)
    arguments = wanted_arguments(facts, wish)
    if loader is None or builder is None or loader.PRINT_ONLY:
        return (), _manual(facts, wish, arguments)
    changes: list[Change] = []
    kernels: list[Change] = []
    if wish.cards:
        leaves = builders.wanted(facts, wish)
        changes = [change for leave in leaves if (change := file_change(facts, leave)) is not None]
        kernels = _images(facts, wish, builder, leaves)
    planned = loader.plan(facts, arguments, new_images=bool(kernels))
    if trait(facts.boot, "entry_tool") == "sdbootutil":
        kernels = []  # its one command makes them
    return (*changes, *kernels, *planned.changes), (*planned.manual, *_off(facts, wish), *_builder_notes(facts))


def wanted_arguments(facts: Facts, wish: Wish) -> tuple[str, ...]:
    """Return the wish's kernel arguments; options of a vfio-pci that is built in are among them."""
    options = wish.vfio_options if facts.software.vfio_pci == "builtin" else ()
    return (*wish.arguments, *(f"vfio-pci.{option}" for option in options))


def _images(facts: Facts, wish: Wish, builder: builders.Builder, leaves: tuple[Leave, ...]) -> list[Change]:
    """Return one Change for each kernel whose image has to be made anew."""
    stale = any(leave.in_image and file_change(facts, leave) is not None for leave in leaves)
    expected = builders.expected(facts, wish)
    known = {image.release: image for image in facts.images or ()}
    found = []
    done: set[tuple[str, ...]] = set()
    for release in wish.kernels:
        image = known.get(release)
        if not stale and (image is None or not images.lacks(image, wish, expected)):
            continue
        path = images.planned_path(facts, release)
        if path is None:
            continue
        change = builder.rebuild(facts.boot, release, path)
        if change.argv not in done:  # two kernels of one mkinitcpio preset
            done.add(change.argv)
            found.append(change)
    return found


def _manual(facts: Facts, wish: Wish, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a person has to do on a host that gpuctl will not write to: the commands, and the files in full."""
    loader = loaders.named(facts.boot.loader)
    told: list[str] = []
    if loader is not None and loader.PRINT_ONLY:
        told += loader.plan(facts, arguments, new_images=True).manual
    else:
        what = "boot loader" if loader is None else "initramfs builder"
        told.append(f"the {what} of this host is none that gpuctl knows: it changes nothing here")
        if arguments:
            told.append(f"add `{' '.join(arguments)}` to the kernel's command line in your boot loader's configuration")
        told.append("put vfio-pci and the files below into the initramfs, and make it anew")
    leaves = common.leaves(wish, vfio_builtin=facts.software.vfio_pci == "builtin") if wish.cards else ()
    return (*told, *(f"write {leave.path}:\n{leave.text}" for leave in leaves if leave.text is not None))


def _off(facts: Facts, wish: Wish) -> tuple[str, ...]:
    """Return what has to go from the command line by hand, because nothing that is added undoes it."""
    if not wish.arguments:
        return ()
    configured = facts.boot.configured or ()
    # What is added stands last, and undoes an earlier intel_iommu=off; behind a `--` it would be for init.
    found = cmdline.turns_off(configured if "--" in configured else (*configured, *wish.arguments))
    return tuple(
        f"take `{token}` off the kernel's command line: nothing that is added behind it undoes it" for token in found
    )


def _builder_notes(facts: Facts) -> tuple[str, ...]:
    preset = trait(facts.boot, "mkinitcpio_config")
    if preset and facts.boot.initramfs == "mkinitcpio":
        return (
            f"{preset} names its own configuration, so mkinitcpio passes over drop-ins: add `gpuctl` to HOOKS there",
        )
    return ()


def verify_boot(host: Host, facts: Facts, wish: Wish) -> list[str]:
    """Return what is not as wished, read back from where it counts; empty if all is well.

    Files are read everywhere. What commands of the host generate (grub.cfg, entries, images) only where one answers:
    below a captured tree none was run.
    """
    problems = _verify_files(host, facts, wish) if wish.cards else []
    if not host.live:
        return problems
    boot = read_boot(host, facts.kernel.release)
    arguments = wanted_arguments(facts, wish)
    if boot.loader == proxmox.NAME:
        problems += _verify_esps(host, arguments)
    else:
        problems += _verify_arguments(boot.entries, boot.configured, arguments)
    if wish.cards and boot.initramfs:
        for release in wish.kernels or facts.kernel.installed:
            problems += _verify_image(host, boot, release, facts, wish)
    return problems


def _verify_files(host: Host, facts: Facts, wish: Wish) -> list[str]:
    problems = []
    for leave in builders.wanted(facts, wish):
        data = host.read_bytes(leave.path)
        if leave.text is not None and data != leave.text.encode():
            problems.append(
                f"{leave.path} is not what was written" if data is not None else f"{leave.path} is not there"
            )
    return problems


def _verify_esps(host: Host, arguments: tuple[str, ...]) -> list[str]:
    """Return what Proxmox's ESPs lack; they are only looked into where there is something to look for."""
    if not arguments:
        return []
    try:
        entries = proxmox.read_back(host)
    except ToolError as error:
        return [f"an ESP could not be looked into: {error.brief}"]
    return _verify_arguments(entries, None, arguments) if entries else ["no boot entry was found on any ESP"]


def _verify_arguments(
    entries: tuple[BootEntry, ...] | None, configured: tuple[str, ...] | None, arguments: tuple[str, ...]
) -> list[str]:
    if not arguments:
        return []
    if not entries:
        lacking = cmdline.missing(configured or (), arguments)
        return [f"the configuration lacks {argument}" for argument in lacking]
    return [
        f"the entry of {entry.release or 'a kernel'} in {entry.source} lacks {argument}"
        for entry in entries
        for argument in cmdline.missing(entry.cmdline or (), arguments)
    ]


def _verify_image(host: Host, boot: Boot, release: str, facts: Facts, wish: Wish) -> list[str]:
    path = images.image_path(host, boot, release)
    if path is None:
        return [f"no initramfs of {release} was found"]
    image = images.read_image(host, boot, release, path)
    if image.files is None:
        return [f"{path} could not be opened, so that nothing is known of it"]
    problems = [f"{path}: {problem}" for problem in images.lacks(image, wish, builders.expected(facts, wish))]
    if boot.initramfs == initramfs_tools.NAME:
        order = images.read_order(host, path)
        problem = initramfs_tools.order_problem(order or "")
        problems += [f"{path}: {problem}"] if problem else []
    return problems
