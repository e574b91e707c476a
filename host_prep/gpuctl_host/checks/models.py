"""The few cards that behave otherwise than their sysfs files tell."""

from __future__ import annotations

# Grace superchips: coherent memory is no BAR, and only nvgrace-gpu-vfio-pci shows it to a guest.
# Source: the id table of Linux drivers/vfio/pci/nvgrace-gpu/main.c; names in pci.ids.
GRACE = frozenset({"10de:2342", "10de:2345", "10de:2348", "10de:2941", "10de:31c2"})

# SR-IOV capable by model. Where sriov_totalvfs is not to be seen, firmware or kernel hide it; another boot may show it.
# Source: virt_functions in libvirt's dumps of them, else the makers' documents (NVIDIA: the cards of its vGPU software
# from Ampere on; the T4 shows the capability too: OpenStack's guides give it type-PF).
_NVIDIA_SRIOV = (
    *("1eb8", "20b0", "20b1", "20b2", "20b3", "20b5", "20b7", "20f1", "20f3", "20f5", "20f6"),  # T4; A100, A30
    *("2230", "2231", "2233", "2235", "2236", "2237", "25b6"),  # RTX A6000, A5000, A5500, A40, A10, A10G, A2 and A16
    *("26b1", "26b2", "26b3", "26b5", "26b8", "26b9", "26ba", "27b6", "27b8"),  # RTX 6000 and 5000 Ada, L40(S), L20, L4
    *("2321", "2322", "2324", "2329", "2330", "2331", "2335", "2339", "233a", "233b"),  # H100, H800, H20, H200
    *("2901", "2bb5"),  # B200, RTX PRO 6000
)
SRIOV = frozenset(
    {
        *(f"10de:{device}" for device in _NVIDIA_SRIOV),
        *("1002:6929", "1002:74a1", "1002:74a5", "1002:75a0", "1002:75a3"),
        *("8086:56c0", "8086:56c1", "8086:0bd5", "8086:0bd9", "8086:0bda"),
    }
)

# Intel Arc: idle on vfio-pci since Linux 6.2 it enters D3cold and does not come back.
# Source: tests/cases/hosts/nuc13-arc-a770-d3cold-vfio.yaml; the two others are the same chip family.
D3COLD = frozenset({"8086:56a0", "8086:56a1", "8086:56a5"})

# Audio functions of NVIDIA's GA10x: leaving D3hot wedged the card before Linux 6.4.
# Source: linux-pci 20230413194042.605768-1 (RTX A2000 and A5000).
D3HOT_AUDIO = frozenset({"10de:1aef", "10de:228b", "10de:228e", "10de:2291"})

# AMD cards that a bus reset leaves dead: Polaris 10, 11 and 12, Vega 10 and 20, Navi 10, 12 and 14, by chip.
# Source: the vendor-reset module's table, which exists for them;
# tests/cases/hosts/wx7100-polaris-reset-bug-cmplto.yaml.
_RESET_BUG = (
    *("67c0", "67c1", "67c2", "67c4", "67c7", "67c8", "67c9", "67ca", "67cc", "67cf", "67d0", "67df", "6fdf"),
    *("67e0", "67e1", "67e3", "67e7", "67e8", "67e9", "67eb", "67ef", "67ff"),
    *("6980", "6981", "6985", "6986", "6987", "6995", "6997", "699f"),
    *("6860", "6861", "6862", "6863", "6864", "6867", "6868", "6869", "686a", "686b", "686c", "686d", "686e", "686f"),
    *("687f", "66a0", "66a1", "66a2", "66a3", "66a4", "66a7", "66af"),
    *("7310", "7312", "7318", "7319", "731a", "731b", "731e", "731f", "7360", "7362", "7340", "7341", "7347", "734f"),
)
RESET_BUG = frozenset(f"1002:{device}" for device in _RESET_BUG)

# The kernel's own driver for a vendor's displays first, then the one that may be installed besides.
HOST_DRIVERS = {"10de": ("nouveau", "nvidia"), "1002": ("amdgpu", "radeon"), "8086": ("i915", "xe")}
