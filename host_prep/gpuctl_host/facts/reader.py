"""Facts: one reading of one host. What cannot be known is None; nothing here raises on what a host shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot.registry import read_boot, read_images
from gpuctl_host.data import changed
from gpuctl_host.facts import gpus as cards
from gpuctl_host.facts.foreign import read_foreign
from gpuctl_host.facts.holders import read_holders
from gpuctl_host.facts.iomem import read_iomem
from gpuctl_host.facts.iommu import groups_in_part, read_iommu, reserved_regions
from gpuctl_host.facts.kernel import read_kernel
from gpuctl_host.facts.learned import read_learned
from gpuctl_host.facts.managed import managed_files
from gpuctl_host.facts.model import Facts, PciFunction
from gpuctl_host.facts.modprobe import read_modprobe
from gpuctl_host.facts.names import Names
from gpuctl_host.facts.needs import read_needs
from gpuctl_host.facts.pci import DRIVERS, read_details, read_functions
from gpuctl_host.facts.record import read_record
from gpuctl_host.facts.software import read_software
from gpuctl_host.facts.system import host_name, read_system

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gpuctl_host.host import Host


def read_facts(host: Host, vendors: Sequence[str] = ("10de",), *, deep: bool = False) -> Facts:
    """Return what the host is.

    Args:
        host: the machine, or a captured tree.
        vendors: ids whose GPUs are meant, or "any".
        deep: also look inside every initramfs and match modules.alias, which takes seconds.
    """
    vendors = tuple(vendors)
    learned = read_learned(host)
    kernel = read_kernel(host)
    pci = _detailed(host, read_functions(host), vendors)
    modprobe = read_modprobe(host)
    boot = read_boot(host, kernel.release)
    images = tuple(read_images(host, boot, kernel.installed)) if deep else None
    names = Names(host, learned)
    index = cards.Index(pci or ())
    found = [cards.compose(item, index, names.of(item)) for item in index.pci if cards.is_gpu(item, vendors)]
    needs, needs_unknown = read_needs(host, pci, kernel.cmdline, learned)
    claims, variants = _modules_for(host, kernel.release, pci) if deep else ({}, {})
    iommu = read_iommu(host, log=kernel.log, cmdline=kernel.cmdline)
    groups = [gpu.pci.iommu_group for gpu in found if gpu.pci.iommu_group is not None]
    reserved, reserved_seen = reserved_regions(host, groups)
    partial = groups_in_part(host, pci or ())
    return Facts(
        host=host_name(host),
        collected_at=host.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
        vendors=vendors,
        system=read_system(host, kernel, pci=pci, learned=learned),
        kernel=kernel,
        iommu=changed(iommu, reserved_direct=reserved, reserved_seen=reserved_seen, partial=partial),
        boot=boot,
        software=read_software(host, kernel, learned),
        pci=pci,
        drivers_seen=any(item.driver is not None for item in pci or ()),
        gpus=read_holders(host, found, kernel.module_uses, learned, deep=deep),
        nvswitches=tuple(item for item in pci or () if cards.is_nvswitch(item)),
        modprobe=modprobe,
        iomem=read_iomem(host),
        needs=needs,
        foreign=read_foreign(host, pci=pci, modprobe=modprobe, cmdline=kernel.cmdline),
        record=read_record(host, pci=pci, installed=kernel.installed, images=images),
        files=managed_files(host, boot),
        images=images,
        claims=claims,
        variants=variants,
        pci_drivers=tuple(host.names(DRIVERS)),
        needs_unknown=needs_unknown,
    )


def _detailed(
    host: Host, thin: tuple[PciFunction, ...] | None, vendors: Collection[str]
) -> tuple[PciFunction, ...] | None:
    """Read the rest of those functions that matter: all display functions, and what shares a card, group or path."""
    if thin is None:
        return None
    chosen = [item for item in thin if cards.is_gpu(item, vendors) or cards.is_nvswitch(item)]
    slots = {item.slot for item in chosen}
    groups = {item.iommu_group for item in chosen if item.iommu_group is not None}
    above = {part for item in chosen for part in item.path.split("/")}
    return tuple(
        read_details(host, item)
        if item.slot in slots or item.iommu_group in groups or item.address in above or _matters(item)
        else item
        for item in thin
    )


def _matters(item: PciFunction) -> bool:
    """Whether it is a display, or an audio function, which may be an Intel card's on another bus."""
    return cards.is_display(item) or item.base_class == "0403"


def _modules_for(
    host: Host, release: str | None, pci: Sequence[PciFunction] | None
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """The modules that would take each function; read only for a plan."""
    from gpuctl_host.facts.aliases import read_claims

    return read_claims(host, release, pci or ()) or ({}, {})
