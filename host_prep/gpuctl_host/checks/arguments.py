"""The kernel's command line, read as the kernel reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.data import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

# Arguments whose change only a reboot brings, and that matter to passthrough: what pending-reboot compares.
_MATTERS = (
    "intel_iommu",
    "amd_iommu",
    "iommu",
    "intremap",
    "vfio",
    "modprobe.blacklist",
    "module_blacklist",
    "rd.driver",
    "rdblacklist",
    "pcie_acs_override",
    "pci",
    "video",
    "nomodeset",
    "initcall_blacklist",
    "nouveau",
    "nvidia",
    "amdgpu",
    "radeon",
    "i915",
    "xe",
    "gpuctl",
)


@frozen
class Argument:
    """One argument: ``name`` with underscores, ``value`` None where there is no ``=``."""

    name: str
    value: str | None
    text: str

    @property
    def values(self) -> tuple[str, ...]:
        """The value's parts between commas."""
        return tuple(part for part in (self.value or "").split(",") if part)


def parse(tokens: tuple[str, ...] | None) -> tuple[Argument, ...]:
    """Return the arguments of a command line up to ``--``; what follows is init's (kernel-parameters.rst).

    The kernel takes ``-`` and ``_`` in a name as equal (parameqn in kernel/params.c), never in a value.
    """
    found = []
    for text in tokens or ():
        if text == "--":
            break
        name, equals, value = text.partition("=")
        found.append(Argument(name.replace("-", "_"), value.strip('"') if equals else None, text))
    return tuple(found)


def last(arguments: tuple[Argument, ...], name: str) -> Argument | None:
    """Return the last argument of that name: where one is given twice, the last holds."""
    return next((item for item in reversed(arguments) if item.name == name), None)


def bounces(item: Argument, kernel: tuple[int, ...]) -> bool:
    """Say whether it is iommu=soft on a kernel (its version; empty: unknown) that then looks for no IOMMU.

    Until Linux 5.17 the search ended there (pci_swiotlb_detect_override, IOMMU_INIT_FINISH); since 5.18 it goes on.
    """
    return item.name == "iommu" and "soft" in item.values and kernel < (5, 18)


def truthy(value: str | None) -> bool:
    """Say whether the kernel reads ``value`` as a true bool; a bool without a value is true (kstrtobool)."""
    return value is None or value[:2].lower() == "on" or value[:1] in ("1", "y", "Y", "t", "T")


def of_interest(arguments: tuple[Argument, ...]) -> tuple[str, ...]:
    """Return the tokens that decide about passthrough, in their order."""
    return tuple(item.text for item in arguments if _matters(item.name))


def _matters(name: str) -> bool:
    return any(name == known or name.startswith((known + ".", known + "_")) for known in _MATTERS)


def blacklisted(arguments: tuple[Argument, ...]) -> Iterator[tuple[str, Argument]]:
    """Yield (module, argument) for every module that a command line keeps from loading by its alias.

    `modprobe.blacklist` is kmod's (kernel-command-line(7)), `module_blacklist` the kernel's own.
    """
    for item in arguments:
        if item.name in ("modprobe.blacklist", "module_blacklist"):
            for module in item.values:
                yield module.replace("-", "_"), item
