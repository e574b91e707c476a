"""A small host that reacts, all of whose state is files (so that a killed process loses none), plans for it, and faults."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import traceback
import warnings
from collections.abc import Iterable
from typing import Callable

from gpuctl_host.apply.disk import Disk
from gpuctl_host.apply.executor import apply_plan
from gpuctl_host.apply.outcome import Meta, Outcome
from gpuctl_host.apply.restore import apply_restore, plan_restore
from gpuctl_host.changes.model import (
    BIND,
    FILE,
    GENERATED,
    MODULE,
    OVERRIDE,
    REBOOT,
    REMOVE,
    UNBIND,
    Change,
    Plan,
    Wish,
)
from gpuctl_host.command import Result
from gpuctl_host.errors import KernelRefused, ToolError
from gpuctl_host.facts.model import (
    Boot,
    Card,
    Facts,
    FileState,
    Gpu,
    Iommu,
    Kernel,
    PciFunction,
    Software,
    System,
)
from gpuctl_host.host import Host

META = Meta("0.1.0", ("gpuctl", "host", "prepare", "--yes"), 0, "alice")
OURS = ("var/lib/gpuctl", "var/log/gpuctl", "run/gpuctl", "proc")
GPU, AUDIO, BRIDGE = "0000:01:00.0", "0000:01:00.1", "0000:00:02.0"
PCI = "sys/bus/pci"
KERNELS = ("6.1.0-1-amd64", "6.1.0-2-amd64")


# ---------------------------------------------------------------- trees


def tree(root: str, without: Iterable[str] = OURS) -> dict[str, tuple[object, ...]]:
    """Everything below root that is not gpuctl's own state: kind, mode and content by path."""
    found: dict[str, tuple[object, ...]] = {}
    skip = {os.path.join(root, name) for name in without}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if os.path.join(folder, name) not in skip]
        for name in [*names, *files]:
            path = os.path.join(folder, name)
            state = os.lstat(path)
            kind = stat.S_IFMT(state.st_mode)
            content: object = None
            if stat.S_ISLNK(state.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(state.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            mode = 0 if stat.S_ISLNK(state.st_mode) else stat.S_IMODE(state.st_mode)
            found[path[len(root) :]] = (kind, mode, content)
    return {path: value for path, value in found.items() if path not in ("/var/log", "/var/lib", "/var", "/run")}


def write(root: str, path: str, content: str | bytes, mode: int = 0o644) -> None:
    real = root + path
    os.makedirs(os.path.dirname(real), exist_ok=True)
    with open(real, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    os.chmod(real, mode)


def read(root: str, path: str) -> bytes:
    with open(root + path, "rb") as file:
        return file.read()


def link(root: str, path: str, target: str) -> None:
    os.makedirs(os.path.dirname(root + path), exist_ok=True)
    os.symlink(target, root + path)


def make_root(root: str) -> None:
    """A host with two kernels, one card of two functions, and files of every kind."""
    os.makedirs(root, exist_ok=True)
    write(root, "/etc/default/grub", "GRUB_CMDLINE_LINUX_DEFAULT=quiet\n")
    write(root, "/etc/modprobe.d/old.conf", "blacklist pcspkr\n", 0o600)
    write(root, "/etc/udev/rules.d/10-other.rules", "# theirs\n")
    link(root, "/etc/alias", "default/grub")
    for kernel in KERNELS:
        write(root, f"/boot/initrd.img-{kernel}", f"image {kernel} as installed\n" * 50, 0o600)
    write(root, "/boot/grub/grub.cfg", "linux quiet\n", 0o444)
    write(root, "/proc/sys/kernel/random/boot_id", "b00t\n")
    os.makedirs(f"{root}/{PCI}/devices")
    write(root, f"/{PCI}/rescan", "")
    write(root, f"/{PCI}/drivers_probe", "")
    for driver in ("nouveau", "snd_hda_intel"):
        os.makedirs(f"{root}/{PCI}/drivers/{driver}")
        os.makedirs(f"{root}/sys/module/{driver}")
        link(root, f"/{PCI}/drivers/{driver}/module", f"/sys/module/{driver}")
    _appear(root, BRIDGE, None)
    _appear(root, GPU, "nouveau")
    _appear(root, AUDIO, "snd_hda_intel")


_IDS = {BRIDGE: ("8086", "2f04"), GPU: ("10de", "1b80"), AUDIO: ("10de", "10f0")}
_NATIVE = {GPU: "nouveau", AUDIO: "snd_hda_intel"}


def _appear(root: str, address: str, driver: str | None) -> None:
    above = "/sys/devices/pci0000:00" + ("" if address == BRIDGE else f"/{BRIDGE}")
    base = f"{above}/{address}"
    vendor, device = _IDS[address]
    for name, value in (
        ("vendor", f"0x{vendor}"),
        ("device", f"0x{device}"),
        ("subsystem_vendor", "0x10de"),
        ("subsystem_device", "0x119e"),
        ("driver_override", "(null)"),
        ("remove", ""),
        ("rescan", ""),
    ):
        write(root, f"{base}/{name}", value + "\n" if value else "")
    if driver:
        link(root, f"{base}/driver", f"/{PCI}/drivers/{driver}")
    link(root, f"/{PCI}/devices/{address}", base)


# ---------------------------------------------------------------- the host


class ToyHost(Host):
    """Live below a folder: writes below /sys move links, commands write files. ``tick`` is called between any two."""

    def __init__(self, root: str, *, live: bool = True, tick: Callable[[], None] = lambda: None) -> None:
        super().__init__(root, live=live)
        self.tick = tick
        self.calls: list[tuple[str, ...]] = []
        self.pokes: list[tuple[str, str]] = []
        self.refuse: dict[str, Exception] = {}  # the end of a path, or a command -> what is raised
        self.deaf: set[str] = set()  # drivers that take no card
        self._time = 0.0

    def sleep(self, seconds: float) -> None:
        self._time += seconds

    def monotonic(self) -> float:
        return self._time

    def run(self, argv, *, timeout, stdin="", env=None):  # type: ignore[no-untyped-def]
        self.tick()
        self.calls.append(tuple(argv))
        if argv[0] in self.refuse:
            raise self.refuse[argv[0]]
        if argv[0] == "mkinit":
            # As a real one: first a part, then the rest; what goes in is all of /etc.
            path = f"/boot/initrd.img-{argv[1]}"
            seen = hashlib.sha256(repr(sorted(tree(self.root + "/etc", ()).items())).encode()).hexdigest()
            write(self.root, path, "half an image\n", 0o600)
            self.tick()
            write(self.root, path, f"image {argv[1]} of {seen}\n" * 40, 0o600)
        elif argv[0] == "mkgrub":
            write(self.root, "/boot/grub/grub.cfg", b"linux " + read(self.root, "/etc/default/grub"), 0o444)
        elif argv[0] == "modprobe":
            name = argv[-1].replace("-", "_")
            os.makedirs(f"{self.root}/sys/module/{name}", exist_ok=True)
            os.makedirs(
                f"{self.root}/{PCI}/drivers/{name.replace('_', '-') if 'vfio' in name else name}", exist_ok=True
            )
        elif argv[0] == "broken":
            self.tick()
            return Result(tuple(argv), 3, "", "it does not work\n")
        elif argv[0] == "lies":
            os.truncate(self.root + f"/boot/initrd.img-{argv[1]}", 0)
        elif argv[0] != "udevadm":
            raise ToolError(f"cannot run {argv[0]}: No such file or directory")
        self.tick()
        return Result(tuple(argv), 0, "", "")

    def poke(self, path: str, data: str, *, timeout: float = 10.0) -> None:
        self.tick()
        self.forget()
        self.pokes.append((path, data))
        for end, error in self.refuse.items():
            if path.endswith(end):
                raise error
        self._poke(path, data.strip(), data)
        self.forget()
        self.tick()

    def _poke(self, path: str, word: str, data: str) -> None:
        if path.endswith("/driver_override"):
            if data == "":
                return
            write(self.root, self.resolve(path), (word or "(null)") + "\n")
        elif path.endswith("/unbind"):
            os.unlink(self.real(f"/{PCI}/devices/{word}/driver", follow=False))
        elif path.endswith("/drivers_probe"):
            self._probe(word)
        elif path.endswith("/remove"):
            address = path.split("/")[-2]
            base = self.real(f"/{PCI}/devices/{address}")
            os.unlink(f"{self.root}/{PCI}/devices/{address}")
            for folder, names, files in os.walk(base, topdown=False):
                for name in [*files, *names]:
                    os.unlink(os.path.join(folder, name))
                os.rmdir(folder)
        elif path.endswith("/rescan"):
            for address in (GPU, AUDIO):
                if not os.path.lexists(f"{self.root}/{PCI}/devices/{address}"):
                    _appear(self.root, address, None)
                    self._probe(address)
        else:
            raise KernelRefused(f"no such file {path}", errno=errno.ENOENT)

    def _probe(self, address: str) -> None:
        base = self.real(f"/{PCI}/devices/{address}")
        if os.path.lexists(f"{base}/driver"):
            return
        override = read("", f"{base}/driver_override").decode().strip()
        driver = _NATIVE[address] if override == "(null)" else override
        if driver not in self.deaf and os.path.isdir(f"{self.root}/{PCI}/drivers/{driver}"):
            os.symlink(f"/{PCI}/drivers/{driver}", f"{base}/driver")

    def driver(self, address: str) -> str | None:
        self.forget()
        return self.link_name(f"/{PCI}/devices/{address}/driver")


def cards() -> tuple[Card, ...]:
    return tuple(
        Card(address, *_IDS[address], "10de", "119e", action, driver, f"/sys/devices/pci0000:00/{BRIDGE}/{address}")
        for address, action, driver in ((GPU, "bind", "vfio-pci"), (AUDIO, "remove", "-"))
    )


def facts_of(host: Host, *, holders: tuple[object, ...] = (), boot_id: str = "b00t") -> Facts:
    """The facts that a restore rests on."""
    host.forget()
    functions = []
    for address in host.names(f"/{PCI}/devices"):
        base = f"/{PCI}/devices/{address}"
        override = host.word(f"{base}/driver_override")
        functions.append(
            PciFunction(
                address,
                *_IDS[address],
                "10de",
                "119e",
                "030000",
                None,
                host.link_name(f"{base}/driver"),
                None if override == "(null)" else override,
                1,
                None,
                None,
                0,
                0,
                None,
                None,
                (),
                None,
                None,
                None,
                None,
                0,
                False,
                None,
                host.resolve(base),
            )
        )
    gpus = tuple(
        Gpu(item, "GTX 1080", tuple(("audio", peer) for peer in functions if peer.address == AUDIO), (), holders)  # type: ignore[arg-type]
        for item in functions
        if item.address == GPU
    )
    modules = tuple(host.names("/sys/module"))
    return Facts(
        "toy",
        "2026-11-20T12:00:00Z",
        ("any",),
        System(None, None, None, None, None, False, None, None, (), None, boot_id),
        Kernel(KERNELS[0], (), None, modules, (), None, None, KERNELS),
        Iommu(True, "intel-vtd", None, True, 1, (), ()),
        Boot("grub", "initramfs-tools", None, None, None, None),
        Software(None, None, "module", (), ()),
        tuple(functions),
        True,
        gpus,
        (),
        None,
        None,
        None,
        (),
        None,
        {},
        None,
    )


# ---------------------------------------------------------------- plans


def state(content: str, mode: int = 0o644) -> FileState:
    return FileState(content.encode(), mode, os.geteuid(), os.getegid())


def file_change(root: str, path: str, content: str | None, mode: int = 0o644, target: str | None = None) -> Change:
    """From what is there now to ``content``, to a link to ``target``, or to nothing."""
    before = None
    if os.path.islink(root + path):
        before = FileState(os.readlink(root + path).encode(), 0o777, os.geteuid(), os.getegid(), is_link=True)
    elif os.path.exists(root + path):
        before = state(read(root, path).decode(), stat.S_IMODE(os.stat(root + path).st_mode))
    after = None if content is None else state(content, mode)
    if target is not None:
        after = FileState(target.encode(), 0o777, os.geteuid(), os.getegid(), is_link=True)
    return Change(FILE, path, before, after, "a test", REBOOT)


def file_changes(root: str, word: str = "one") -> tuple[Change, ...]:
    """New files in new folders, a changed one, one that goes, and links both ways."""
    return (
        file_change(root, "/etc/gpuctl/cards", f"# {word}\n{GPU} 10de 1b80\n"),
        file_change(root, "/etc/udev/rules.d/10-gpuctl.rules", f"# {word}\n"),
        file_change(root, "/etc/initramfs-tools/hooks/gpuctl", f"#!/bin/sh\n# {word}\n", 0o755),
        file_change(root, "/etc/default/grub", f"GRUB_CMDLINE_LINUX_DEFAULT={word}\n"),
        file_change(root, "/etc/modprobe.d/old.conf", None),
        file_change(root, "/etc/alias", None, target=f"elsewhere-{word}"),
    )


def generated_changes() -> tuple[Change, ...]:
    images = tuple(
        Change(
            GENERATED,
            f"initramfs {kernel}",
            None,
            None,
            "a test",
            REBOOT,
            (f"/boot/initrd.img-{kernel}",),
            ("mkinit", kernel),
            60.0,
        )
        for kernel in KERNELS
    )
    return (
        *images,
        Change(GENERATED, "grub.cfg", None, None, "a test", REBOOT, ("/boot/grub/grub.cfg",), ("mkgrub",), 30.0),
    )


def live_changes() -> tuple[Change, ...]:
    return (
        Change(MODULE, "vfio-pci", None, "vfio_pci", "a test"),
        Change(OVERRIDE, GPU, None, "vfio-pci", "a test"),
        Change(UNBIND, GPU, "nouveau", None, "a test"),
        Change(BIND, GPU, None, "vfio-pci", "a test"),
        Change(REMOVE, AUDIO, "snd_hda_intel", None, "a test"),
    )


def plan_of(*changes: Change, reboot: tuple[str, ...] = ()) -> Plan:
    return Plan("prepare", "b00t", "f" * 64, Wish(cards()), changes, reboot=reboot)


def prepare(host: Host, plan: Plan, disk: Disk | None = None) -> Outcome:
    return apply_plan(host, plan, meta=META, disk=disk)


def restore(host: Host, disk: Disk | None = None, run: str | None = None, **facts: object) -> Outcome:
    plan = plan_restore(host, facts_of(host, **facts), run)  # type: ignore[arg-type]
    return apply_restore(host, plan, meta=META, run=run, disk=disk)


# ---------------------------------------------------------------- faults


class CountingDisk(Disk):
    """Every system call that changes something goes through act(); a subclass decides what happens there."""

    def __init__(self) -> None:
        self.count = 0
        self.names: list[str] = []

    def tick(self) -> None:
        """The host does something; a disk may count that too."""

    def act(self, name: str) -> None:
        self.count += 1
        self.names.append(name)


def _counted(name: str):  # type: ignore[no-untyped-def]
    original = getattr(Disk, name)

    def call(self, *arguments):  # type: ignore[no-untyped-def]
        self.act(name)
        return original(self, *arguments)

    return call


COUNTED = (
    "create",
    "append",
    "truncate",
    "fsync",
    "fsync_folder",
    "chmod",
    "chown",
    "chown_link",
    "symlink",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
)
for _name in COUNTED:
    setattr(CountingDisk, _name, _counted(_name))


class KillingDisk(CountingDisk):
    """SIGKILL before the Nth call; a write is torn in the middle. ``tick`` counts what the host does, too."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def act(self, name: str) -> None:
        super().act(name)
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def tick(self) -> None:
        self.act("host")

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if self.count + 1 == self.at and len(data) > 1:
            os.write(fd, data[: len(data) // 2])
        self.act("write")
        return os.write(fd, data)


class FailingDisk(CountingDisk):
    """The Nth call fails (and with ``stays`` every later one); a failing write has written a part."""

    def __init__(self, at: int, number: int, *, stays: bool = False, only: str | None = None) -> None:
        super().__init__()
        self.at, self.number, self.stays, self.only = at, number, stays, only
        self.failed = False

    def act(self, name: str) -> None:
        if self.only is not None and name != self.only:
            return
        # An undo must be able to take names away on a full disk; a real one lets it.
        if self.number == errno.ENOSPC and name in ("unlink", "rmdir", "fsync_folder", "truncate", "append"):
            return
        super().act(name)
        if self.count == self.at or (self.stays and self.count > self.at):
            self.failed = True
            raise OSError(self.number, os.strerror(self.number))

    def write(self, fd: int, data: bytes | memoryview) -> int:
        try:
            self.act("write")
        except OSError:
            os.write(fd, data[: len(data) // 2])
            raise
        return os.write(fd, data)


def killed(work: Callable[[KillingDisk], None], at: int) -> bool:
    """Run ``work`` in a child that dies before its Nth call; say whether it died (else it came to its end)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pytest-timeout's thread: the child does not use what it holds
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(KillingDisk(at))
            code = 0
        except BaseException:  # noqa: BLE001 - it is the exit status
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, f"the child failed: {status}"
    return False
