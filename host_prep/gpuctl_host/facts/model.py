"""What a host is: the frozen records that facts/ fills, and that checks/ and changes/ judge and plan from.

`None` always means "could not be known". Addresses are `dddd:bb:dd.f`, ids four lower-case hex digits.
"""

from __future__ import annotations

from dataclasses import field

from gpuctl_host.data import frozen

# ---------------------------------------------------------------- the machine


@frozen
class Node:
    """One NUMA node; memory in MiB."""

    number: int
    cpus: int
    memory_mib: int


@frozen
class System:
    """The machine: DMI names (or the device tree's), and its processor."""

    vendor: str | None
    product: str | None
    arch: str | None
    cpu_vendor: str | None
    cpu_virtualization: str | None  # "vmx", "svm" or None
    cpu_flags_seen: bool  # False: the flags could not be read, so that a missing vmx/svm proves nothing
    hypervisor: str | None  # not None: this host is itself a guest ("kvm", "vmware", "microsoft", ... or "unknown")
    distribution: str | None  # os-release ID
    distribution_like: tuple[str, ...]  # os-release ID_LIKE
    distribution_version: str | None
    boot_id: str | None
    numa: tuple[Node, ...] | None = None  # None: the kernel does not show its nodes
    dom0: bool = False  # Xen's own domain: the machine is ours, though Xen has its processor's and IOMMU's controls


@frozen
class Kernel:
    """The running kernel, its command line and its log."""

    release: str | None
    cmdline: tuple[str, ...] | None  # /proc/cmdline, by the kernel's own quoting
    lockdown: str | None
    modules: tuple[str, ...] | None  # /proc/modules or /sys/module: loaded now, with underscores
    builtin: tuple[str, ...] | None  # modules.builtin of the running release
    log: tuple[str, ...] | None  # lines without their stamps
    config: dict[str, str] | None  # CONFIG_* of interest (IOMMU defaults, VFIO), from /boot/config-* or /proc/config.gz
    installed: tuple[str, ...]  # releases that have a folder in /lib/modules and a kernel image
    parameters: dict[str, str] | None = None  # "vfio_iommu_type1.allow_unsafe_interrupts" -> "Y": live values
    module_uses: dict[str, tuple[int, tuple[str, ...]]] | None = None  # /proc/modules: references, modules that use it


@frozen
class Iommu:
    """What isolates devices: live state first, the rest is there to explain it."""

    enabled: bool | None
    kind: str | None  # "intel-vtd", "amd-vi", "arm-smmu"
    firmware_tables: tuple[str, ...] | None  # of DMAR, IVRS, IORT; None: the tables cannot be seen
    interrupt_remapping: bool | None
    groups: int | None
    units: tuple[str, ...]  # names in /sys/class/iommu
    reserved_direct: tuple[tuple[int, str], ...]  # (group, "start end") of non-relaxable `direct` regions
    reserved_seen: tuple[int, ...] = ()  # GPUs' groups whose reserved regions could be read
    partial: bool = False  # only some groups are shown: a function without one may have one


# ---------------------------------------------------------------- PCI


@frozen
class Bar:
    """One base address register (`resource` file; flags as in include/linux/ioport.h)."""

    index: int
    start: int
    size: int  # bytes
    flags: int
    kind: str  # "mem", "io" or "rom"

    @property
    def assigned(self) -> bool:
        """Whether the firmware or the kernel gave it a place."""
        return self.start != 0 and not self.flags & 0x20000000  # IORESOURCE_UNSET


@frozen
class PciFunction:
    """One function below /sys/bus/pci/devices."""

    address: str
    vendor_id: str | None
    device_id: str | None
    subsystem_vendor: str | None
    subsystem_device: str | None
    class_code: str | None  # six hex digits: class, subclass, programming interface
    revision: str | None
    driver: str | None
    driver_override: str | None
    iommu_group: int | None
    numa_node: int | None
    boot_vga: bool | None
    sriov_totalvfs: int
    sriov_numvfs: int
    physfn: str | None  # address of the physical function, for a virtual one
    reset_methods: tuple[str, ...] | None
    bars: tuple[Bar, ...]
    power_state: str | None  # "D0", "D3hot", "D3cold", ...
    d3cold_allowed: bool | None
    power_control: str | None  # "on" or "auto"
    modalias: str | None
    header_type: int | None  # config space byte 0x0e without the multifunction bit; None: unreadable
    config_dead: bool  # the config space answers all ones: the device is gone from the bus
    parent: str | None  # address of the bridge above, None on a root bus
    path: str  # /sys/devices/pci...: the way there, part of the card's identity
    vf_bars: tuple[Bar, ...] = ()  # SR-IOV BARs (rows 7-12): of the virtual functions, never needed for the card itself
    detailed: bool = False  # False: only uevent and links were read (ids, class, driver, group); the rest is unknown

    @property
    def slot(self) -> str:
        """The address without its function: one card's (or chip's) functions share it."""
        return self.address.rpartition(".")[0]

    @property
    def base_class(self) -> str:
        """Class and subclass, four hex digits; empty if unknown."""
        return (self.class_code or "")[:4]

    @property
    def is_bridge(self) -> bool:
        """Whether it is a bridge, which VFIO does not count as a group's endpoint (vfio.rst)."""
        return self.base_class[:2] == "06" if self.header_type is None else self.header_type in (1, 2)


@frozen
class Holder:
    """Who uses a device now: kind is process, service, domain, vfio, mdev or vf."""

    kind: str
    name: str  # "nvidia-persistenced (pid 812)", "domain vm-3", ...
    pid: int | None = None


@frozen
class Gpu:
    """A display or accelerator function of a selected vendor, with the card's other functions and its group."""

    pci: PciFunction
    name: str
    functions: tuple[tuple[str, PciFunction], ...]  # (role, function): audio, usb, ucsi, other
    group_peers: tuple[PciFunction, ...]  # every other member of its IOMMU group that is not one of its functions
    holders: tuple[Holder, ...] | None  # None: could not be looked at
    persistence: bool | None = None  # NVIDIA's kernel persistence mode holds a card without a process; None: unknown

    @property
    def address(self) -> str:
        """The GPU function's own address."""
        return self.pci.address

    @property
    def members(self) -> tuple[PciFunction, ...]:
        """The GPU and its functions: what goes to a guest together."""
        return (self.pci, *(function for _, function in self.functions))

    @property
    def nova_device_type(self) -> str:
        """What Nova's PCI tracker calls it: by SR-IOV capability, never by model (nova/pci/utils, libvirt nodedev)."""
        if self.pci.physfn is not None:
            return "type-VF"
        return "type-PF" if self.pci.sriov_totalvfs > 0 else "type-PCI"


# ---------------------------------------------------------------- boot and modules


@frozen
class BootEntry:
    """What one installed kernel will be started with."""

    release: str | None
    cmdline: tuple[str, ...] | None
    initramfs: str | None  # path of its image
    default: bool | None
    source: str  # the file that says so


@frozen
class Image:
    """What is inside one built initramfs."""

    release: str
    path: str
    sha256: str | None
    files: tuple[str, ...] | None  # names inside; None: could not be opened
    modules: tuple[str, ...] | None  # kernel modules inside, with underscores
    ours: dict[str, str] | None  # our files inside -> sha256 of their content


@frozen
class Boot:
    """How this host boots: by what is installed, not by the distribution's version."""

    loader: str | None  # grub, bls, systemd-boot, uki, ostree, proxmox
    initramfs: str | None  # initramfs-tools, dracut, mkinitcpio
    entries: tuple[BootEntry, ...] | None  # what the loader will really read
    configured: tuple[str, ...] | None  # arguments that the configuration asks for, effective value
    secure_boot: bool | None
    kdump: bool | None


@frozen
class ModprobeRule:
    """One line of modprobe's configuration."""

    path: str
    line: int
    command: str  # blacklist, options, softdep, install, alias, remove
    module: str  # with underscores
    rest: str


@frozen
class Software:
    """Programs above the kernel."""

    qemu: str | None
    libvirt: str | None
    vfio_pci: str | None  # "module", "builtin", "missing"
    vfio_nodes: tuple[tuple[str, int], ...]  # (path, mode) of /dev/vfio/*
    services: tuple[str, ...]  # known holders that are installed or enabled: nvidia-persistenced, dcgm, ...


@frozen
class FileState:
    """One file as it is: enough to put it back byte for byte."""

    data: bytes  # the content; a link's target for a link
    mode: int = 0o644  # permission bits
    uid: int = 0
    gid: int = 0
    is_link: bool = False


# ---------------------------------------------------------------- what the host cannot do without


@frozen
class Need:
    """A device that the host itself lives on."""

    address: str
    why: str  # "disk", "network", "console"
    detail: str  # "/ on nvme0n1p2", "default route by enp65s0f0", "the only display"


@frozen
class Card:
    """One function that a prepare took charge of, by identity (/etc/gpuctl/cards)."""

    address: str
    vendor_id: str
    device_id: str
    subsystem_vendor: str
    subsystem_device: str
    action: str  # "bind" or "remove"
    driver: str  # what it is bound to: vfio-pci or a variant; "-" for remove
    path: str  # /sys/devices/...


@frozen
class Foreign:
    """A claim on devices that somebody else's configuration makes (driverctl, modprobe.d ids=, command line)."""

    path: str
    what: str
    addresses: tuple[str, ...]


@frozen
class Record:
    """What an earlier prepare left on the host."""

    cards: tuple[Card, ...]
    run: str | None  # id of the run that wrote it
    edited: tuple[str, ...]  # managed files whose content is no longer ours
    missing: tuple[str, ...]  # managed files that are gone
    unprepared: tuple[str, ...]  # installed kernels whose image has not our files
    group_changes: tuple[str, ...]  # "0000:01:00.0: group had 01:00.0 01:00.1, has 01:00.0 00:1f.2"


# ---------------------------------------------------------------- all of it


@frozen
class Facts:
    """One reading of one host."""

    host: str | None
    collected_at: str  # RFC 3339
    vendors: tuple[str, ...]  # whose GPUs were asked for; ("any",) for all
    system: System
    kernel: Kernel
    iommu: Iommu
    boot: Boot
    software: Software
    pci: tuple[PciFunction, ...] | None  # None: /sys/bus/pci cannot be seen
    drivers_seen: bool  # False: no driver link anywhere in the tree, so that "no driver" proves nothing
    gpus: tuple[Gpu, ...]
    nvswitches: tuple[PciFunction, ...]
    modprobe: tuple[ModprobeRule, ...] | None
    iomem: tuple[tuple[int, int, int, str], ...] | None  # (depth, start, end, name)
    needs: tuple[Need, ...] | None
    foreign: tuple[Foreign, ...]
    record: Record | None
    files: dict[str, FileState | None]  # every file that a plan may write, as it is now; None: absent (never in JSON)
    images: tuple[Image, ...] | None  # only read when asked for (prepare, check on a prepared host): it is slow
    claims: dict[str, tuple[str, ...]] = field(default_factory=dict)  # address -> modules that would take it; deep only
    variants: dict[str, str] = field(default_factory=dict)  # address -> variant vfio module (underscores); deep only
    pci_drivers: tuple[str, ...] = ()  # names in /sys/bus/pci/drivers
    needs_unknown: tuple[str, ...] = ()  # what the host lives on but could not be traced to a device: "/ on zfs rpool"

    def function(self, address: str) -> PciFunction | None:
        """Return the PCI function at ``address``."""
        return next((item for item in self.pci or () if item.address == address), None)
