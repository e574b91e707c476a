"""/proc, the firmware's tables and the kernel's log of a simulated machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sysfs import acpi_table

if TYPE_CHECKING:
    from .kernel import Kernel
    from .parts import Machine
    from .tree import Tree

FLAGS = {"intel": "vmx", "amd": "svm", "arm": ""}
CPU_NAMES = {"intel": "GenuineIntel", "amd": "AuthenticAMD", "arm": ""}
ARCH = {"intel": "x86_64", "amd": "x86_64", "arm": "aarch64"}


def dmesg(machine: Machine, kernel: Kernel) -> list[str]:
    """The log's lines about the IOMMU, with the traps that a real kernel prints too when it is off (kernel-lab section 3)."""
    lines = [f"Linux version {kernel.release} (sim@sim) #1 SMP", f"Command line: {kernel.cmdline}"]
    if machine.iommu == "intel":
        lines += [
            "ACPI: DMAR 0x000000007FFE2000 000060 (v01 SIMUL  SIMTABLE 00000001 SIM  00000001)",
            "DMAR: Host address width 46",
        ]
        lines += ["DMAR: DRHD base: 0x000000fbffc000 flags: 0x1"]
        if "intel_iommu=on" in kernel.cmdline:
            lines.append("DMAR: IOMMU enabled")
        if "intel_iommu=off" in kernel.cmdline:
            lines.append("DMAR: IOMMU disabled")
        if machine.intremap:
            lines.append("DMAR-IR: Enabled IRQ remapping in x2apic mode")
        if kernel.iommu:
            lines.append("DMAR: Intel(R) Virtualization Technology for Directed I/O")
    elif machine.iommu == "amd" and kernel.iommu:
        lines += [
            "pci 0000:00:00.2: AMD-Vi: IOMMU performance counters supported",
            "AMD-Vi: Interrupt remapping enabled",
        ]
    for token in kernel.cmdline.split():
        if token.split("=")[0] in ("iommu_intel", "intel-iommu"):
            lines.append(f'Unknown kernel command line parameters "{token}", will be passed to user space.')
    lines.append("iommu: Default domain type: Translated")
    return lines


def show_proc(machine: Machine, tree: Tree, kernel: Kernel) -> None:
    """The files are there; nothing of PCI yet."""
    cpu = machine.cpu
    flags = f"fpu vme de pse tsc msr pae {FLAGS[cpu]} aes"
    tree.write("/proc/cmdline", kernel.cmdline + "\n", 0o444)
    blocks = [
        f"processor\t: {number}\nvendor_id\t: {CPU_NAMES[cpu]}\nmodel name\t: simulated\nflags\t\t: {flags}\n\n"
        for number in range(2)
    ]
    tree.write(
        "/proc/cpuinfo", "".join(blocks) if cpu != "arm" else "processor\t: 0\nCPU implementer\t: 0x41\n\n", 0o444
    )
    tree.write("/proc/modules", "", 0o444)
    tree.write("/proc/version", f"Linux version {kernel.release} (sim@sim)\n", 0o444)
    tree.write("/proc/sys/kernel/osrelease", kernel.release + "\n", 0o444)
    tree.write("/proc/sys/kernel/arch", ARCH[cpu] + "\n", 0o444)
    tree.write(
        "/proc/iomem",
        "00000000-00000fff : Reserved\n00001000-0009ffff : System RAM\n100000000-3fffffffff : System RAM\n",
        0o400,
    )
    tree.write("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n", 0o444)
    tree.write("/proc/uptime", "100.00 100.00\n", 0o444)
    _show_root(machine, tree)
    names = [item.net for item in machine.functions if item.net]
    route = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    if names:
        route += f"{names[0]}\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    tree.write("/proc/net/route", route, 0o444)
    tree.write("/proc/net/ipv6_route", "", 0o444)
    chips = "IR-PCI-MSI" if machine.intremap and machine.iommu else "PCI-MSI"
    tree.write(
        "/proc/interrupts", f"            CPU0\n  24:          0  {chips}-0000:00:01.0   0-edge      PCIe PME\n", 0o444
    )
    if cpu != "arm":
        tree.write(
            "/sys/kernel/irq/9/chip_name", "IR-IO-APIC\n" if machine.intremap and machine.iommu else "IO-APIC\n", 0o444
        )
    tree.write("/sys/class/dmi/id/sys_vendor", machine.vendor + "\n", 0o444)
    tree.write("/sys/class/dmi/id/product_name", machine.product + "\n", 0o444)
    table = {"intel": "DMAR", "amd": "IVRS", "smmu": "IORT"}.get(machine.iommu)
    tree.mkdir("/sys/firmware/acpi/tables")
    if table:
        tree.write(f"/sys/firmware/acpi/tables/{table}", acpi_table(table, intremap=machine.intremap), 0o400)
    tree.write("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n", 0o644)
    log = dmesg(machine, kernel)
    tree.write("/var/log/dmesg", "".join(f"[    {number / 10:.6f}] {line}\n" for number, line in enumerate(log)), 0o640)
    tree.write("/dev/kmsg", "")
    tree.write("/dev/vfio/vfio", "", 0o666)
    tree.write("/proc/1/comm", "systemd\n", 0o444)
    tree.write("/proc/1/cmdline", "/sbin/init\0", 0o444)
    tree.mkdir("/proc/1/fd")


def _show_root(machine: Machine, tree: Tree) -> None:
    disk = next((item.disk for item in machine.functions if item.disk), "")
    part = f"{disk}p2" if disk.startswith("nvme") else f"{disk}2"
    lines = [
        ("proc", "/proc", "proc"),
        ("sysfs", "/sys", "sysfs"),
        (f"/dev/{part}" if disk else "none", "/", "ext4" if disk else "tmpfs"),
    ]
    mounts = "".join(f"{source} {place} {kind} rw,relatime 0 0\n" for source, place, kind in lines)
    infos = []
    for number, (source, place, kind) in enumerate(lines, 22):
        major = "259:2" if place == "/" else f"0:{number}"
        infos.append(f"{number} 1 {major} / {place} rw,relatime shared:{number} - {kind} {source} rw\n")
    for who in ("self", "1"):
        tree.write(f"/proc/{who}/mounts", mounts, 0o444)
        tree.write(f"/proc/{who}/mountinfo", "".join(infos), 0o444)
    tree.write("/proc/mounts", mounts, 0o444)
