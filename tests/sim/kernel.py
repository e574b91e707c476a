"""Kernel: what a write below /sys does, with the errors that a real one gives (kernel-lab.md sections 3, 4 and 5b).

The state is here; the tree shows it. Sources named at each rule are of Linux 6.1 (drivers/base, drivers/pci, drivers/vfio).
"""

from __future__ import annotations

import errno
import fnmatch
import re
from dataclasses import dataclass, field
from typing import Callable

from .parts import Function, Machine, Module
from .sysfs import DEVICES, DRIVERS, GROUPS, show_function
from .tree import Tree

PAGE = 4096


class Refusal(Exception):
    """The write fails with this errno."""

    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode.get(number, str(number)))
        self.number = number


class Stuck(Exception):
    """The writer sleeps in the kernel until the device's user lets go."""


@dataclass
class Device:
    """A function that is on the bus now."""

    function: Function
    path: str
    driver: str | None = None
    override: str | None = None
    group: int | None = None
    numvfs: int = 0


@dataclass
class Driver:
    """A registered PCI driver."""

    name: str
    module: Module
    ids: list[str] = field(default_factory=list)  # dynamic ids: "vvvv:dddd"


class Kernel:
    """The running kernel of one boot."""

    def __init__(self, machine: Machine, tree: Tree, *, cmdline: str, release: str) -> None:
        self.machine = machine
        self.tree = tree
        self.cmdline = cmdline
        self.release = release
        self.iommu = iommu_on(machine, cmdline)
        self.devices: dict[str, Device] = {}
        self.drivers: dict[str, Driver] = {}
        self.loaded: list[str] = []
        self.removed_once: set[str] = set()
        self.held: dict[str, str] = {}  # address -> who uses it
        self.waiting: dict[str, Callable[[], None]] = {}  # what a stuck writer will do when the user lets go
        self.on_event: Callable[[str, Device], None] = lambda action, device: None
        self.log: list[str] = []  # every write: "path <- data", and what drivers did, for tests to look at
        self.autoprobe = True
        self._modules = {module.name: module for module in machine.modules}
        self._place = {item.address: index for index, item in enumerate(machine.functions)}
        self._functions: dict[str, Function] = {item.address: item for item in machine.functions}

    # ---- devices

    def start(self) -> None:
        """Every function is on the bus, the built-in drivers have what they match."""
        tree = self.tree
        for folder in (DEVICES, DRIVERS, GROUPS, "/sys/class/iommu", "/sys/module", "/sys/class/vfio", "/dev/vfio"):
            tree.mkdir(folder)
        tree.write("/sys/bus/pci/rescan", "", 0o200)
        tree.write("/sys/bus/pci/drivers_probe", "", 0o200)
        tree.write("/sys/bus/pci/drivers_autoprobe", "1\n", 0o644)
        if self.iommu:
            name = {"intel": "dmar0", "amd": "ivhd0", "smmu": "smmu3.0x0000000050000000"}[self.machine.iommu]
            tree.mkdir(f"/sys/devices/virtual/iommu/{name}/devices")
            tree.link(f"/sys/class/iommu/{name}", f"/sys/devices/virtual/iommu/{name}")
            if self.machine.iommu == "intel":
                tree.write(
                    f"/sys/class/iommu/{name}/intel-iommu/ecap",
                    "f00f4a\n" if self.machine.intremap else "f00f42\n",
                    0o444,
                )
                tree.write(f"/sys/class/iommu/{name}/intel-iommu/cap", "80d2008c222f0686\n", 0o444)
        for function in self.machine.functions:
            self._appear(function)
        for name in self.machine.builtin:
            if name in self._modules:
                self.load(name)

    def path_of(self, function: Function) -> str:
        """Where the function is below /sys/devices."""
        steps = [function.address]
        above = function.parent
        while above:
            steps.append(above)
            above = self._functions[above].parent
        domain, bus, _ = steps[-1].split(":")
        return f"/sys/devices/pci{domain}:{bus}/" + "/".join(reversed(steps))

    def _appear(self, function: Function) -> Device:
        self._functions[function.address] = function
        path = self.path_of(function)
        device = self.devices[function.address] = Device(function, path)
        place = self._place.setdefault(function.address, len(self._place))
        show_function(self.tree, function, path, 0x3000_0000_0000 + (place << 40))
        number = function.group
        if function.address in self.removed_once and function.regroup is not None:
            number = function.regroup
        if self.iommu and number is not None:
            self._join(device, number)
        return device

    def _join(self, device: Device, number: int) -> None:
        tree, group = self.tree, f"{GROUPS}/{number}"
        device.group = number
        tree.link(f"{group}/devices/{device.function.address}", device.path)
        tree.write(f"{group}/type", "identity\n" if "iommu=pt" in self.cmdline.split() else "DMA\n")
        tree.write(f"{group}/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n", 0o444)
        tree.link(f"{device.path}/iommu_group", group)

    def _leave_group(self, device: Device) -> None:
        if device.group is None:
            return
        group = f"{GROUPS}/{device.group}"
        self.tree.remove(f"{group}/devices/{device.function.address}")
        if not self.tree.names(f"{group}/devices"):
            self.tree.remove(group)
        device.group = None

    def group_of(self, number: int | None) -> list[Device]:
        """The members of a group."""
        return [item for item in self.devices.values() if number is not None and item.group == number]

    # ---- modules and drivers

    def load(self, name: str, options: str = "") -> None:
        """The module is in the kernel and its driver has tried every device without a driver (driver_attach)."""
        if name in self.loaded:
            return
        module = self._modules[name]
        self.loaded.append(name)
        builtin = name in self.machine.builtin
        self.tree.mkdir(f"/sys/module/{name}/parameters")
        if not builtin:
            self.tree.write(f"/sys/module/{name}/initstate", "live\n", 0o444)
        self._show_modules()
        if not module.driver:
            return
        driver = self.drivers[module.driver] = Driver(module.driver, module)
        base = f"{DRIVERS}/{module.driver}"
        for door in ("bind", "unbind", "new_id", "remove_id"):
            self.tree.write(f"{base}/{door}", "", 0o200)
        self.tree.link(f"{base}/module", f"/sys/module/{name}")
        self.tree.link(f"/sys/module/{name}/drivers/pci:{module.driver}", base)
        driver.ids += list(_ids(options + " " + self._boot_options(name)))
        for device in self._in_order():
            if device.driver is None and self.autoprobe:
                self._attach(device, [driver])

    def unload(self, name: str) -> None:
        """The module is gone and its devices have no driver.

        Raises:
            Refusal: EBUSY when one of its devices is in use, ENOENT if it is not loaded.
        """
        if name not in self.loaded or name in self.machine.builtin:
            raise Refusal(errno.ENOENT)
        module = self._modules[name]
        mine = [item for item in self.devices.values() if item.driver and item.driver == module.driver]
        if any(item.function.address in self.held for item in mine):
            raise Refusal(errno.EBUSY)
        for item in mine:
            self._detach(item)
        self.loaded.remove(name)
        self.drivers.pop(module.driver, None)
        self.tree.remove(f"/sys/module/{name}")
        if module.driver:
            self.tree.remove(f"{DRIVERS}/{module.driver}")
        self._show_modules()

    def _boot_options(self, name: str) -> str:
        words = []
        for token in self.cmdline.replace('"', "").split():
            owner, dot, rest = token.partition(".")
            if dot and owner.replace("-", "_") == name:
                words.append(rest)
        return " ".join(words)

    def _show_modules(self) -> None:
        lines = [
            f"{name} 16384 0 - Live 0x0000000000000000\n"
            for name in reversed(self.loaded)
            if name not in self.machine.builtin
        ]
        self.tree.write("/proc/modules", "".join(lines), 0o444)

    def _in_order(self) -> list[Device]:
        return [self.devices[address] for address in sorted(self.devices)]

    def matches(self, driver: Driver, device: Device) -> bool:
        """pci_match_device: an override excludes every other driver, and matches where no id does."""
        if device.override is not None:
            return device.override == driver.name
        function = device.function
        if f"{function.vendor}:{function.device}" in driver.ids:
            return True
        if driver.name == "pcieport":
            return function.is_bridge
        return any(fnmatch.fnmatchcase(function.modalias, pattern) for pattern in driver.module.aliases)

    def _attach(self, device: Device, drivers: list[Driver]) -> None:
        """device_attach: the first driver that matches and whose probe succeeds; a failed probe is only a log line."""
        for driver in drivers:
            if not self.matches(driver, device):
                continue
            number = self._probe(driver, device)
            if number == 0:
                return
            self.log.append(f"{driver.name}: probe of {device.function.address} failed with error -{number}")

    def _probe(self, driver: Driver, device: Device) -> int:
        """really_probe: 0, or the errno."""
        function = device.function
        refused = dict(function.refuses).get(driver.name)
        if refused:
            return refused
        peers = self.group_of(device.group)
        if driver.module.is_vfio:
            if device.group is None or function.is_bridge:
                return errno.EINVAL  # vfio_pci_core_register_device, vfio_pci_probe
            if device.numvfs:
                return errno.EBUSY  # "Cannot bind to PF with SRIOV enabled"
        elif driver.name != "pcieport" and any(
            self.held.get(peer.function.address) and self._is_vfio(peer) for peer in peers
        ):
            return errno.EBUSY  # iommu_device_use_default_domain: the group belongs to a user
        device.driver = driver.name
        self.log.append(f"{driver.name} bound {function.address}")
        tree = self.tree
        tree.link(f"{device.path}/driver", f"{DRIVERS}/{driver.name}")
        tree.link(f"{DRIVERS}/{driver.name}/{function.address}", device.path)
        tree.write(f"{device.path}/enable", "1\n")
        if driver.module.is_vfio:
            tree.write(f"/dev/vfio/{device.group}", "", 0o600)
        self._show_users(device, shown=True)
        self.on_event("bind", device)
        return 0

    def _is_vfio(self, device: Device) -> bool:
        return device.driver is not None and self.drivers[device.driver].module.is_vfio

    def _show_users(self, device: Device, *, shown: bool) -> None:
        """The block device, interface or DRM card that exists while a driver has the function."""
        function, tree = device.function, self.tree
        vfio = self._is_vfio(device)
        if function.disk:
            self._show_disk(device, shown=shown and not vfio)
        if function.net:
            where = f"{device.path}/net/{function.net}"
            if shown and not vfio:
                tree.write(f"{where}/operstate", "up\n")
                tree.write(f"{where}/address", "52:54:00:00:00:01\n")
                tree.link(f"{where}/device", device.path)
                tree.link(f"/sys/class/net/{function.net}", where)
            else:
                tree.remove(f"{device.path}/net")
                tree.remove(f"/sys/class/net/{function.net}")
        if function.cls.startswith("0403"):  # FINDINGS (viii): sound lets its function sleep, nobody else does
            asleep = shown and not vfio
            tree.write(f"{device.path}/power/control", "auto\n" if asleep else "on\n")
            tree.write(f"{device.path}/power/runtime_status", "suspended\n" if asleep else "active\n", 0o444)
            tree.write(f"{device.path}/power_state", "D3hot\n" if asleep else "D0\n", 0o444)
        if function.cls.startswith("03"):
            number = 0 if function.console or function.boot_vga else 1 + sorted(self._functions).index(function.address)
            where = f"{device.path}/drm/card{number}"
            if shown and not vfio:
                tree.write(f"{where}/dev", f"226:{number}\n")
                tree.link(f"{where}/device", device.path)
                tree.link(f"/sys/class/drm/card{number}", where)
            else:
                tree.remove(f"{device.path}/drm")
                tree.remove(f"/sys/class/drm/card{number}")

    def _show_disk(self, device: Device, *, shown: bool) -> None:
        tree, disk = self.tree, device.function.disk
        middle = "nvme/nvme0" if disk.startswith("nvme") else "ata1/host0/target0:0:0/0:0:0:0/block"
        where = f"{device.path}/{middle}/{disk}"
        parts = [f"{disk}p{number}" if disk.startswith("nvme") else f"{disk}{number}" for number in (1, 2)]
        if shown:
            tree.write(f"{where}/dev", "259:0\n")
            tree.link(f"{where}/device", device.path)
            tree.link(f"/sys/block/{disk}", where)
            tree.link(f"/sys/class/block/{disk}", where)
            tree.link("/sys/dev/block/259:0", where)
            for number, part in enumerate(parts, 1):
                tree.write(f"{where}/{part}/partition", f"{number}\n")
                tree.write(f"{where}/{part}/dev", f"259:{number}\n")
                tree.link(f"/sys/class/block/{part}", f"{where}/{part}")
                tree.link(f"/sys/dev/block/259:{number}", f"{where}/{part}")
        else:
            tree.remove(f"{device.path}/{middle.split('/', maxsplit=1)[0]}")
            tree.remove(f"/sys/block/{disk}")
            for name in (disk, *parts):
                tree.remove(f"/sys/class/block/{name}")

    def _detach(self, device: Device) -> None:
        if device.driver is None:
            return
        vfio = self._is_vfio(device)
        if device.numvfs:
            self._set_vfs(device, 0)
        self._show_users(device, shown=False)
        self.tree.remove(f"{device.path}/driver")
        self.tree.remove(f"{DRIVERS}/{device.driver}/{device.function.address}")
        self.log.append(f"{device.driver} released {device.function.address}")
        device.driver = None
        if vfio and not any(self._is_vfio(peer) for peer in self.group_of(device.group)):
            self.tree.remove(f"/dev/vfio/{device.group}")
        self.on_event("unbind", device)

    # ---- the bus

    def remove(self, device: Device) -> None:
        """The function, and what is below it if it is a bridge, is off the bus."""
        for below in [item for item in self.devices.values() if item.function.parent == device.function.address]:
            self.remove(below)
        address = device.function.address
        if address not in self.devices:
            return
        if address in self.held:
            self.waiting[address] = lambda: self.remove(device)
            raise Stuck
        self._detach(device)
        self._leave_group(device)
        self.tree.remove(f"{DEVICES}/{address}")
        self.tree.remove(device.path)
        del self.devices[address]
        self.removed_once.add(address)
        self.log.append(f"removed {address}")
        self.on_event("remove", device)

    def rescan(self, bus: str | None = None) -> None:
        """Every function that is there in hardware is on the bus again (of ``bus`` and below, or everywhere).

        A loaded driver that matches takes it before udev hears of it (pci_bus_add_device); its override is lost.
        """
        back = []
        for function in self.machine.functions:
            if function.address in self.devices or not self._below(function, bus):
                continue
            if function.parent and function.parent not in self.devices:
                continue
            back.append(self._appear(function))
            if self.autoprobe:
                self._attach(back[-1], list(self.drivers.values()))
        for device in back:
            self.log.append(f"added {device.function.address}")
            self.on_event("add", device)

    def _below(self, function: Function, bus: str | None) -> bool:
        here: Function | None = function
        while here is not None:
            if bus is None or here.bus == bus:
                return True
            here = self._functions[here.parent] if here.parent else None
        return False

    # ---- users

    def hold(self, address: str, who: str) -> None:
        """``who`` has the function open: an unbind or a remove will wait for it."""
        self.held[address] = who

    def let_go(self, address: str) -> None:
        """The user lets go, and a writer that was stuck goes on (kernel-lab section 4: the unbind goes through then)."""
        self.held.pop(address, None)
        late = self.waiting.pop(address, None)
        if late:
            late()

    # ---- writes

    def write(self, path: str, data: str) -> None:
        """What write(2) of ``data`` to ``path`` does.

        Args:
            path: with its links resolved, as the host names it.

        Raises:
            Refusal: the kernel's error.
            Stuck: the writer sleeps for as long as the device is held.
        """
        self.log.append(f"{path} <- {data!r}")
        if not self.tree.exists(path):
            raise Refusal(errno.ENOENT)
        if path == "/sys/bus/pci/rescan":
            if _number(data):
                self.rescan()
        elif path == "/sys/bus/pci/drivers_probe":
            self._drivers_probe(data)
        elif path == "/sys/bus/pci/drivers_autoprobe":
            self.autoprobe = data.strip() != "0"
            self.tree.write(path, f"{int(self.autoprobe)}\n")
        elif path.startswith(DRIVERS + "/"):
            name, _, door = path[len(DRIVERS) + 1 :].partition("/")
            self._driver_door(self.drivers[name], door, data)
        else:
            self._attribute(path, data)

    def _drivers_probe(self, data: str) -> None:
        device = self._named(data)
        if device.driver is None:
            self._attach(device, list(self.drivers.values()))  # success or not, the write succeeds

    def _named(self, data: str) -> Device:
        device = self.devices.get(data.removesuffix("\n"))  # sysfs_streq
        if device is None:
            raise Refusal(errno.ENODEV)
        return device

    def _driver_door(self, driver: Driver, door: str, data: str) -> None:
        if door == "unbind":
            device = self._named(data)
            if device.driver != driver.name:
                raise Refusal(errno.ENODEV)
            if device.function.address in self.held:
                self.waiting[device.function.address] = lambda: self._detach(device)
                raise Stuck
            self._detach(device)
        elif door == "bind":
            device = self._named(data)
            if not self.matches(driver, device):
                raise Refusal(errno.ENODEV)
            if device.driver is not None:
                raise Refusal(errno.EBUSY)  # __driver_probe_device
            number = self._probe(driver, device)
            if number:
                raise Refusal(number)
        elif door in ("new_id", "remove_id"):
            self._dynamic_id(driver, door, data)
        else:
            raise Refusal(errno.EACCES)

    def _dynamic_id(self, driver: Driver, door: str, data: str) -> None:
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
        for device in self._in_order():  # driver_attach: every match without a driver, and success whatever comes of it
            if device.driver is None:
                self._attach(device, [driver])

    def _attribute(self, path: str, data: str) -> None:
        owners = [item for item in self.devices.values() if path.startswith(item.path + "/")]
        device = max(owners, key=lambda item: len(item.path), default=None)
        if device is None:
            raise Refusal(errno.EACCES)
        name = path[len(device.path) + 1 :]
        if name == "driver_override":
            self.set_override(device, data)
        elif name == "remove":
            if _number(data):
                self.remove(device)
        elif name == "rescan":
            if _number(data):
                self.rescan(device.function.bus)
        elif name == "sriov_numvfs":
            self._set_vfs(device, _number(data))
        elif name == "power/control":
            if data.rstrip("\n") not in ("on", "auto"):
                raise Refusal(errno.EINVAL)
            self.tree.write(path, data.rstrip("\n") + "\n")
        elif name == "d3cold_allowed":
            self.tree.write(path, f"{int(bool(_number(data)))}\n")
        elif name == "uevent":
            self.on_event(data.split(maxsplit=1)[0], device)
        elif name == "reset":
            pass
        else:
            raise Refusal(errno.EACCES)

    def set_override(self, device: Device, data: str) -> None:
        """driver_set_override: up to the first newline or NUL; an empty line clears; a page or more is refused."""
        if len(data) >= PAGE - 1:
            raise Refusal(errno.EINVAL)
        if not data:
            return  # a write of nothing never reaches the driver core
        device.override = data.split("\n", 1)[0].split("\0", 1)[0] or None
        self.tree.write(f"{device.path}/driver_override", f"{device.override or '(null)'}\n")

    def _set_vfs(self, device: Device, count: int) -> None:
        function = device.function
        if count > function.sriov_totalvfs:
            raise Refusal(errno.ERANGE)
        if count == device.numvfs:
            return
        if device.driver is None or not self.drivers[device.driver].module.sriov:
            raise Refusal(errno.ENOENT)
        if count and device.numvfs:
            raise Refusal(errno.EBUSY)
        if not count:
            for item in [item for item in self.devices.values() if item.function.physfn == function.address]:
                self.remove(item)
                self._functions.pop(item.function.address, None)
        device.numvfs = count
        self.tree.write(f"{device.path}/sriov_numvfs", f"{count}\n")
        group = max([item.group for item in self.devices.values() if item.group is not None], default=0)
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
            added = self._appear(virtual)
            self.tree.link(f"{added.path}/physfn", device.path)
            self.tree.link(f"{device.path}/virtfn{index}", added.path)
            self._attach(added, list(self.drivers.values()))
            self.on_event("add", added)


def _number(data: str) -> int:
    """kstrtoul with base 0."""
    try:
        value = int(data.strip(), 0)
    except ValueError:
        raise Refusal(errno.EINVAL) from None
    if value < 0:
        raise Refusal(errno.EINVAL)
    return value


def _ids(options: str) -> list[str]:
    found = re.findall(r"(?:^|\s)ids=(\S+)", options)
    return [":".join(part.lower().split(":")[:2]) for value in found for part in value.split(",") if ":" in part]


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
