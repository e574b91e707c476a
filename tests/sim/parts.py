"""What a simulated host is made of: PCI functions, kernel modules, and the machine around them. Plain data, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


class Told:
    """Shows itself by its repr also where hypothesis would print every field of a dataclass."""

    def _repr_pretty_(self, printer: object, _cycle: bool) -> None:
        printer.text(repr(self))  # type: ignore[attr-defined]


@dataclass(frozen=True, repr=False)
class Function(Told):
    """One PCI function as the hardware has it (what a driver does to it is the kernel's business, see kernel.py).

    Attributes:
        address: `dddd:bb:dd.f`.
        vendor, device, subvendor, subdevice: four lower-case hex digits.
        cls: six hex digits: class, subclass, programming interface.
        parent: address of the bridge above; None on a root bus.
        group: the IOMMU group's number where the IOMMU is on; None for a function that never gets one.
        regroup: the group's number after a remove and a rescan; None: the same again.
        bars: (size in bytes, flags) by BAR index; size 0 means an unused one.
        refuses: (driver, errno) of drivers whose probe fails on it.
        disk, net: the name of the block device or interface that appears while a driver has it.
    """

    address: str
    vendor: str
    device: str
    cls: str
    subvendor: str = "0000"
    subdevice: str = "0000"
    revision: str = "a1"
    parent: str | None = None
    group: int | None = None
    regroup: int | None = None
    numa: int = -1
    bars: tuple[tuple[int, int], ...] = ()
    boot_vga: bool = False
    sriov_totalvfs: int = 0
    vf_device: str = ""
    physfn: str | None = None
    reset_methods: str = "flr bus"
    multifunction: bool = False
    refuses: tuple[tuple[str, int], ...] = ()
    disk: str = ""
    net: str = ""
    console: bool = False

    def __repr__(self) -> str:
        return f"{self.address} {self.vendor}:{self.device} group {self.group}" + (
            f"->{self.regroup}" if self.regroup is not None else ""
        )

    @property
    def bus(self) -> str:
        """Domain and bus: `dddd:bb`."""
        return self.address.rpartition(":")[0]

    @property
    def slot(self) -> str:
        """The address without its function."""
        return self.address.rpartition(".")[0]

    @property
    def is_bridge(self) -> bool:
        """Whether it is a PCI-to-PCI bridge (header type 1)."""
        return self.cls.startswith("0604")

    @property
    def modalias(self) -> str:
        """What modules.alias is matched against (file2alias.c: upper-case hex)."""
        return (
            f"pci:v0000{self.vendor.upper()}d0000{self.device.upper()}sv0000{self.subvendor.upper()}"
            f"sd0000{self.subdevice.upper()}bc{self.cls[0:2].upper()}sc{self.cls[2:4].upper()}i{self.cls[4:6].upper()}"
        )


@dataclass(frozen=True, repr=False)
class Module(Told):
    """A kernel module and the PCI driver in it.

    Attributes:
        name: with underscores.
        driver: the driver's name on the PCI bus ("vfio-pci"); empty if it has none.
        aliases: patterns for modules.alias; "vfio_pci:..." ones match only a device that is overridden to this driver.
        deps: modules that must be loaded before.
        path: below lib/modules/REL, without suffix.
    """

    name: str
    driver: str = ""
    aliases: tuple[str, ...] = ()
    deps: tuple[str, ...] = ()
    path: str = ""
    sriov: bool = False

    def __repr__(self) -> str:
        return self.name

    @property
    def is_vfio(self) -> bool:
        """Whether its driver hands devices to user space."""
        return self.driver.startswith("vfio-") or self.driver.endswith("vfio-pci")


@dataclass(frozen=True, repr=False)
class Machine(Told):
    """A whole host before its first boot.

    Attributes:
        iommu: "intel", "amd", "smmu" or "" (no firmware table).
        iommu_default_on: the kernel's own default without an argument.
        builtin: modules that are linked into the kernel.
        family: "debian", "rhel" or "suse": which tools and boot files there are.
        releases: installed kernels, oldest first; the newest boots.
        files, links, modes: below the root, as "/etc/...": they win over what the family brings.
        image_modules: modules that an initramfs of this family holds of itself.
    """

    name: str
    functions: tuple[Function, ...]
    modules: tuple[Module, ...]
    builtin: tuple[str, ...] = ("pcieport",)
    family: str = "debian"
    cpu: str = "intel"
    iommu: str = "intel"
    iommu_default_on: bool = True
    intremap: bool = True
    releases: tuple[str, ...] = ("6.1.0-56-amd64",)
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    image_modules: tuple[str, ...] = ("nvme", "ahci", "virtio_blk")
    vendor: str = "Supermicro"
    product: str = "SYS-7048GR-TR"

    def __repr__(self) -> str:
        """Only what differs between worlds: a failing property prints it."""
        stock = ("drm", "ttm", "snd_pcm", "snd_hda_codec")
        names = [item.name for item in self.modules if item.name not in stock]
        return (
            f"<{self.family} {self.cpu} iommu={self.iommu} default_on={self.iommu_default_on} builtin={self.builtin} modules={names} "
            f"releases={self.releases} files={self.files}\n  " + "\n  ".join(map(repr, self.functions)) + ">"
        )

    def but(self, **changes: object) -> Machine:
        """A copy in which ``changes`` differ."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def at(self, address: str) -> Function:
        """The function at ``address``."""
        return next(item for item in self.functions if item.address == address)
