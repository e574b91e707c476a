"""The IOMMU: whether it is on, and how its unit shows."""

from __future__ import annotations

from .parts import Machine
from .tree import Tree


def iommu_on(machine: Machine, cmdline: str) -> bool:
    """Whether the kernel puts devices in groups: the firmware's table, the built-in default, and the last word said."""
    tokens = cmdline.replace('"', "").split()
    if not machine.iommu:
        return False
    if machine.iommu == "smmu":
        return True
    on = True if machine.iommu == "amd" else machine.iommu_default_on
    for token in tokens:
        key, _, value = token.partition("=")
        words = value.split(",")
        if key == "intel_iommu" and machine.iommu == "intel":
            on = True if "on" in words else False if "off" in words else on
        elif key == "amd_iommu" and machine.iommu == "amd" and "off" in words:
            on = False
        elif key == "iommu" and "off" in words:
            return False
    return on


def show_unit(tree: Tree, machine: Machine) -> None:
    """The unit of an IOMMU that is on, as /sys/class/iommu has it."""
    name = {"intel": "dmar0", "amd": "ivhd0", "smmu": "smmu3.0x0000000050000000"}[machine.iommu]
    tree.mkdir(f"/sys/devices/virtual/iommu/{name}/devices")
    tree.link(f"/sys/class/iommu/{name}", f"/sys/devices/virtual/iommu/{name}")
    if machine.iommu == "intel":
        tree.write(
            f"/sys/class/iommu/{name}/intel-iommu/ecap",
            "f00f4a\n" if machine.intremap else "f00f42\n",
            0o444,
        )
        tree.write(f"/sys/class/iommu/{name}/intel-iommu/cap", "80d2008c222f0686\n", 0o444)
