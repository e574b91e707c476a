"""The few cards that behave otherwise than their sysfs files tell."""

from __future__ import annotations

# Grace superchips: coherent memory is no BAR, and only nvgrace-gpu-vfio-pci shows it to a guest.
# Source: the id table of Linux drivers/vfio/pci/nvgrace-gpu/main.c; names in pci.ids.
GRACE = frozenset({"10de:2342", "10de:2345", "10de:2348", "10de:2941", "10de:31c2"})

# SR-IOV capable by model. Where sriov_totalvfs is not to be seen, firmware or kernel hide it; another boot may show it.
# Source: virt_functions in libvirt's dumps of them , else the makers' documents.
SRIOV = frozenset(
    {
        *("10de:20b0", "10de:20b2", "10de:20b5", "10de:20f1", "10de:2236", "10de:2bb5"),
        *("1002:74a1", "1002:74a5"),
        *("8086:56c0", "8086:56c1", "8086:0bd5", "8086:0bda"),
    }
)

# Intel Arc: idle on vfio-pci since Linux 6.2 it enters D3cold and does not come back.
# Source: tests/cases/hosts/nuc13-arc-a770-d3cold-vfio.yaml; the two others are the same chip family.
D3COLD = frozenset({"8086:56a0", "8086:56a1", "8086:56a5"})

# Audio functions of NVIDIA's GA10x: leaving D3hot wedged the card before Linux 6.4.
# Source: linux-pci 20230413194042.605768-1 (RTX A2000 and A5000).
D3HOT_AUDIO = frozenset({"10de:1aef", "10de:228b", "10de:228e", "10de:2291"})

# AMD cards that a bus reset leaves dead: Polaris 10, Vega 10, Navi 10 and 14.
# Source: the vendor-reset module, which exists for them; tests/cases/hosts/wx7100-polaris-reset-bug-cmplto.yaml.
RESET_BUG = frozenset({"1002:67df", "1002:67c4", "1002:687f", "1002:731f", "1002:7340"})

# The kernel's own driver for a vendor's displays first, then the one that may be installed besides.
HOST_DRIVERS = {"10de": ("nouveau", "nvidia"), "1002": ("amdgpu", "radeon"), "8086": ("i915", "xe")}
