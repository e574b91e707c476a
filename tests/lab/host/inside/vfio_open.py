"""Opens PCI functions through VFIO as QEMU would, without a guest; runs in the lab machine, Python >= 3.9.

    python3 vfio_open.py ADDRESS...      prints one JSON object; exit code 0 if every function could be opened

Uses the group interface (linux/vfio.h, Documentation/driver-api/vfio.rst): status, container, IOMMU type 1, device.
"""

import array
import fcntl
import json
import os
import struct
import sys
from typing import Any


def _io(number: int) -> int:
    return ord(";") << 8 | 100 + number


GET_API_VERSION, CHECK_EXTENSION, SET_IOMMU, GROUP_GET_STATUS, GROUP_SET_CONTAINER = map(_io, range(5))
GROUP_GET_DEVICE_FD, DEVICE_GET_INFO, DEVICE_GET_REGION_INFO = _io(6), _io(7), _io(8)
TYPE1, TYPE1V2, CONFIG_REGION = 1, 3, 7


def look(address: str, containers: dict[str, int]) -> dict[str, Any]:
    """Says what became of one function: its group, whether that is viable, and the ids that VFIO itself shows."""
    base = "/sys/bus/pci/devices/" + address
    said: dict[str, Any] = {"address": address, "group": None, "viable": False, "opened": False, "error": None}
    try:
        said["group"] = os.path.basename(os.readlink(base + "/iommu_group"))
        if said["group"] not in containers:
            containers[said["group"]] = enter(said)
        said["viable"] = True
        # a mutable argument: only then ioctl() hands back what the call returned, the descriptor
        name = array.array("B", address.encode() + b"\0")
        device = fcntl.ioctl(containers[said["group"]], GROUP_GET_DEVICE_FD, name, True)
        region = array.array("B", struct.pack("IIIIQQ", 32, 0, CONFIG_REGION, 0, 0, 0))
        fcntl.ioctl(device, DEVICE_GET_REGION_INFO, region, True)
        offset = struct.unpack("IIIIQQ", region)[5]
        vendor, product = struct.unpack("<HH", os.pread(device, 4, offset))
        said["ids"] = f"{vendor:04x}:{product:04x}"
        said["opened"] = True
    except OSError as error:
        said["error"] = str(error)
    return said


def enter(said: dict[str, Any]) -> int:
    """Opens a group and gives it an IOMMU of its own; what is found on the way is written to `said`."""
    group = os.open("/dev/vfio/" + said["group"], os.O_RDWR)
    try:
        status = array.array("I", [8, 0])
        fcntl.ioctl(group, GROUP_GET_STATUS, status, True)
        said["viable"] = bool(status[1] & 1)
        container = os.open("/dev/vfio/vfio", os.O_RDWR)
        fcntl.ioctl(group, GROUP_SET_CONTAINER, struct.pack("i", container))
        fcntl.ioctl(container, SET_IOMMU, TYPE1V2)
    except OSError:
        os.close(group)
        raise
    return group


def main() -> int:
    """Opens all of them at once, as one guest with the whole card would."""
    containers: dict[str, int] = {}
    answers = [look(address, containers) for address in sys.argv[1:]]
    print(json.dumps({"functions": answers}))
    return 0 if answers and all(answer["opened"] for answer in answers) else 1


if __name__ == "__main__":
    sys.exit(main())
