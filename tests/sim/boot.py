"""One boot: what the loader starts, the image's early scripts, udev in the image, udev on the root."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from . import cpio, grub
from .bus import Device
from .kernel import Kernel
from .kmod import Config, Kmod
from .react import Reacting
from .tree import Tree
from .udev import Udev

if TYPE_CHECKING:
    from .parts import Machine


def next_boot(tree: Tree) -> tuple[str, str, str]:
    """Return release, command line and initramfs of what boots next."""
    if tree.names("/boot/loader/entries"):
        release, arguments, image = grub.default_bls(tree)
    else:
        config = next(path for path in ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg") if tree.exists(path))
        release, arguments, image = grub.default_entry(tree, config)
    return release, f"BOOT_IMAGE=/boot/vmlinuz-{release} {arguments}", image or ""


def _files_of(tree: Tree, folders: tuple[str, ...]) -> dict[str, bytes]:
    found = {}
    for folder in folders:
        for name in tree.names(folder):
            data = tree.read(f"{folder}/{name}")
            if data is not None:
                found[f"{folder}/{name}"] = data
    return found


MODPROBE_FOLDERS = ("/etc/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")
RULE_FOLDERS = ("/etc/udev/rules.d", "/usr/lib/udev/rules.d")


def rules_of(tree: Tree) -> dict[str, bytes]:
    """The udev rules of the root."""
    return _files_of(tree, RULE_FOLDERS)


def kmod_of(kernel: Kernel) -> Kmod:
    """modprobe with the root's configuration as it is now."""
    return Kmod(kernel, Config(_files_of(kernel.tree, MODPROBE_FOLDERS), kernel.cmdline))


class Image:
    """A read initramfs: its files below /, its modules."""

    def __init__(self, data: bytes) -> None:
        self.files = (
            {"/" + name: content for name, (mode, content) in cpio.unpack(data).items() if stat.S_ISREG(mode)}
            if data
            else {}
        )

    def modules(self) -> list[str]:
        """Names of the kernel modules inside, with underscores."""
        return [path.rpartition("/")[2][: -len(".ko")].replace("-", "_") for path in self.files if path.endswith(".ko")]

    def below(self, folders: tuple[str, ...]) -> dict[str, bytes]:
        """The files directly in these folders."""
        return {path: data for path, data in self.files.items() if path.rpartition("/")[0] in folders}


def boot(machine: Machine, tree: Tree, scratch: Tree) -> tuple[Kernel, Udev]:
    """Return the kernel and the udev of a host that has come up: every driver is where the files say.

    Args:
        machine: the hardware, as it is now.
        tree: the root; /sys, /proc and /dev below it are made anew.
        scratch: where the image is unpacked for its scripts to read.
    """
    release, cmdline, image_path = next_boot(tree)
    kernel = Kernel(machine, tree, cmdline=cmdline, release=release)
    show_machine(machine, tree, kernel)
    kernel.start()
    image = Image(tree.read(image_path) or b"" if image_path else b"")
    _early(kernel, image, scratch)
    kmod = kmod_of(kernel)
    udev = Udev(kernel, kmod, rules_of(tree))
    kernel.on_event = udev.event
    for path, data in _files_of(tree, ("/etc/modules-load.d", "/usr/lib/modules-load.d")).items():
        if path.endswith(".conf"):
            _load_all(kmod, data)
    _load_all(kmod, tree.read("/etc/modules") or b"")
    coldplug(kernel, udev)
    return kernel, udev


def _load_all(kmod: Kmod, data: bytes) -> None:
    for line in data.decode("utf-8", "replace").splitlines():
        words = line.split("#")[0].split()
        if words and not line.lstrip().startswith(("#", ";")):
            kmod.insert(words[0], options=" ".join(words[1:]))


def coldplug(kernel: Kernel, udev: Udev) -> None:
    """`udevadm trigger --action=add`: an event for every device that is there."""
    for address in sorted(kernel.devices):
        device: Device = kernel.devices.get(address)  # type: ignore[assignment]
        if device is not None:
            udev.event("add", device, synthetic=True)


def _early(kernel: Kernel, image: Image, scratch: Tree) -> None:
    """What the image does before the root is mounted."""
    kmod = Kmod(kernel, Config(image.below(MODPROBE_FOLDERS), kernel.cmdline), image.modules())
    for path, data in image.files.items():
        if path.startswith(("/etc/gpuctl/", "/conf/", "/scripts/")):
            scratch.write("/image" + path, data)
    top = image.files.get("/scripts/init-top/ORDER", b"").decode()
    scripts = [line.split()[0] for line in top.splitlines() if line.startswith("/scripts/")]
    hooks = sorted(path for path in image.files if path.startswith("/usr/lib/dracut/hooks/pre-udev/"))
    udev = Udev(kernel, kmod, image.below(RULE_FOLDERS))
    for path in hooks or scripts[: _index(scripts, "/scripts/init-top/udev")]:
        _script(kernel, kmod, image.files[path], scratch)
    for word in kernel.cmdline.split() + image.files.get("/etc/cmdline.d/20-force_drivers.conf", b"").decode().split():
        if word.startswith("rd.driver.pre="):
            for name in word.partition("=")[2].split(","):
                kmod.insert(name)
    kernel.on_event = udev.event
    coldplug(kernel, udev)
    if not hooks:
        for path in scripts[_index(scripts, "/scripts/init-top/udev") + 1 :]:
            _script(kernel, kmod, image.files[path], scratch)
        _load_all(kmod, image.files.get("/conf/modules", b""))
    scratch.remove("/image")


def _index(scripts: list[str], name: str) -> int:
    return scripts.index(name) if name in scripts else len(scripts)


def _script(kernel: Kernel, kmod: Kmod, data: bytes, scratch: Tree) -> None:
    image = scratch.at("/image")
    env = {
        "GPUCTL_SYS": kernel.tree.at("/sys"),
        "GPUCTL_PROC": kernel.tree.at("/proc"),
        "GPUCTL_RECORD": image + "/etc/gpuctl/cards",
        "GPUCTL_KMSG": kernel.tree.at("/dev/kmsg"),
    }
    text = data.decode("utf-8", "replace")
    if all(name in text for name in env):  # ours: it can be led elsewhere by itself, so that its text runs unchanged
        Reacting(kernel, kmod).run(
            text,
            env=env,
            roots=dict.fromkeys(("sys", "proc", "etc", "dev", "usr", "run", "var", "boot", "lib"), ""),
        )
    else:
        Reacting(kernel, kmod).run(text, env=env, roots={"etc": image, "conf": image, "scripts": image})


# ---------------------------------------------------------------- the machine's other files


def show_machine(machine: Machine, tree: Tree, kernel: Kernel) -> None:
    """/sys, /proc, /dev and /run are those of a machine that has just been started."""
    from .proc import show_proc

    for folder in ("/sys", "/proc", "/dev", "/run/modprobe.d", "/run/udev"):
        tree.remove(folder)
    show_proc(machine, tree, kernel)
