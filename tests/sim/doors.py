"""Doors: what a write to each of the kernel's files below /sys does, with the errors that a real one gives (kernel-lab.md 3, 4, 5b)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from .bus import Device, Driver, Refusal, Stuck
from .parts import Function
from .sysfs import DRIVERS

if TYPE_CHECKING:
    from .kernel import Kernel

PAGE = 4096


def write(kernel: Kernel, path: str, data: str) -> None:
    """What a write to a file that is there does; raises Refusal and Stuck as Kernel.write says."""
    if path == "/sys/bus/pci/rescan":
        if _number(data):
            kernel.rescan()
    elif path == "/sys/bus/pci/drivers_probe":
        _drivers_probe(kernel, data)
    elif path == "/sys/bus/pci/drivers_autoprobe":
        kernel.autoprobe = data.strip() != "0"
        kernel.tree.write(path, f"{int(kernel.autoprobe)}\n")
    elif path.startswith(DRIVERS + "/"):
        name, _, door = path[len(DRIVERS) + 1 :].partition("/")
        _driver_door(kernel, kernel.drivers[name], door, data)
    else:
        _attribute(kernel, path, data)


def _drivers_probe(kernel: Kernel, data: str) -> None:
    device = _named(kernel, data)
    if device.driver is None:
        kernel.attach(device, list(kernel.drivers.values()))  # success or not, the write succeeds


def _named(kernel: Kernel, data: str) -> Device:
    device = kernel.devices.get(data.removesuffix("\n"))  # sysfs_streq
    if device is None:
        raise Refusal(errno.ENODEV)
    return device


def _driver_door(kernel: Kernel, driver: Driver, door: str, data: str) -> None:
    if door == "unbind":
        device = _named(kernel, data)
        if device.driver != driver.name:
            raise Refusal(errno.ENODEV)
        if device.function.address in kernel.held:
            kernel.waiting[device.function.address] = lambda: kernel.detach(device)
            raise Stuck
        kernel.detach(device)
    elif door == "bind":
        device = _named(kernel, data)
        if not kernel.matches(driver, device):
            raise Refusal(errno.ENODEV)
        if device.driver is not None:
            raise Refusal(errno.EBUSY)  # __driver_probe_device
        number = kernel.probe(driver, device)
        if number:
            raise Refusal(number)
    elif door in ("new_id", "remove_id"):
        _dynamic_id(kernel, driver, door, data)
    else:
        raise Refusal(errno.EACCES)


def _dynamic_id(kernel: Kernel, driver: Driver, door: str, data: str) -> None:
    words = data.split()
    if len(words) < 2:
        raise Refusal(errno.EINVAL)
    known = f"{int(words[0], 16):04x}:{int(words[1], 16):04x}"
    if door == "remove_id":
        if known not in driver.ids:
            raise Refusal(errno.ENODEV)
        driver.ids.remove(known)
        return
    if known in driver.ids:
        raise Refusal(errno.EEXIST)
    driver.ids.append(known)
    for device in kernel.in_order():  # driver_attach: every match without a driver, and success whatever comes of it
        if device.driver is None:
            kernel.attach(device, [driver])


def _attribute(kernel: Kernel, path: str, data: str) -> None:
    owners = [item for item in kernel.devices.values() if path.startswith(item.path + "/")]
    device = max(owners, key=lambda item: len(item.path), default=None)
    if device is None:
        raise Refusal(errno.EACCES)
    name = path[len(device.path) + 1 :]
    if name == "driver_override":
        set_override(kernel, device, data)
    elif name == "remove":
        if _number(data):
            kernel.remove(device)
    elif name == "rescan":
        if _number(data):
            kernel.rescan(device.function.bus)
    elif name == "sriov_numvfs":
        set_vfs(kernel, device, _number(data))
    elif name == "power/control":
        if data.rstrip("\n") not in ("on", "auto"):
            raise Refusal(errno.EINVAL)
        kernel.tree.write(path, data.rstrip("\n") + "\n")
    elif name == "d3cold_allowed":
        kernel.tree.write(path, f"{int(bool(_number(data)))}\n")
    elif name == "uevent":
        kernel.on_event(data.split(maxsplit=1)[0], device)
    elif name == "reset":
        pass
    else:
        raise Refusal(errno.EACCES)


def set_override(kernel: Kernel, device: Device, data: str) -> None:
    """driver_set_override: up to the first newline or NUL; an empty line clears; a page or more is refused."""
    if len(data) >= PAGE - 1:
        raise Refusal(errno.EINVAL)
    if not data:
        return  # a write of nothing never reaches the driver core
    device.override = data.split("\n", 1)[0].split("\0", 1)[0] or None
    kernel.tree.write(f"{device.path}/driver_override", f"{device.override or '(null)'}\n")


def set_vfs(kernel: Kernel, device: Device, count: int) -> None:
    """sriov_numvfs: so many virtual functions are on the bus, each in a group of its own."""
    function = device.function
    if count > function.sriov_totalvfs:
        raise Refusal(errno.ERANGE)
    if count == device.numvfs:
        return
    if device.driver is None or not kernel.drivers[device.driver].module.sriov:
        raise Refusal(errno.ENOENT)
    if count and device.numvfs:
        raise Refusal(errno.EBUSY)
    if not count:
        for item in [item for item in kernel.devices.values() if item.function.physfn == function.address]:
            kernel.remove(item)
            kernel.functions.pop(item.function.address, None)
    device.numvfs = count
    kernel.tree.write(f"{device.path}/sriov_numvfs", f"{count}\n")
    group = max([item.group for item in kernel.devices.values() if item.group is not None], default=0)
    for index in range(count):
        address = f"{function.bus}:{4 + index // 8:02x}.{index % 8}"
        virtual = Function(
            address,
            function.vendor,
            function.vf_device,
            function.cls,
            function.subvendor,
            function.subdevice,
            parent=function.parent,
            group=group + 1 + index,
            numa=function.numa,
            physfn=function.address,
        )
        added = kernel.appear(virtual)
        kernel.tree.link(f"{added.path}/physfn", device.path)
        kernel.tree.link(f"{device.path}/virtfn{index}", added.path)
        kernel.attach(added, list(kernel.drivers.values()))
        kernel.on_event("add", added)


def _number(data: str) -> int:
    """kstrtoul with base 0."""
    try:
        value = int(data.strip(), 0)
    except ValueError:
        raise Refusal(errno.EINVAL) from None
    if value < 0:
        raise Refusal(errno.EINVAL)
    return value
