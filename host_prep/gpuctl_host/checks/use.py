"""Who uses the cards now, and the fabric between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks.answer import HOST, Answer, Check, failed, passed, skipped, warned
from gpuctl_host.checks.view import is_vfio, named, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View


def gpu_in_use(view: View) -> Iterator[Answer]:
    """Nobody holds the card."""
    for gpu in view.facts.gpus:
        holders = gpu.holders
        if holders is None:
            yield skipped(gpu.address, "who uses the GPU could not be looked at", "/proc/*/fd cannot be read")
        elif holders and all(item.kind == "vf" for item in holders):  # gpu-sriov's business: no user by themselves
            title = "nobody was seen to use the GPU, but its virtual functions are on"
            yield skipped(gpu.address, title, f"{holders[0].name}: see gpu-sriov")
        elif holders:
            who = ", ".join(f"{item.kind} {item.name}" for item in holders[:6])
            kinds = {item.kind for item in holders}
            fix = f"stop {holders[0].name} first, and see that nothing starts it again"
            if kinds & {"domain", "vfio"}:
                fix = f"move or shut down {holders[0].name} first (gpuctl instance migrate)"
            yield failed(gpu.address, "the GPU is in use", f"open files below /proc/*/fd and the domains: {who}", fix)
        elif gpu.persistence:
            said = "/proc/driver/nvidia: persistence mode is on; it holds the card without a process"
            yield failed(gpu.address, "nvidia's persistence mode holds the GPU", said, "run `nvidia-smi -pm 0`")
        elif gpu.pci.driver == "nvidia" and gpu.persistence is None:
            fix = "see `nvidia-smi -q -d PERFORMANCE,UTILIZATION`, and run `nvidia-smi -pm 0` before the card is taken"
            said = (
                "/proc/*/fd: nobody; the driver's persistence mode keeps the card without an open file, and cannot "
                "be read from here"
            )
            yield skipped(gpu.address, "no process has the GPU open, but nvidia itself may hold it", said, fix)
        else:
            yield passed(gpu.address, "nobody uses the GPU", "/proc/*/fd: no open device file of it")


def nvswitch(view: View) -> Iterator[Answer]:
    """NVSwitches, where there are any, go with a model: all to the guest, or shared."""
    switches = view.facts.nvswitches
    if not switches:
        if view.facts.pci is None:
            yield skipped(HOST, "the PCI devices could not be seen", "/sys/bus/pci/devices is not there")
        else:
            yield passed(HOST, "no NVSwitch", "/sys/bus/pci/devices: no NVIDIA function of class 0680")
        return
    gpus = [gpu.pci for gpu in view.facts.gpus if gpu.pci.vendor_id == "10de"]
    given = bool(gpus) and all(is_vfio(gpu.driver) for gpu in gpus)
    manager = next(
        (name for name in view.facts.software.services if "fabricmanager" in name.replace("-", "").replace("_", "")),
        None,
    )
    groups = sorted({item.iommu_group for item in switches if item.iommu_group is not None})
    line = f"{len(switches)} of class 0680: {named(switches)}" + (
        f"; IOMMU groups {', '.join(map(str, groups))}" if groups else ""
    )
    if given and all(is_vfio(item.driver) for item in switches):
        yield passed(HOST, "the NVSwitches go to the guest, with all GPUs", line)
    elif given and all(plain(item.driver or "") == "nvidia_nvswitch" for item in switches) and manager:
        yield passed(HOST, "the NVSwitches stay with the host: shared model", f"{line}; {manager}")
    else:
        half = any(is_vfio(item.driver) for item in switches) and not all(is_vfio(item.driver) for item in switches)
        title = (
            "the NVSwitches are bound in part" if half else f"{len(switches)} NVSwitches, and no model chosen for them"
        )
        fix = (
            "choose one model: give all switches and all GPUs to one guest, or keep the switches on nvidia-nvswitch "
            "with Fabric Manager "
            "on the host (FABRIC_MODE=1 in /usr/share/nvidia/nvswitch/fabricmanager.cfg)"
        )
        yield warned(HOST, title, line, fix)


CHECKS = (
    Check(
        "gpu-in-use",
        gpu_in_use,
        "Who uses the GPU?",
        "Fails when a process, a service or a domain holds it. Skipped on the nvidia driver with nobody in sight: "
        "persistence mode leaves no open file.",
        "Character devices that processes hold open, by number and in every namespace; VFIO groups; libvirt's "
        "domains; virtual and mediated devices.",
        "Unbinding a card that is in use blocks in the kernel for ever.",
        "Stop the holder, or move the guest away first.",
        (
            "OpenNebula/one-deploy#251 and commit 7654bb6",
            "k8s-driver-manager#146",
            "measured on Linux 6.1 in QEMU",
        ),
    ),
    Check(
        "nvswitch",
        nvswitch,
        "Who has the NVSwitches?",
        "Warns when NVSwitches are present, with or without a GPU in sight; passes with a model chosen: all to the "
        "guest, or shared.",
        "NVIDIA functions of class 0680 (less the Ethernet of its old chipsets), their drivers and groups; whether "
        "Fabric Manager is installed. Its FABRIC_MODE is not read.",
        "Without somebody who runs the fabric CUDA fails in the guest (cuInit 802). The switches often share one "
        "IOMMU group: they go together.",
        "Choose: all switches with all GPUs to one guest, or switches with Fabric Manager on the host.",
        (
            "NVIDIA Fabric Manager guide",
            "cubecos#259",
            "nccl-tests#260, kubevirt-gpu-device-plugin#125",
            "tests/cases/hosts/hgx-h200-nvswitch-group114.yaml",
        ),
    ),
)
