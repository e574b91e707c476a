"""A small host that reacts, all of whose state is files, so that a killed process loses none."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import Callable

from gpuctl_host.command import Result
from gpuctl_host.errors import KernelRefused, ToolError
from gpuctl_host.facts.model import Boot, Card, Facts, Gpu, Iommu, Kernel, PciFunction, Software, System
from gpuctl_host.host import Host
from tests.unit.apply.trees import link, read, tree, write

GPU, AUDIO, BRIDGE = "0000:01:00.0", "0000:01:00.1", "0000:00:02.0"
PCI = "sys/bus/pci"
KERNELS = ("6.1.0-1-amd64", "6.1.0-2-amd64")


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
