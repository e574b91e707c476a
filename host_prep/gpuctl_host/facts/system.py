"""The machine itself: its names, its processor, its distribution, and whether it is a guest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gpuctl_host.facts.model import System
from gpuctl_host.facts.numa import read_nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpuctl_host.facts.model import Kernel, PciFunction
    from gpuctl_host.host import Host

_DMI = "/sys/class/dmi/id"
_ARM_MAKERS = {
    "0x41": "ARM",
    "0x43": "Cavium",
    "0x46": "Fujitsu",
    "0x48": "HiSilicon",
    "0x4e": "NVIDIA",
    "0x50": "APM",
    "0x51": "Qualcomm",
    "0x61": "Apple",
    "0xc0": "Ampere",
}
# DMI vendor or product -> hypervisor, by the names that systemd-detect-virt uses (src/basic/virt.c)
_DMI_HYPERVISORS = (
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("Amazon EC2", "amazon"),
    ("Google Compute Engine", "kvm"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VirtualBox", "oracle"),
    ("innotek GmbH", "oracle"),
    ("Xen", "xen"),
    ("HVM domU", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Virtual Machine", "microsoft"),
)
# Devices that only a hypervisor makes, by the start of vendor:device; virtio's are none: some hardware has them too
_EMULATED = (
    ("1b36:", "qemu"),
    ("15ad:", "vmware"),
    ("80ee:", "oracle"),
    ("5853:0001", "xen"),
    ("1414:5353", "microsoft"),
    ("1234:1111", "qemu"),  # its standard VGA; Xen's guests have it too, beside the device above
)
_QEMU_SUBSYSTEM = ("1af4", "1100")  # of every device that QEMU emulates after a real one
_ARCH_ENDINGS = ("x86_64", "aarch64", "ppc64le", "s390x", "riscv64")
# drivers/xen/xen-acpi-processor.c and mcelog.c, and drivers/acpi/tables.c of the renamed table
_DOM0_WORDS = ("xen_acpi_processor: ", "xen-acpi-processor: ", "xen_mcelog: ", "ACPI: XMAR ")
# What only arm64's kernel prints (arch/arm64/kernel/setup.c, all ten digits; its server boards' IOMMU)
_ARM64_WORDS = ("Booting Linux on physical CPU 0x0000", "arm-smmu-v3 ")


def read_system(
    host: Host, kernel: Kernel, *, pci: Sequence[PciFunction] | None, learned: Mapping[str, object]
) -> System:
    """Return the machine's names, processor and distribution."""
    # 16 KiB hold the first processor; the whole file of a large machine makes the kernel ask every core
    cpu = _cpuinfo(host.read("/proc/cpuinfo", 16384))
    flags = cpu["flags"].split() if "flags" in cpu else None
    vendor = host.word(f"{_DMI}/sys_vendor")
    product = host.word(f"{_DMI}/product_name") or _device_tree(host)
    noted = learned.get("arch")
    arch = noted if isinstance(noted, str) else _arch(host, kernel, cpu, flags)
    os_release = _os_release(host)
    return System(
        vendor=vendor,
        product=product,
        arch=arch,
        cpu_vendor=_cpu_vendor(cpu),
        cpu_virtualization=_virtualization(flags, kernel.modules),
        cpu_flags_seen=flags is not None,
        hypervisor=_hypervisor(host, flags, f"{vendor} {product}", kernel.log) or _emulator(flags, pci),
        distribution=os_release.get("ID"),
        distribution_like=tuple(os_release.get("ID_LIKE", "").split()),
        distribution_version=os_release.get("VERSION_ID"),
        boot_id=host.word("/proc/sys/kernel/random/boot_id"),
        numa=read_nodes(host),
        dom0=_dom0(host, kernel.log, pci),
    )


def host_name(host: Host) -> str | None:
    """Return the host's name, or None if the tree does not tell."""
    name = host.word("/proc/sys/kernel/hostname") or host.word("/etc/hostname")
    if name is None or name == "(none)" or name.startswith("#"):
        return None
    return name.split()[0][:253]


def _cpuinfo(text: str | None) -> dict[str, str]:
    """The fields of the first processor, and those of the machine where they stand at the start."""
    found: dict[str, str] = {}
    for line in (text or "").split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found


def _cpu_vendor(cpu: dict[str, str]) -> str | None:
    if "vendor_id" in cpu:
        return cpu["vendor_id"] or None
    maker = cpu.get("CPU implementer")
    if maker is not None:
        return _ARM_MAKERS.get(maker, maker)
    return "IBM" if cpu.get("cpu", "").startswith("POWER") else None


def _virtualization(flags: Sequence[str] | None, modules: Iterable[str] | None) -> str | None:
    """Vmx or svm: by the flags; where they cannot be seen, a loaded kvm_intel or kvm_amd has found them."""
    if flags is not None:
        return next((flag for flag in ("vmx", "svm") if flag in flags), None)
    loaded = set(modules or ())
    return "vmx" if "kvm_intel" in loaded else "svm" if "kvm_amd" in loaded else None


def _hypervisor(host: Host, flags: Sequence[str] | None, dmi: str, log: Sequence[str] | None) -> str | None:
    """Who runs this host, if it is a guest; "unknown" if only the processor says that it is one."""
    xen = host.word("/sys/hypervisor/type")
    if xen is not None:
        return xen
    named = next((kind for words, kind in _DMI_HYPERVISORS if words in dmi), None)
    if flags is not None and "hypervisor" not in flags:
        return None  # EC2's and OpenStack's bare metal has the vendor's DMI too
    detected = next((line.partition(": ")[2] for line in log or () if line.startswith("Hypervisor detected: ")), None)
    if detected:
        words = detected.split()[0].lower()
        return {"microsoft": "microsoft", "vmware": "vmware", "kvm": "kvm", "xen": "xen"}.get(words, words)
    if flags is not None:
        return named or "unknown"
    return named if named in ("qemu", "kvm", "vmware", "xen", "oracle", "bochs") else None


def _dom0(host: Host, log: Sequence[str] | None, pci: Sequence[PciFunction] | None) -> bool:
    """Whether this is Xen's dom0, as Xen itself says it, else by what only a dom0 has.

    That is the driver that it lends devices with, a DMAR table renamed, or a word of drivers that work nowhere else.
    """
    said = host.word("/proc/xen/capabilities")
    if said is not None:
        return "control_d" in said
    if any(item.driver == "pciback" for item in pci or ()) or host.exists("/sys/firmware/acpi/tables/XMAR"):
        return True
    return any(line.startswith(_DOM0_WORDS) for line in log or ())


def _emulator(flags: Sequence[str] | None, pci: Sequence[PciFunction] | None) -> str | None:
    """Who made this host's devices, where its processor does not tell whether it is a guest."""
    if flags is not None:
        return None
    names = [f"{item.vendor_id}:{item.device_id}" for item in pci or ()]
    named = next((kind for start, kind in _EMULATED if any(name.startswith(start) for name in names)), None)
    if named is None and any((item.subsystem_vendor, item.subsystem_device) == _QEMU_SUBSYSTEM for item in pci or ()):
        return "qemu"
    return named


def _arch(host: Host, kernel: Kernel, cpu: dict[str, str], flags: Sequence[str] | None) -> str | None:
    """As uname -m says it; in a captured tree by what the kernel left there."""
    release = kernel.release
    said = host.word("/proc/sys/kernel/arch")  # since Linux 6.1
    if said is not None:
        return said
    if host.live:
        return os.uname().machine
    for ending in _ARCH_ENDINGS:
        if release is not None and release.endswith(ending):
            return ending
    if release is not None and release.endswith(("-amd64", "-arm64")):
        return "x86_64" if release.endswith("-amd64") else "aarch64"
    if flags is not None and "lm" in flags:
        return "x86_64"
    if "CPU implementer" in cpu:
        return "aarch64" if cpu.get("CPU architecture") == "8" else "arm"
    if any(line.startswith(_ARM64_WORDS) for line in kernel.log or ()):
        return "aarch64"
    units = host.names("/sys/class/iommu")  # ARM's own IOMMU, and the table that is about it
    arm = host.exists("/sys/firmware/acpi/tables/IORT") or any(unit.startswith("smmu3") for unit in units)
    return "aarch64" if arm else None


def _device_tree(host: Host) -> str | None:
    model = host.read("/proc/device-tree/model", 256) or host.read("/sys/firmware/devicetree/base/model", 256)
    return (model.partition("\0")[0].strip() or None) if model else None


def _os_release(host: Host) -> dict[str, str]:
    """os-release(5): NAME=value with the shell's quotes."""
    text = host.read("/etc/os-release", 65536) or host.read("/usr/lib/os-release", 65536) or ""
    found = {}
    for line in text.split("\n"):
        name, equals, value = line.strip().partition("=")
        if equals and name in ("ID", "ID_LIKE", "VERSION_ID"):
            found[name] = value.strip().strip("\"'")
    return found
