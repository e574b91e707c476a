"""One thing to do now, right for this boot loader, image builder and firmware."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl_host.checks.view import View

# The name that each maker gives the switch; the general one stands first for whoever is not listed.
_KNOBS = {
    "iommu": {
        "": "the IOMMU (Intel: VT-d; AMD: IOMMU or AMD-Vi)",
        "dell": (
            "System BIOS > Processor Settings > Virtualization Technology (racadm: "
            "BIOS.ProcSettings.ProcVirtualization)"
        ),
        "hp": "System Options > Virtualization Options > Intel VT-d / AMD I/O Virtualization Technology",
        "supermicro": (
            "Advanced > Chipset Configuration > North Bridge > IIO > Intel VT for Directed I/O (AMD: NB "
            "Configuration > IOMMU)"
        ),
        "lenovo": "Devices and I/O Ports > Intel VT for Directed I/O (AMD: IOMMU)",
        "gigabyte": "Chipset > Intel VT for Directed I/O (AMD: AMD CBS > NBIO Common Options > IOMMU)",
        "asus": "Advanced > System Agent Configuration > VT-d (AMD: AMD CBS > NBIO Common Options > IOMMU)",
    },
    "cpu": {
        "": "hardware virtualization (Intel: VT-x; AMD: SVM)",
        "dell": (
            "System BIOS > Processor Settings > Virtualization Technology (racadm: "
            "BIOS.ProcSettings.ProcVirtualization)"
        ),
        "hp": "System Options > Virtualization Options > Intel Virtualization Technology / AMD-V",
        "supermicro": "Advanced > CPU Configuration > Intel Virtualization Technology / SVM Mode",
        "lenovo": "Processors > Intel Virtualization Technology / SVM Mode",
    },
    "mmio": {
        "": "Above 4G Decoding (and MMIO High Base / High Size where there are large BARs)",
        "dell": "Integrated Devices > Memory Mapped I/O above 4GB and Memory Mapped I/O Base",
        "hp": "System Options > PCI > PCI Express 64-Bit BAR Support",
        "supermicro": (
            "Advanced > PCIe/PCI/PnP Configuration > Above 4G Decoding, MMIO High Base and MMIO High Granularity Size"
        ),
        "lenovo": "Devices and I/O Ports > MM Config Base / PCI 64-Bit Resource Allocation",
    },
    "sriov": {
        "": "SR-IOV Support",
        "dell": "Integrated Devices > SR-IOV Global Enable (racadm: BIOS.IntegratedDevices.SriovGlobalEnable)",
        "supermicro": "Advanced > PCIe/PCI/PnP Configuration > SR-IOV Support",
    },
    "vga": {
        "": "the primary display (the BMC's VGA, or the processor's graphics)",
        "dell": "Integrated Devices > Embedded Video Controller: Enabled",
        "supermicro": "Advanced > PCIe/PCI/PnP Configuration > VGA Priority: Onboard",
        "lenovo": "Devices and I/O Ports > Active Video: Onboard Device",
        "hp": "System Options > PCI > Video Options: Embedded Video Primary",
    },
}


def knob(view: View, what: str) -> str:
    """Return what the firmware's switch is called by this maker."""
    vendor = (view.facts.system.vendor or "").lower()
    names = _KNOBS[what]
    return next((text for maker, text in names.items() if maker and maker in vendor), names[""])


def prepare(view: View, address: str | None = None) -> str:
    """Return the command that puts it right by itself."""
    which = f" --gpu {address}" if address else ""
    if view.facts.boot.loader in ("uki", "ostree"):
        return (
            f"run `gpuctl host prepare{which} --dry-run`: on {view.facts.boot.loader} it prints each step to take, "
            "and takes none"
        )
    return f"run `gpuctl host prepare{which}`"


def add_argument(view: View, argument: str) -> str:
    """Return how this host gets one more argument at its next boot."""
    loader = view.facts.boot.loader
    if loader == "ostree":
        return f"run `rpm-ostree kargs --append={argument}` and reboot"
    if loader == "uki":
        return (
            f"add {argument} to /etc/kernel/cmdline, build the unified kernel image again (`kernel-install add-all`), "
            "and reboot"
        )
    if loader is None:
        return f"add {argument} to the kernel's command line in the boot loader's configuration, and reboot"
    return f"run `gpuctl host prepare`, which adds {argument}, and reboot"


def drop_argument(view: View, argument: str) -> str:
    """Return how an argument that a person gave leaves this host's next boot: gpuctl removes nobody else's."""
    boot = view.facts.boot
    if boot.loader == "bls":
        return f"run `grubby --update-kernel=ALL --remove-args='{argument}'` and reboot"
    if boot.loader == "ostree":
        return f"run `rpm-ostree kargs --delete={argument}` and reboot"
    if boot.loader == "proxmox":
        return (
            f"take {argument} out of /etc/kernel/cmdline (or /etc/default/grub), run `proxmox-boot-tool refresh`, and "
            "reboot"
        )
    if boot.loader in ("systemd-boot", "uki"):
        return f"take {argument} out of /etc/kernel/cmdline, run `kernel-install add-all`, and reboot"
    if boot.loader == "grub":
        return f"take {argument} out of /etc/default/grub and /etc/default/grub.d, run `{regenerate(view)}`, and reboot"
    return f"take {argument} out of the kernel's command line in the boot loader's configuration, and reboot"


def regenerate(view: View) -> str:
    """Return the command that brings the boot configuration into what the loader reads."""
    system, loader = view.facts.system, view.facts.boot.loader
    if loader == "proxmox":
        return "proxmox-boot-tool refresh"
    if loader in ("systemd-boot", "uki"):
        return "kernel-install add-all"
    if family(view) == "debian" or system.distribution is None:
        return "update-grub"
    return "grub2-mkconfig -o /boot/grub2/grub.cfg"


def rebuild(view: View) -> str:
    """Return the command that builds the initramfs of every installed kernel again."""
    return {
        "initramfs-tools": "update-initramfs -u -k all",
        "dracut": "dracut --regenerate-all --force",
        "mkinitcpio": "mkinitcpio -P",
    }.get(view.facts.boot.initramfs or "", "the distribution's own command to build every initramfs again")


def install(view: View, debian: str, redhat: str) -> str:
    """Return how this distribution gets a package."""
    kind = family(view)
    if kind == "debian":
        return f"apt install {debian}"
    if kind == "suse":
        return f"zypper install {redhat}"
    return f"dnf install {redhat}" if kind == "redhat" else f"install {redhat}"


def family(view: View) -> str | None:
    """Return debian, redhat, suse or arch; None where os-release tells of none of them."""
    system = view.facts.system
    words = {system.distribution or "", *system.distribution_like}
    for kind, names in (
        ("debian", {"debian", "ubuntu", "proxmox"}),
        ("suse", {"suse", "opensuse", "sles", "opensuse-leap", "opensuse-tumbleweed"}),
        ("redhat", {"rhel", "fedora", "centos", "rocky", "almalinux", "ol"}),
        ("arch", {"arch"}),
    ):
        if words & names:
            return kind
    return None
