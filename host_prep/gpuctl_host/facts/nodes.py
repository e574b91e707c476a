"""Which device nodes lead to a card: what a process must have open to use it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Gpu, PciFunction
    from gpuctl_host.host import Host

_NVIDIA_MAJOR = 195  # Documentation/admin-guide/devices.txt
_NVIDIA_CONTROL = 254  # minors from here on (modeset, ctl) belong to no card
_NVIDIA_GPUS = "/proc/driver/nvidia/gpus"
_SHARED_MINORS = 32  # cards whose minor cannot be read: any of these may be theirs


def device_nodes(host: Host, gpu: Gpu) -> dict[str, int | None]:
    """Return node -> device number for the GPU and the card's other functions."""
    nodes: dict[str, int | None] = {}
    for item in gpu.members:
        nodes.update(_class_nodes(host, item))
        nodes.update(_vfio_nodes(host, item))
    if gpu.pci.driver == "nvidia":
        nodes.update(_nvidia_nodes(host, gpu.address))
    if gpu.pci.driver == "amdgpu":
        number = _number(host.word("/sys/class/kfd/kfd/dev"))  # one node for all of amdgpu's cards
        if number is not None:
            nodes["/dev/kfd"] = number
    return nodes


def _class_nodes(host: Host, item: PciFunction) -> dict[str, int | None]:
    """DRM, frame buffer and sound nodes: sysfs shows their numbers below the function itself."""
    nodes: dict[str, int | None] = {}
    for name in host.names(f"{item.path}/drm"):
        if name.startswith(("card", "renderD")) and "-" not in name:
            nodes[f"/dev/dri/{name}"] = _number(host.word(f"{item.path}/drm/{name}/dev"))
    for name in host.names(f"{item.path}/graphics"):
        nodes[f"/dev/{name}"] = _number(host.word(f"{item.path}/graphics/{name}/dev"))
    for card in host.names(f"{item.path}/sound"):
        for name in host.names(f"{item.path}/sound/{card}"):
            if name.startswith(("pcm", "control", "hw")):
                nodes[f"/dev/snd/{name}"] = _number(host.word(f"{item.path}/sound/{card}/{name}/dev"))
    return nodes


def _vfio_nodes(host: Host, item: PciFunction) -> dict[str, int | None]:
    """The group's node, and the device's own (cdev, since Linux 6.6)."""
    nodes: dict[str, int | None] = {}
    if item.iommu_group is not None:
        node = f"/dev/vfio/{item.iommu_group}"
        state = host.stat(node)
        if state is not None:
            nodes[node] = state.st_rdev or None
    for name in host.names(f"{item.path}/vfio-dev"):
        nodes[f"/dev/vfio/devices/{name}"] = _number(host.word(f"{item.path}/vfio-dev/{name}/dev"))
    return nodes


def _nvidia_nodes(host: Host, address: str) -> dict[str, int | None]:
    """NVIDIA's driver has no sysfs nodes; /proc/driver/nvidia/gpus/<address>/information has the minor."""
    for line in (host.read(f"{_NVIDIA_GPUS}/{address}/information", 65536) or "").split("\n"):
        name, _, value = line.partition(":")
        if name.strip() == "Device Minor" and value.strip().isdigit() and int(value) < _NVIDIA_CONTROL:
            return {f"/dev/nvidia{int(value)}": os.makedev(_NVIDIA_MAJOR, int(value))}
    return {f"/dev/nvidia{minor}": os.makedev(_NVIDIA_MAJOR, minor) for minor in range(_SHARED_MINORS)}


def _number(text: str | None) -> int | None:
    major, colon, minor = (text or "").partition(":")
    if not colon or not (major.isdigit() and minor.isdigit()) or len(major) > 9 or len(minor) > 9:
        return None
    return os.makedev(int(major), int(minor))
