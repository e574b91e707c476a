"""The kernel, the machine, modprobe's configuration and what else is text."""

from __future__ import annotations

import gzip

import pytest

from gpuctl_host.facts.arguments import split_arguments
from gpuctl_host.facts.kernel_log import strip_stamp
from tests.unit.facts.trees import Tree

RELEASE = "6.1.0-56-amd64"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ro  quiet\n", ("ro", "quiet")),
        ('a="b c" d', ("a=b c", "d")),
        ('"a=b c" d', ("a=b c", "d")),
        ('a=b"c d"e', ('a=b"c d"e',)),
        ('a="b', ("a=b",)),
        ("x -- --init", ("x", "--", "--init")),
        ("", ()),
    ],
)
def test_the_command_line_by_the_kernels_rules(text: str, found: tuple[str, ...]) -> None:
    assert split_arguments(text) == found


def test_an_open_quote_ends_with_the_line(tree: Tree) -> None:
    tree.write("/proc/cmdline", 'ro dyndbg="file x +p\n')
    assert tree.facts().kernel.cmdline == ("ro", "dyndbg=file x +p")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("[    0.123456] foo", "foo"),
        ("[    0.1] [drm] foo", "[drm] foo"),
        ("[    0.739359] kernel: AMD-Vi: foo", "AMD-Vi: foo"),
        ("[    0.739359] pve-1.lan kernel: AMD-Vi: foo", "AMD-Vi: foo"),
        ("[    0.739359] the kernel said kernel: foo", "the kernel said kernel: foo"),
        ("Feb 05 08:37:32.229754 ryzen kernel: AMD-Vi: foo", "AMD-Vi: foo"),
        ("[drm] foo", "[drm] foo"),
        ("<6>[    1.2][    T1] foo", "foo"),
        ("May 18 17:09:35 box kernel: [    0.1] DMAR: on", "DMAR: on"),
        ("2024-05-18T17:09:35,123456+00:00 DMAR: on", "DMAR: on"),
        ("usb: text kernel: foo", "usb: text kernel: foo"),
        ("[Wed Oct 15 16:04:04 2025] ACPI: DMAR", "ACPI: DMAR"),
        ("[Wed Oct  5 16:04:04 2025] [drm] foo", "[drm] foo"),
        ("[Oct15 16:04] foo", "foo"),
        ("[Oct 5 16:04] foo", "foo"),
        ("[  +0.000003] foo", "foo"),
        ("[    0.000000 <    0.000000>] foo", "foo"),
        ("[<    0.000003>] foo", "foo"),
        ("[Firmware Bug]: DMAR foo", "[Firmware Bug]: DMAR foo"),
    ],
)
def test_stamps_are_taken_off(line: str, text: str) -> None:
    assert strip_stamp(line) == text
    assert strip_stamp(text) == text


def test_the_running_and_the_installed_kernels(tree: Tree) -> None:
    tree.write("/proc/sys/kernel/osrelease", RELEASE + "\n").write("/proc/cmdline", "root=/dev/sda1 iommu=pt\n")
    tree.write("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
    tree.write("/proc/modules", "nvidia 5 3 nvidia_uvm,nvidia_drm, Live 0x0\nkvm-intel 1 0 - Live 0x0\njunk\n")
    tree.write(
        f"/lib/modules/{RELEASE}/modules.builtin", "kernel/drivers/vfio/pci/vfio-pci.ko\nkernel/fs/ext4/ext4.ko\n"
    )
    tree.write(f"/boot/config-{RELEASE}", "CONFIG_VFIO_PCI=y\n# CONFIG_IOMMU_X is not set\nCONFIG_ATM=m\n")
    tree.write(f"/boot/vmlinuz-{RELEASE}", b"")
    tree.folder("/lib/modules/5.0-removed").folder("/lib/modules/6.9-arch").write("/lib/modules/6.9-arch/vmlinuz", b"")
    tree.write("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n")
    facts = tree.facts()
    kernel = facts.kernel
    assert (kernel.release, kernel.lockdown) == (RELEASE, "integrity")
    assert kernel.cmdline == ("root=/dev/sda1", "iommu=pt")
    assert kernel.modules == ("kvm_intel", "nvidia")
    assert kernel.module_uses == {"nvidia": (3, ("nvidia_uvm", "nvidia_drm")), "kvm_intel": (0, ())}
    assert kernel.builtin == ("ext4", "vfio_pci")
    assert kernel.config == {"CONFIG_VFIO_PCI": "y"}
    assert kernel.installed == (RELEASE, "6.9-arch")
    assert kernel.parameters == {"vfio_iommu_type1.allow_unsafe_interrupts": "Y"}
    assert facts.software.vfio_pci == "builtin"


def test_the_configuration_that_the_kernel_itself_has(tree: Tree) -> None:
    tree.write("/proc/sys/kernel/osrelease", RELEASE).write("/proc/config.gz", gzip.compress(b"CONFIG_VFIO=m\n"))
    assert tree.facts().kernel.config == {"CONFIG_VFIO": "m"}
    tree.write("/proc/config.gz", gzip.compress(b"CONFIG_VFIO=m\n" * 100)[:30] + b"junk")
    assert tree.facts().kernel.config in ({}, None, {"CONFIG_VFIO": "m"})


@pytest.mark.parametrize(
    ("builtin", "dep", "found"),
    [
        ("", "kernel/drivers/vfio/pci/vfio-pci.ko.zst: kernel/x.ko\n", "module"),
        ("kernel/drivers/vfio/pci/vfio-pci.ko\n", "", "builtin"),
        ("kernel/fs/ext4.ko\n", "kernel/x.ko:\n", "missing"),
        (None, None, None),
    ],
)
def test_where_vfio_pci_is(tree: Tree, builtin: str | None, dep: str | None, found: str | None) -> None:
    tree.write("/proc/sys/kernel/osrelease", RELEASE)
    if builtin is not None and dep is not None:
        tree.write(f"/lib/modules/{RELEASE}/modules.builtin", builtin)
        tree.write(f"/lib/modules/{RELEASE}/modules.dep", dep)
    assert tree.facts().software.vfio_pci == found


def test_modprobe_folders_shadow_and_lines_continue(tree: Tree) -> None:
    tree.write(
        "/etc/modprobe.d/vfio.conf", "# blacklist a\nblacklist snd-hda-intel\noptions vfio-pci \\\n  ids=10de:1b80\n"
    )
    tree.write("/lib/modprobe.d/vfio.conf", "blacklist shadowed\n").write(
        "/lib/modprobe.d/other.conf", "softdep nouveau pre: vfio-pci\n"
    )
    tree.write("/etc/modprobe.d/readme.txt", "blacklist no\n").write(
        "/run/modprobe.d/bad.conf", b"\xff\xfe\0 options\nblacklist"
    )
    rules = [(rule.command, rule.module, rule.rest, rule.line) for rule in tree.facts().modprobe or ()]
    assert rules == [
        ("softdep", "nouveau", "pre: vfio-pci", 1),
        ("blacklist", "snd_hda_intel", "", 2),
        ("options", "vfio_pci", "ids=10de:1b80", 3),
    ]


def test_nothing_at_all_is_unknown(tree: Tree) -> None:
    facts = tree.facts()
    assert facts.pci is None
    assert facts.modprobe is facts.iomem is facts.needs is facts.record is facts.host is None
    assert facts.kernel.release is facts.kernel.cmdline is facts.kernel.log is facts.kernel.builtin is None
    assert facts.system.arch is facts.system.cpu_virtualization is facts.system.hypervisor is None
    assert facts.system.cpu_flags_seen is False
    assert facts.software.qemu is facts.software.vfio_pci is None
    assert facts.drivers_seen is False


@pytest.mark.parametrize(
    ("cpu", "extra", "expected"),
    [
        ("vendor_id : GenuineIntel\nflags : lm vmx\n", {}, ("vmx", None, "x86_64")),
        (
            "vendor_id : AuthenticAMD\nflags : lm svm hypervisor\n",
            {"/sys/class/dmi/id/sys_vendor": "QEMU"},
            ("svm", "qemu", "x86_64"),
        ),
        ("vendor_id : GenuineIntel\nflags : lm hypervisor\n", {}, (None, "unknown", "x86_64")),
        (
            "vendor_id : GenuineIntel\nflags : lm vmx\n",
            {"/sys/class/dmi/id/sys_vendor": "Amazon EC2"},
            ("vmx", None, "x86_64"),
        ),
        ("vendor_id : GenuineIntel\n", {"/proc/modules": "kvm_intel 1 0 - Live 0x0\n"}, ("vmx", None, None)),
        ("CPU implementer : 0xc0\nCPU architecture: 8\n", {}, (None, None, "aarch64")),
    ],
)
def test_the_processor(tree: Tree, cpu: str, extra: dict[str, str], expected: tuple[str | None, ...]) -> None:
    tree.write("/proc/cpuinfo", cpu)
    for path, text in extra.items():
        tree.write(path, text)
    system = tree.facts().system
    assert (system.cpu_virtualization, system.hypervisor, system.arch) == expected


@pytest.mark.parametrize(
    ("line", "arch"),
    [
        ("Booting Linux on physical CPU 0x0000080000 [0x481fd010]", "aarch64"),
        ("arm-smmu-v3 arm-smmu-v3.0.auto: option mask 0x0", "aarch64"),
        ("Booting Linux on physical CPU 0x0", None),  # 32-bit ARM
        ("acpi: arm-smmu-v3 is not here", None),
    ],
)
def test_arm64_by_its_log(tree: Tree, line: str, arch: str | None) -> None:
    tree.write("/var/log/dmesg", f"[    0.000000] {line}\n")
    assert tree.facts().system.arch == arch


@pytest.mark.parametrize("path", ["/sys/class/iommu/smmu3.0x0000000009050000", "/sys/firmware/acpi/tables/IORT"])
def test_arm64_by_its_iommu(tree: Tree, path: str) -> None:
    assert tree.folder(path).facts().system.arch == "aarch64"


@pytest.mark.parametrize("path", ["/sys/class/iommu/dmar0", "/sys/firmware/acpi/tables/DMAR"])
def test_no_architecture_by_intels_iommu(tree: Tree, path: str) -> None:
    assert tree.folder(path).facts().system.arch is None


@pytest.mark.parametrize(
    ("ids", "flags", "hypervisor"),
    [
        ("1b36:000c", "", "qemu"),
        ("15ad:07a0", "", "vmware"),
        ("1414:5353", "", "microsoft"),
        ("1414:00ba", "", None),  # a network card that bare metal has too
        ("1af4:1041", "", None),
        ("1234:1111", "", "qemu"),
        ("1b36:000c", "flags : lm vmx\n", None),  # the processor says that it is no guest
    ],
)
def test_a_guest_by_its_devices(tree: Tree, ids: str, flags: str, hypervisor: str | None) -> None:
    tree.function("0000:00:02.0", ids, "060400")
    tree.write("/proc/cpuinfo", f"vendor_id : GenuineIntel\n{flags}")
    assert tree.facts().system.hypervisor == hypervisor


def test_a_guest_by_the_subsystem_of_its_devices(tree: Tree) -> None:
    tree.function("0000:00:00.0", "8086:29c0", "060000", subsystem="1af4:1100")
    assert tree.facts().system.hypervisor == "qemu"


def test_a_guest_of_xens_has_qemus_screen_too(tree: Tree) -> None:
    tree.function("0000:00:02.0", "1234:1111", "030000")
    tree.function("0000:00:03.0", "5853:0001", "ff8000")
    assert tree.facts().system.hypervisor == "xen"


def test_versions_from_the_package_data_base(tree: Tree) -> None:
    paragraph = "Package: {}\nStatus: install ok installed\nVersion: {}\nDescription: x\n Version: 9\n"
    removed = "Package: qemu-system-arm\nStatus: deinstall ok config-files\nVersion: 1:9.9\n"
    texts = [
        removed,
        paragraph.format("qemu-system-x86", "1:7.2+dfsg-7+deb12u5"),
        paragraph.format("libvirt0", "9.0.0-4+deb12u1"),
    ]
    tree.write("/var/lib/dpkg/status", "\n".join(texts))
    software = tree.facts().software
    assert (software.qemu, software.libvirt) == ("7.2", "9.0.0")


def test_iomem_of_root_and_of_others(tree: Tree) -> None:
    tree.write(
        "/proc/iomem",
        "e0000000-efffffff : PCI Bus 0000:01\n  e0000000-e0ffffff : 0000:01:00.0\n    e0000000-e02fffff : BOOTFB\njunk\n",
    )
    assert (tree.facts().iomem or ())[2] == (2, 0xE0000000, 0xE02FFFFF, "BOOTFB")
    tree.write("/proc/iomem", "00000000-00000000 : System RAM\n")
    assert tree.facts().iomem is None
