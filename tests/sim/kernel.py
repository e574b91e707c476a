"""Kernel: what it does with devices, drivers and modules (kernel-lab.md sections 3, 4 and 5b); doors has what a write below /sys does.

The state is here; the tree shows it. Sources named at each rule are of Linux 6.1 (drivers/base, drivers/pci, drivers/vfio).
"""

from __future__ import annotations

import errno
import fnmatch
from typing import Callable

from . import doors
from .bus import Device, Driver, Refusal, Stuck
from .iommu import iommu_on, show_unit
from .kmod import ids_in, options_at_boot
from .parts import Function, Machine
from .sysfs import DEVICES, DRIVERS, GROUPS, show_function, show_users
from .tree import Tree


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
        self.functions: dict[str, Function] = {item.address: item for item in machine.functions}

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
            show_unit(tree, self.machine)
        for function in self.machine.functions:
            self.appear(function)
        for name in self.machine.builtin:
            if name in self._modules:
                self.load(name)

    def path_of(self, function: Function) -> str:
        """Where the function is below /sys/devices."""
        steps = [function.address]
        above = function.parent
        while above:
            steps.append(above)
            above = self.functions[above].parent
        domain, bus, _ = steps[-1].split(":")
        return f"/sys/devices/pci{domain}:{bus}/" + "/".join(reversed(steps))

    def appear(self, function: Function) -> Device:
        """The function is on the bus: in its folder, its group, without a driver."""
        self.functions[function.address] = function
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
        driver.ids += ids_in(options + " " + options_at_boot(self.cmdline, name))
        for device in self.in_order():
            if device.driver is None and self.autoprobe:
                self.attach(device, [driver])

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
            self.detach(item)
        self.loaded.remove(name)
        self.drivers.pop(module.driver, None)
        self.tree.remove(f"/sys/module/{name}")
        if module.driver:
            self.tree.remove(f"{DRIVERS}/{module.driver}")
        self._show_modules()

    def _show_modules(self) -> None:
        lines = [
            f"{name} 16384 0 - Live 0x0000000000000000\n"
            for name in reversed(self.loaded)
            if name not in self.machine.builtin
        ]
        self.tree.write("/proc/modules", "".join(lines), 0o444)

    def in_order(self) -> list[Device]:
        """The devices by address, as a bus is walked."""
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

    def attach(self, device: Device, drivers: list[Driver]) -> None:
        """device_attach: the first driver that matches and whose probe succeeds; a failed probe is only a log line."""
        for driver in drivers:
            if not self.matches(driver, device):
                continue
            number = self.probe(driver, device)
            if number == 0:
                return
            self.log.append(f"{driver.name}: probe of {device.function.address} failed with error -{number}")

    def probe(self, driver: Driver, device: Device) -> int:
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
            self.held.get(peer.function.address) and self.is_vfio(peer) for peer in peers
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

    def is_vfio(self, device: Device) -> bool:
        """Whether a VFIO driver has it."""
        return device.driver is not None and self.drivers[device.driver].module.is_vfio

    def _show_users(self, device: Device, *, shown: bool) -> None:
        function = device.function
        number = 0 if function.console or function.boot_vga else 1 + sorted(self.functions).index(function.address)
        show_users(self.tree, function, device.path, shown=shown and not self.is_vfio(device), number=number)

    def detach(self, device: Device) -> None:
        """device_release_driver: the function has no driver, and nobody who uses it."""
        if device.driver is None:
            return
        vfio = self.is_vfio(device)
        if device.numvfs:
            doors.set_vfs(self, device, 0)
        self._show_users(device, shown=False)
        self.tree.remove(f"{device.path}/driver")
        self.tree.remove(f"{DRIVERS}/{device.driver}/{device.function.address}")
        self.log.append(f"{device.driver} released {device.function.address}")
        device.driver = None
        if vfio and not any(self.is_vfio(peer) for peer in self.group_of(device.group)):
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
        self.detach(device)
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
            back.append(self.appear(function))
            if self.autoprobe:
                self.attach(back[-1], list(self.drivers.values()))
        for device in back:
            self.log.append(f"added {device.function.address}")
            self.on_event("add", device)

    def _below(self, function: Function, bus: str | None) -> bool:
        here: Function | None = function
        while here is not None:
            if bus is None or here.bus == bus:
                return True
            here = self.functions[here.parent] if here.parent else None
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
        doors.write(self, path, data)
