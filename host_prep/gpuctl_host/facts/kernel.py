"""The running kernel: release, command line, modules, parameters, configuration, and what else is installed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.facts.arguments import split_arguments
from gpuctl_host.facts.kernel_log import read_log
from gpuctl_host.facts.model import Kernel

if TYPE_CHECKING:
    from gpuctl_host.host import Host

MODULES = "/lib/modules"
_PARAMETERS = (
    ("vfio_iommu_type1", "allow_unsafe_interrupts"),
    ("vfio", "enable_unsafe_noiommu_mode"),
    ("vfio_pci", "disable_idle_d3"),
    ("vfio_pci", "disable_vga"),
    ("vfio_pci", "enable_sriov"),
    ("vfio_pci", "ids"),
    ("vfio_pci", "nointxmask"),
    ("vfio_pci_core", "disable_idle_d3"),
    ("nouveau", "modeset"),
    ("nvidia_drm", "modeset"),
    ("nvidia_drm", "fbdev"),
)
_CONFIG = (
    rb"^(CONFIG_(?:VFIO\w*|\w*IOMMU\w*|IRQ_REMAP|SYSFB\w*|FB_EFI|FB_VESA|FB_SIMPLE|DRM_SIMPLEDRM|DRM_NOUVEAU"
    rb"|SND_HDA_INTEL|LOCK_DOWN\w*|PCI_IOV|PCI_STUB))=(.*)$"
)
_IMAGES = ("/boot/vmlinuz-{0}", "/boot/vmlinux-{0}", "/boot/Image-{0}", "/boot/kernel-{0}", MODULES + "/{0}/vmlinuz")
_BOOT_FOLDERS = ("/boot", "/efi", "/boot/efi")


def read_kernel(host: Host) -> Kernel:
    """Return what is known of the running kernel and the installed ones."""
    release = host.word("/proc/sys/kernel/osrelease")
    if release is not None and ("/" in release or len(release) > 128):
        release = None  # junk: it would be used as a file's name
    cmdline = host.read("/proc/cmdline", 65536)
    uses = _module_uses(host)
    return Kernel(
        release=release,
        # the newline is /proc's, not the line's: an open quote would swallow it
        cmdline=None if cmdline is None else split_arguments(cmdline.rstrip("\n").replace("\0", " ")),
        lockdown=_bracketed(host.word("/sys/kernel/security/lockdown")),
        modules=_modules(host, uses),
        builtin=_builtin(host, release),
        log=read_log(host),
        config=_config(host, release),
        installed=tuple(name for name in host.names(MODULES) if _has_image(host, name)),
        parameters=_parameters(host),
        module_uses=uses,
    )


def _bracketed(text: str | None) -> str | None:
    """The value in force of "none [integrity] confidentiality"."""
    if text is None:
        return None
    inner = text.partition("[")[2].partition("]")[0]
    return inner or None


def _module_uses(host: Host) -> dict[str, tuple[int, tuple[str, ...]]] | None:
    """/proc/modules: name, size, references, users ("a,b," or "-"), state, address."""
    text = host.read("/proc/modules", 1 << 20)
    if text is None:
        return None
    found = {}
    for line in text.split("\n"):
        words = line.split()
        if len(words) >= 4:
            references = int(words[2]) if words[2].isascii() and words[2].isdigit() and len(words[2]) < 10 else 0
            users = tuple(user for user in words[3].split(",") if user not in ("", "-", "[permanent]"))
            found[words[0].replace("-", "_")] = (references, users)
    return found


def _modules(host: Host, uses: dict[str, tuple[int, tuple[str, ...]]] | None) -> tuple[str, ...] | None:
    if uses is not None:
        return tuple(sorted(uses))
    folders = host.names("/sys/module")  # has the built-in ones too; only a loaded module has a state
    return tuple(name for name in folders if host.exists(f"/sys/module/{name}/initstate")) if folders else None


def _builtin(host: Host, release: str | None) -> tuple[str, ...] | None:
    text = host.read(f"{MODULES}/{release}/modules.builtin", 4 << 20) if release else None
    if text is None:
        return None
    names = (line.rpartition("/")[2].partition(".ko")[0] for line in text.split("\n") if line.strip())
    return tuple(sorted({name.replace("-", "_") for name in names}))


def _config(host: Host, release: str | None) -> dict[str, str] | None:
    if release is None:
        return None
    for path in (f"/boot/config-{release}", f"{MODULES}/{release}/config"):
        data = host.read_bytes(path, 2 << 20)
        if data is not None:
            break
    else:
        data = _running_config(host)
    if data is None:
        return None
    return {
        name.decode(): value.decode("utf-8", "replace").strip()
        for name, value in re.findall(_CONFIG, data, re.MULTILINE)
    }


def _running_config(host: Host) -> bytes | None:
    packed = host.read_bytes("/proc/config.gz", 1 << 20)
    if packed is None:
        return None
    import zlib

    try:
        return zlib.decompressobj(wbits=31).decompress(packed, 4 << 20)
    except zlib.error:
        return None


def _has_image(host: Host, release: str) -> bool:
    """Whether a kernel image of that release is installed, where any of the usual layouts puts it."""
    if any(host.exists(pattern.format(release)) for pattern in _IMAGES):
        return True
    package = host.word(f"{MODULES}/{release}/pkgbase")  # Arch: the image is named for the package
    if package and "/" not in package and host.exists(f"/boot/vmlinuz-{package}"):
        return True
    machine = host.word("/etc/machine-id")  # kernel-install: $BOOT/<machine id>/<release>/linux
    folders = (
        f"{boot}/{part}/{release}/linux"
        for boot in _BOOT_FOLDERS
        for part in (machine, "Default")
        if part and "/" not in part
    )
    return any(host.exists(path) for path in folders)


def _parameters(host: Host) -> dict[str, str]:
    found = {}
    for module, name in _PARAMETERS:
        value = host.attributes(f"/sys/module/{module}/parameters", (name,)).get(name)
        if value is not None:
            found[f"{module}.{name}"] = value
    return found
