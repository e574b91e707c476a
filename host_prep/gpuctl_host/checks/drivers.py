"""The GPU itself: is there one, and who has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import advice, models
from gpuctl_host.checks.answer import HOST, Answer, Check, failed, passed, skipped
from gpuctl_host.checks.view import ids, is_vfio, label, named, plain, sysfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View
    from gpuctl_host.facts.model import Gpu, PciFunction

_DISPLAY_DRIVERS = frozenset(name for names in models.HOST_DRIVERS.values() for name in names)
_GPU_CLASSES = ("0300", "0302", "0380", "1200")


def gpu_present(view: View) -> Iterator[Answer]:
    """There is a GPU of a vendor that was asked for."""
    facts = view.facts
    asked = ", ".join(facts.vendors)
    if facts.gpus:
        found = ", ".join(f"{gpu.address} {label(gpu)}" for gpu in facts.gpus[:4]) + (
            ", ..." if len(facts.gpus) > 4 else ""
        )
        yield passed(
            HOST,
            f"{len(facts.gpus)} GPU{'s' if len(facts.gpus) > 1 else ''} of vendor {asked}",
            f"/sys/bus/pci/devices: {found}",
        )
        return
    if facts.pci is None:
        yield skipped(HOST, "the PCI devices could not be seen", "/sys/bus/pci/devices is not there")
        return
    nameless = [item.address for item in view.pci if _may_be_a_gpu(view, item)]
    if nameless:
        seen = f"{len(view.pci)} devices, of which {len(nameless)} tell no ids: {', '.join(nameless[:4])}"
        yield skipped(HOST, f"no GPU of vendor {asked} was recognised", f"/sys/bus/pci/devices: {seen}")
        return
    orphans = [item for item in view.pci if item.vendor_id in facts.vendors and _lacks_its_first(view, item)]
    if orphans:
        seen = f"{named(orphans[:4])}, and no function 0 beside it, which every device has: not all of them are shown"
        yield skipped(HOST, f"no GPU of vendor {asked} was recognised", f"/sys/bus/pci/devices: {seen}")
        return
    displays = [item for item in view.pci if item.base_class in _GPU_CLASSES]
    other = f"; display devices of other vendors: {named(displays[:4])}" if displays else ""
    fix = (
        "name the vendor that is meant with --vendor (1002 AMD, 8086 Intel, any)"
        if displays
        else "see that the card is seated and powered, and its slot is on in the firmware"
    )
    yield failed(
        HOST,
        f"no GPU of vendor {asked}",
        f"/sys/bus/pci/devices: {len(view.pci)} devices, none of class 0300, 0302, 0380 or 1200 of that vendor{other}",
        fix,
    )


def _lacks_its_first(view: View, item: PciFunction) -> bool:
    """Whether a function is shown without function 0 of its device; virtual functions have none by right."""
    return item.physfn is None and f"{item.slot}.0" not in view.functions


def _may_be_a_gpu(view: View, item: PciFunction) -> bool:
    """Whether too little is told of it to say no: its class is missing, and no driver for something else has it."""
    if item.class_code is None:
        host = view.host_driver(item)
        return not view.is_bridge(item) and (host is None or host in _DISPLAY_DRIVERS)
    return item.vendor_id is None and item.base_class in _GPU_CLASSES


def gpu_driver(view: View) -> Iterator[Answer]:
    """The GPU is on vfio-pci, or on the variant that this card needs."""
    for gpu in view.facts.gpus:
        driver, path = gpu.pci.driver, sysfs(gpu.pci, "driver")
        if not view.facts.drivers_seen:
            yield skipped(
                gpu.address, "who drives the GPU could not be seen", "no driver link is below /sys/bus/pci/devices"
            )
        elif driver is None:
            override = f"; driver_override is {gpu.pci.driver_override}" if gpu.pci.driver_override else ""
            refused = view.log("vfio", gpu.address, "failed", limit=1)
            told = f"; kernel log: {refused[0]}" if refused else ""
            yield failed(
                gpu.address,
                "nobody drives the GPU: it is free, not ready",
                f"{path} is not there{override}{told}",
                advice.prepare(view, gpu.address),
            )
        elif is_vfio(driver):
            yield _variant(view, gpu, driver)
        else:
            shared = gpu.pci.physfn is not None and driver == "nvidia"
            fix = advice.prepare(view, gpu.address)
            if view.facts.system.dom0:
                fix = "boot this machine without Xen first: VFIO does not work below it; Xen lends cards by pciback"
            elif shared:
                fix = (
                    "leave it: a vGPU of NVIDIA's own framework stays on nvidia (Nova: managed = no); if the card is "
                    "meant for passthrough, disable its VFs"
                )
            yield failed(gpu.address, f"the GPU is on {driver}", f"{path} -> {driver}", fix)


def _variant(view: View, gpu: Gpu, driver: str) -> Answer:
    if ids(gpu.pci) in models.GRACE and plain(driver) == "vfio_pci":
        return failed(
            gpu.address,
            "the GPU is on plain vfio-pci, which does not show its coherent memory to a guest",
            f"{sysfs(gpu.pci, 'driver')} -> {driver}; {ids(gpu.pci)} is a Grace superchip's",
            f"{advice.prepare(view, gpu.address)}, which takes nvgrace-gpu-vfio-pci where the kernel has it",
        )
    return passed(gpu.address, f"the GPU is on {driver}", f"{sysfs(gpu.pci, 'driver')} -> {driver}")


CHECKS = (
    Check(
        "gpu-present",
        gpu_present,
        "Is there a GPU?",
        "Fails when no GPU of the selected vendors is on the bus. Skipped where devices tell no ids, or not all "
        "of them are shown.",
        "Class and vendor of every PCI function: classes 0300, 0302, 0380 and 1200. A BMC's VGA is a console, not a "
        "GPU.",
        "Searches for VGA (0300) alone miss V100, T4, A100, H100 (0302), MI210 (0380) and MI300X (1200).",
        "Name the vendor with --vendor; look at the slot and its power.",
        ("pci.ids 2026.05.24, and the classes in dumps of such cards", "go-nvlib#115"),
    ),
    Check(
        "gpu-driver",
        gpu_driver,
        "Who drives the GPU?",
        "Fails unless vfio-pci or its variant driver has it; names who has. 'Nobody' is not ready either. A Grace "
        "superchip on plain vfio-pci fails.",
        "The link driver of the GPU. Not `modprobe -n`, not 'Kernel modules' of lspci: what is bound counts.",
        "A guest opens the card through VFIO alone. A driverless card is one modprobe away from nouveau.",
        "gpuctl host prepare binds it by address, with driver_override, early in the initramfs.",
        (
            "measured on Linux 6.1 in QEMU: 'nothing in use' is not 'ready'",
            "dra-driver#1268 and Linux drivers/vfio/pci/nvgrace-gpu",
            "kubevirt#17642",
        ),
    ),
)
