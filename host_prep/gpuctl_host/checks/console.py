"""The card as the machine's screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import advice
from gpuctl_host.checks.answer import Answer, Check, failed, passed, skipped, warned
from gpuctl_host.checks.view import sysfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View
    from gpuctl_host.facts.model import Gpu

# Names in /proc/iomem of what the boot framebuffer's drivers hold
# (Linux drivers/firmware/sysfb*.c, drivers/video/fbdev, drivers/gpu/drm/tiny).
_FRAMEBUFFERS = (
    "bootfb",
    "efifb",
    "vesafb",
    "simplefb",
    "simpledrm",
    "simple-framebuffer",
    "ofdrm",
    "efidrm",
    "vesadrm",
    "offb",
    "sysfb",
)


def boot_vga(view: View) -> Iterator[Answer]:
    """The GPU is not the console that the firmware chose."""
    for gpu in view.facts.gpus:
        path, chosen = sysfs(gpu.pci, "boot_vga"), gpu.pci.boot_vga
        if chosen:
            others = [
                item.address
                for item in view.pci
                if item.base_class.startswith("03") and item.address not in view.selected
            ]
            away = (
                f"make another display the primary one in the firmware ({others[0]} is there): "
                f"{advice.knob(view, 'vga')}"
                if others
                else ("log in by SSH or a serial console before the card is given away: no other display is there")
            )
            need = view.needs.get(gpu.address)
            seen = f"{path}: 1" + (f"; {need.detail}" if need else "")
            yield warned(gpu.address, "the GPU is the console that the firmware chose", seen, away)
        elif chosen is False:
            yield passed(gpu.address, "the GPU is not the boot console", f"{path}: 0")
        elif gpu.pci.base_class in ("0302", "0380", "1200"):
            yield passed(
                gpu.address,
                "the GPU is no VGA device, so no boot console",
                f"{sysfs(gpu.pci, 'class')}: 0x{gpu.pci.class_code}",
            )
        else:
            yield skipped(gpu.address, "whether the GPU is the boot console could not be seen", f"{path} is not there")


def boot_framebuffer(view: View) -> Iterator[Answer]:
    """No boot framebuffer lies in one of the GPU's BARs."""
    iomem = view.facts.iomem
    shown = iomem and any(end for _, _, end, _ in iomem)
    screens = [(start, end, name) for _, start, end, name in iomem or () if _is_framebuffer(name)]
    seen = ", ".join(sorted({name for _, _, name in screens})) or "no boot framebuffer"
    for gpu in view.facts.gpus:
        bars = [bar for bar in gpu.pci.bars if bar.kind == "mem" and bar.assigned and bar.size and bar.index < 6]
        told = view.log("vfio", f"{gpu.address}: BAR", "can't reserve", limit=1)
        if not shown and told:
            yield failed(
                gpu.address,
                "somebody holds a BAR of the GPU: the boot framebuffer, most likely",
                f"kernel log: {told[0]}; /proc/iomem, which would say who, cannot be read",
                _off_screen(view, gpu, ""),
            )
        elif not shown:
            yield skipped(
                gpu.address,
                "the memory map could not be read",
                "/proc/iomem is not there, or shows zeros (it takes root)",
            )
        elif not bars:
            yield skipped(gpu.address, "the GPU's BARs could not be read", sysfs(gpu.pci, "resource"))
        else:
            hit = next(
                (
                    (bar, screen)
                    for bar in bars
                    for screen in screens
                    if screen[0] <= bar.start + bar.size - 1 and screen[1] >= bar.start
                ),
                None,
            )
            if hit is None:
                yield passed(
                    gpu.address,
                    "no boot framebuffer is in the GPU's BARs",
                    f"/proc/iomem: {seen}, in no BAR of it",
                )
                continue
            bar, (start, end, name) = hit
            line = f"/proc/iomem: {start:x}-{end:x} {name} in BAR {bar.index} at {bar.start:x}" + (
                f"; kernel log: {told[0]}" if told else ""
            )
            yield failed(
                gpu.address,
                f"the boot framebuffer ({name}) holds BAR {bar.index} of the GPU",
                line,
                _off_screen(view, gpu, name.lower()),
            )


def _is_framebuffer(name: str) -> bool:
    low = name.lower()
    return any(known in low for known in _FRAMEBUFFERS)


def _off_screen(view: View, gpu: Gpu, name: str) -> str:
    """The remedy for this kernel; the first one is always the firmware's."""
    others = [item for item in view.pci if item.base_class == "0300" and item.address != gpu.address]
    if others:
        return f"make {others[0].address} the primary display in the firmware: {advice.knob(view, 'vga')}"
    if "efifb" in name:
        return advice.add_argument(view, "video=efifb:off")
    if "vesafb" in name:
        return advice.add_argument(view, "video=vesafb:off")
    if "drm" in name or "simpledrm" in (view.facts.kernel.builtin or ()):
        return (
            "start the firmware without this card's option ROM (CSM off, headless boot): where simpledrm is built "
            "in, no argument helps"
        )
    return advice.add_argument(view, "initcall_blacklist=sysfb_init")


CHECKS = (
    Check(
        "boot-vga",
        boot_vga,
        "Is the GPU the console?",
        "Warns when the firmware chose the GPU for the boot console.",
        "The file boot_vga of the GPU. Log lines are not used: 'setting as boot VGA device' can come twice, and the "
        "last one holds.",
        "The host goes blind when the card leaves, and the firmware may have run the card's ROM and left a "
        "framebuffer on it.",
        "Make the BMC's VGA or the processor's graphics the primary display in the firmware.",
        ("tests/cases/hosts/asus-g14-rx6700s-vfio-6.12.yaml: two such log lines", "GPUPM#45"),
    ),
    Check(
        "boot-framebuffer",
        boot_framebuffer,
        "Does the boot framebuffer hold the card?",
        "Fails when a boot framebuffer lies in one of the GPU's BARs.",
        "/proc/iomem below each of the GPU's BARs: BOOTFB, simplefb, simpledrm, efifb, vesafb. Where it cannot be "
        "read, vfio-pci's own words that it got no BAR.",
        "VFIO binds, but the guest gets no BAR: 'BAR 1: can't reserve' repeats in the log and the screen in the "
        "guest stays black.",
        "Another primary display in the firmware is the remedy that always works; efifb and vesafb have an argument, "
        "sysfb takes initcall_blacklist=sysfb_init, and a built-in simpledrm has none.",
        ("harvester pcidevices#81, talos#14356, vfio-single-amdgpu#3", "tests/cases/hosts/ryzen5950x-bar1-efifb.yaml"),
    ),
)
