"""SimHost: the code under test talks to it as to a live host; it answers from a tree that reacts, in no real time."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Callable

from gpuctl_host.command import Result
from gpuctl_host.errors import KernelRefused, KernelStuck, ToolError
from gpuctl_host.host import Host

from .boot import boot, kmod_of, rules_of
from .bus import Device, Refusal, Stuck
from .images import _scratch
from .kernel import Kernel
from .kmod import Kmod
from .parts import Machine
from .tools import TOOLS, ToolFailed
from .tree import Tree
from .udev import Udev
from .world import install

if TYPE_CHECKING:
    from pathlib import Path

EPOCH = datetime(2026, 11, 20, 12, 0, 0, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a command: kind is "missing", "hang", "fail" (nothing done) or "lie" (status 0, nothing done)."""

    kind: str
    code: int = 1
    stderr: str = "simulated failure\n"


class SimHost(Host):
    """A machine below ``root`` that boots, reacts to writes below /sys, and has commands.

    Attributes:
        machine: the hardware; another one may be put in between two boots.
        kernel: the running kernel of this boot: its ``log`` has every write, ``hold`` makes a device used.
        faults: command name -> Fault.
        calls: the argv of every command that was run, in order.
        builds: the path of every image that was built.
        before_write: called with (path, data) before each write to the kernel; may raise.
    """

    def __init__(self, machine: Machine, root: str | Path) -> None:
        """The machine is installed below ``root`` and has booted once."""
        os.makedirs(root, exist_ok=True)
        super().__init__(str(root), live=True)
        self.machine = machine
        self.tree = Tree(self.root)
        self.faults: dict[str, Fault] = {}
        self.calls: list[tuple[str, ...]] = []
        self.builds: list[str] = []
        self.before_write: Callable[[str, str], None] | None = None
        self.boots = 0
        self._clock = 0.0
        self._next_pid = 4000
        install(self)
        self._boot()

    # ---- time: the clock moves when somebody waits

    def now(self) -> datetime:
        """The simulated time; it moves a little with every question."""
        self._clock += 0.001
        return EPOCH + timedelta(seconds=self._clock)

    def monotonic(self) -> float:
        """Seconds since the first power-on."""
        self._clock += 0.0001
        return self._clock

    def sleep(self, seconds: float) -> None:
        """The clock has moved on; nobody waited."""
        self._clock += seconds

    def stamp(self) -> int:
        """The time as a file system has it, never twice the same."""
        self._clock += 1
        return int((EPOCH + timedelta(seconds=self._clock)).timestamp())

    # ---- acting

    def run(
        self, argv: Sequence[str], *, timeout: float, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> Result:
        """Run one of the simulated commands."""
        del env
        self.forget()
        name = os.path.basename(argv[0])
        self.calls.append(tuple(argv))
        fault = self.faults.get(name)
        function = TOOLS.get(name)
        if fault and fault.kind == "hang":
            self._clock += timeout
            raise ToolError(f"{argv[0]} did not end within {timeout:g} s", details=" ".join(argv))
        if function is None or (fault and fault.kind == "missing") or self.which(name) is None:
            raise ToolError(
                f"cannot run {argv[0]}: No such file or directory", resolution=f"install the package that has {argv[0]}"
            )
        if fault:
            return Result(
                tuple(argv), fault.code if fault.kind == "fail" else 0, "", fault.stderr if fault.kind == "fail" else ""
            )
        self._clock += 0.5
        try:
            out = function(self, list(argv[1:]), stdin)
        except ToolFailed as failed:
            return Result(tuple(argv), failed.code, "", str(failed))
        finally:
            self.forget()
        return Result(tuple(argv), 0, out, "")

    def poke(self, path: str, data: str, *, timeout: float = 10.0) -> None:
        """Write to the simulated kernel.

        Raises:
            KernelRefused: as the kernel refuses.
            KernelStuck: the device's user does not let go; the clock is ``timeout`` later.
        """
        self.forget()
        if self.before_write:
            self.before_write(path, data)
        try:
            self.kernel.write(self.resolve(path), data)
        except Refusal as refusal:
            text = os.strerror(refusal.number)
            raise KernelRefused(
                f"the kernel refused {data.strip()!r} to {path}: {text}", errno=refusal.number
            ) from None
        except Stuck:
            self._clock += timeout
            raise KernelStuck(
                f"the kernel did not answer a write of {data.strip()!r} to {path} within {timeout:g} s"
            ) from None
        finally:
            self.forget()

    # ---- what a test does to the host

    def reboot(self, machine: Machine | None = None) -> None:
        """The host has started anew, from what its boot loader reads; ``machine``: with this hardware in it."""
        if machine is not None:
            self.machine = machine
        for folder in ("/run", "/tmp"):
            for name in self.tree.names(folder):
                self.tree.remove(f"{folder}/{name}")
        self._boot()

    def _boot(self) -> None:
        self.boots += 1
        scratch = Tree(os.path.join(_scratch(), f"sim-boot-{os.getpid()}"))
        self.kernel: Kernel
        self.udev: Udev
        self._clock += 60
        self.kernel, self.udev = boot(self.machine, self.tree, scratch)
        self._rules = rules_of(self.tree)
        self.kernel.on_event = self.event
        scratch.remove("")
        self.tree.write("/proc/sys/kernel/random/boot_id", f"{self.boots:08x}-0000-4000-8000-000000000000\n", 0o444)
        self.forget()

    def kmod(self) -> Kmod:
        """modprobe with the root's configuration as it is now."""
        return kmod_of(self.kernel)

    def reload_udev(self) -> None:
        """udevd has read its rules and modprobe's configuration again."""
        self._rules = rules_of(self.tree)
        self.udev = Udev(self.kernel, self.kmod(), self._rules)

    def event(self, action: str, device: Device, *, synthetic: bool = False) -> None:
        """udevd looks at its folders' times when an event comes, so that new rules count without a reload."""
        if rules_of(self.tree) != self._rules:
            self.reload_udev()
        self.udev.kmod = self.kmod()
        self.udev.event(action, device, synthetic=synthetic)

    def hold(self, address: str, who: str = "qemu-system-x86") -> int:
        """A process has the function's device node open; return its pid."""
        self._next_pid += 1
        pid, device = self._next_pid, self.kernel.devices[address]
        node = f"/dev/vfio/{device.group}" if self.kernel.is_vfio(device) else f"/dev/dri/card{self._card(device.path)}"
        self.tree.write(f"/proc/{pid}/comm", who + "\n", 0o444)
        self.tree.write(f"/proc/{pid}/cmdline", f"/usr/bin/{who}\0", 0o444)
        self.tree.link(f"/proc/{pid}/fd/7", node)
        if not self.tree.exists(node):
            self.tree.write(node, "")
        self.kernel.hold(address, f"{who} (pid {pid})")
        return pid

    def release(self, address: str, pid: int) -> None:
        """The process is gone."""
        self.tree.remove(f"/proc/{pid}")
        self.kernel.let_go(address)
        self.forget()

    def _card(self, path: str) -> str:
        names = self.tree.names(f"{path}/drm")
        return names[0][len("card") :] if names else "0"

    # ---- what a test looks at

    def drivers(self) -> dict[str, str | None]:
        """Address -> driver, for every function on the bus; read from the tree, not from the kernel's memory."""
        found = {}
        for address in self.tree.names("/sys/bus/pci/devices"):
            link = f"{self.root}/sys/bus/pci/devices/{address}/driver"
            found[address] = os.path.basename(os.readlink(link)) if os.path.islink(link) else None
        return found

    def overrides(self) -> dict[str, str]:
        """Address -> driver_override, of the functions that have one."""
        return {item.function.address: item.override for item in self.kernel.devices.values() if item.override}

    def snapshot(self, *folders: str) -> dict[str, tuple[int, bytes]]:
        """Path -> (st_mode, content or link's target) of everything below these folders; /etc, /boot and /usr/lib/dracut if none is named."""
        found: dict[str, tuple[int, bytes]] = {}
        for top in folders or ("/etc", "/boot", "/usr/lib/dracut"):
            for base, names, files in os.walk(self.root + top):
                for name in [*names, *files]:
                    path = os.path.join(base, name)
                    mode = os.lstat(path).st_mode
                    data = b""
                    if stat.S_ISLNK(mode):
                        data = os.readlink(path).encode()
                    elif stat.S_ISREG(mode):
                        with open(path, "rb") as file:
                            data = file.read()
                    found[path[len(self.root) :]] = (mode, data)
        return dict(sorted(found.items()))

    def writes(self) -> list[str]:
        """Every write that the kernel of this boot has seen, oldest first: "path <- data"."""
        return [line for line in self.kernel.log if " <- " in line]
