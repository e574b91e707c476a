"""Kernel modules and cards as the field has them (facts/pci-ids.md): what the worlds are put together from."""

from __future__ import annotations

from .parts import Function, Module

MEM32, PREF64, IO = (
    0x40200,
    0x14220C,
    0x40101,
)  # IORESOURCE_* as the `resource` file shows them (include/linux/ioport.h)
M, G = 1 << 20, 1 << 30


def by_class(vendor: str, cls: str) -> str:
    """The modalias pattern for every device of a vendor ("*" for any) in a class of two, four or six hex digits."""
    parts = [cls[at : at + 2].upper() for at in range(0, 6, 2)]
    base, sub, interface = (part or "*" for part in parts)
    who = "*" if vendor == "*" else f"0000{vendor.upper()}"
    return f"pci:v{who}d*sv*sd*bc{base}sc{sub}i{interface}*"


def by_id(vendor: str, device: str) -> str:
    """The modalias pattern for one id."""
    return f"pci:v0000{vendor.upper()}d0000{device.upper()}sv*sd*bc*sc*i*"


VFIO = (
    Module("vfio", path="kernel/drivers/vfio/vfio"),
    Module("vfio_iommu_type1", deps=("vfio",), path="kernel/drivers/vfio/vfio_iommu_type1"),
    Module("vfio_virqfd", path="kernel/drivers/vfio/vfio_virqfd"),
    Module("vfio_pci_core", deps=("vfio", "vfio_virqfd"), path="kernel/drivers/vfio/pci/vfio-pci-core"),
    Module(
        "vfio_pci",
        "vfio-pci",
        ("vfio_pci:v*d*sv*sd*bc*sc*i*",),
        ("vfio_pci_core", "vfio_iommu_type1", "vfio", "vfio_virqfd"),
        "kernel/drivers/vfio/pci/vfio-pci",
    ),
)
NVGRACE = Module(
    "nvgrace_gpu_vfio_pci",
    "nvgrace-gpu-vfio-pci",
    ("vfio_pci:v000010DEd00002342sv*sd*bc*sc*i*", "vfio_pci:v000010DEd00002941sv*sd*bc*sc*i*"),
    ("vfio_pci_core", "vfio", "vfio_virqfd"),
    "kernel/drivers/vfio/pci/nvgrace-gpu/nvgrace-gpu-vfio-pci",
)
NOUVEAU = Module(
    "nouveau", "nouveau", (by_class("10de", "03"),), ("drm", "ttm"), "kernel/drivers/gpu/drm/nouveau/nouveau"
)
NVIDIA = Module(
    "nvidia",
    "nvidia",
    (by_class("10de", "0300"), by_class("10de", "0302"), by_class("10de", "0680")),
    (),
    "updates/dkms/nvidia",
    sriov=True,
)
SND = Module(
    "snd_hda_intel",
    "snd_hda_intel",
    (by_class("10de", "0403"), by_class("1002", "0403"), by_class("8086", "0403")),
    ("snd_hda_codec", "snd_pcm"),
    "kernel/sound/pci/hda/snd-hda-intel",
)
HOST_MODULES = (
    Module("pcieport", "pcieport"),
    Module("drm", path="kernel/drivers/gpu/drm/drm"),
    Module("ttm", deps=("drm",), path="kernel/drivers/gpu/drm/ttm/ttm"),
    Module("snd_pcm", path="kernel/sound/core/snd-pcm"),
    Module("snd_hda_codec", deps=("snd_pcm",), path="kernel/sound/pci/hda/snd-hda-codec"),
    Module("xhci_pci", "xhci_hcd", (by_class("*", "0c0330"),), path="kernel/drivers/usb/host/xhci-pci"),
    Module(
        "i2c_nvidia_gpu", "nvidia-gpu", (by_class("10de", "0c80"),), path="kernel/drivers/i2c/busses/i2c-nvidia-gpu"
    ),
    Module("ast", "ast", (by_id("1a03", "2000"),), ("drm",), "kernel/drivers/gpu/drm/ast/ast"),
    Module("mgag200", "mgag200", (by_class("102b", "03"),), ("drm",), "kernel/drivers/gpu/drm/mgag200/mgag200"),
    Module("nvme", "nvme", (by_class("*", "010802"),), path="kernel/drivers/nvme/host/nvme"),
    Module("ahci", "ahci", (by_class("*", "010601"),), path="kernel/drivers/ata/ahci"),
    Module("ixgbe", "ixgbe", (by_id("8086", "1528"),), path="kernel/drivers/net/ethernet/intel/ixgbe/ixgbe"),
    Module(
        "mlx5_core",
        "mlx5_core",
        (by_id("15b3", "1021"), by_id("15b3", "101b")),
        path="kernel/drivers/net/ethernet/mellanox/mlx5/core/mlx5_core",
        sriov=True,
    ),
)
AMDGPU = Module(
    "amdgpu", "amdgpu", (by_class("1002", "03"),), ("drm", "ttm"), "kernel/drivers/gpu/drm/amd/amdgpu/amdgpu"
)
I915 = Module("i915", "i915", (by_class("8086", "03"),), ("drm",), "kernel/drivers/gpu/drm/i915/i915")
STOCK = (*HOST_MODULES, *VFIO, NOUVEAU, SND, AMDGPU, I915)

_GTX_BARS = ((16 * M, MEM32), (256 * M, PREF64), (0, 0), (32 * M, PREF64), (0, 0), (128, IO), (512 * 1024, 0x46200))
_AUDIO_BARS = ((16 * 1024, MEM32),)

# model -> ((device, class, bars) of function 0, 1, ...); subsystem; reset methods; SR-IOV VFs
Model = tuple[str, tuple[tuple[str, str, tuple[tuple[int, int], ...]], ...], tuple[str, str], str, int]
MODELS: dict[str, Model] = {
    "gtx1080": ("10de", (("1b80", "030000", _GTX_BARS), ("10f0", "040300", _AUDIO_BARS)), ("10de", "119e"), "bus", 0),
    "rtx2080ti": (
        "10de",
        (
            ("1e04", "030000", _GTX_BARS),
            ("10f7", "040300", _AUDIO_BARS),
            ("1ad6", "0c0330", ((256 * 1024, PREF64), (0, 0), (64 * 1024, PREF64))),
            ("1ad7", "0c8000", ((4096, MEM32),)),
        ),
        ("1462", "3715"),
        "bus",
        0,
    ),
    "a100": (
        "10de",
        (("20b2", "030200", ((16 * M, MEM32), (128 * G, PREF64), (0, 0), (32 * M, PREF64))),),
        ("10de", "1463"),
        "flr bus",
        16,
    ),
    "h100": (
        "10de",
        (("2330", "030200", ((16 * M, PREF64), (0, 0), (128 * G, PREF64), (0, 0), (32 * M, PREF64))),),
        ("10de", "16c1"),
        "flr bus",
        0,
    ),
    "l4": (
        "10de",
        (("27b8", "030200", ((16 * M, MEM32), (32 * G, PREF64), (0, 0), (32 * M, PREF64))),),
        ("10de", "16ca"),
        "flr bus",
        0,
    ),
    "grace": (
        "10de",
        (("2342", "030200", ((16 * M, PREF64), (0, 0), (128 * G, PREF64))),),
        ("10de", "16eb"),
        "flr bus",
        0,
    ),
    "rx7900": (
        "1002",
        (("744c", "030000", ((16 * G, PREF64), (0, 0), (256 * M, PREF64))), ("ab30", "040300", _AUDIO_BARS)),
        ("1da2", "e471"),
        "bus",
        0,
    ),
}


def card(
    model: str,
    slot: str,
    *,
    parent: str | None = None,
    group: int | None = None,
    numa: int = -1,
    subsystem: tuple[str, str] | None = None,
    boot_vga: bool = False,
    regroup: int | None = None,
) -> tuple[Function, ...]:
    """Every function of a card of ``model`` in ``slot`` (`dddd:bb:dd`), all in one group."""
    vendor, functions, default_subsystem, resets, vfs = MODELS[model]
    subvendor, subdevice = subsystem or default_subsystem
    return tuple(
        Function(
            f"{slot}.{number}",
            vendor,
            device,
            cls,
            subvendor,
            subdevice,
            parent=parent,
            group=group,
            regroup=regroup,
            numa=numa,
            bars=bars,
            boot_vga=boot_vga and number == 0,
            sriov_totalvfs=vfs if number == 0 else 0,
            vf_device=device if vfs else "",
            reset_methods=resets if number == 0 else "",  # FINDINGS (viii): the audio function has no reset_method
            multifunction=len(functions) > 1,
        )
        for number, (device, cls, bars) in enumerate(functions)
    )


def bridge(
    address: str, *, parent: str | None = None, group: int | None = None, ids: str = "8086:2f04", numa: int = -1
) -> Function:
    """A root port or a switch's port."""
    vendor, device = ids.split(":")
    return Function(
        address, vendor, device, "060400", revision="01", parent=parent, group=group, numa=numa, reset_methods="pm bus"
    )
