"""install(): a distribution below the root of a simulated host, as its installer leaves it; nothing has booted yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import grub
from .images import dracut, initramfs_tools
from .tools import TOOLS

if TYPE_CHECKING:
    from .host import SimHost
    from .parts import Machine
    from .tree import Tree

MACHINE_ID = "0123456789abcdef0123456789abcdef"
COMMANDS = {
    "debian": ("update-grub", "grub-mkconfig", "update-initramfs", "lsinitramfs", "depmod"),
    "rhel": ("grubby", "grub2-mkconfig", "dracut", "lsinitrd", "depmod"),
    "suse": ("pbl", "grub2-mkconfig", "dracut", "lsinitrd", "depmod"),
}
COMMON = ("modprobe", "lsmod", "modinfo", "udevadm", "systemctl", "dmesg", "sync")
OS_RELEASE = {
    "debian": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n',
    "rhel": 'NAME="Rocky Linux"\nVERSION="9.4 (Blue Onyx)"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n',
    "suse": 'NAME="SLES"\nVERSION="15-SP6"\nID="sles"\nID_LIKE="suse"\nVERSION_ID="15.6"\n',
}
GRUB_DEFAULT = {
    "debian": """# If you change this file, run 'update-grub' afterwards to update
# /boot/grub/grub.cfg.

GRUB_DEFAULT=0
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX=""
""",
    "rhel": """GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR="$(sed 's, release .*$,,g' /etc/system-release)"
GRUB_DEFAULT=saved
GRUB_DISABLE_SUBMENU=true
GRUB_TERMINAL_OUTPUT="console"
GRUB_CMDLINE_LINUX="crashkernel=1G-4G:192M resume=/dev/mapper/rl-swap"
GRUB_DISABLE_RECOVERY="true"
GRUB_ENABLE_BLSCFG=true
""",
    "suse": """GRUB_DISTRIBUTOR="SLES"
GRUB_DEFAULT=0
GRUB_TIMEOUT=8
GRUB_CMDLINE_LINUX_DEFAULT="splash=silent quiet mitigations=auto"
GRUB_CMDLINE_LINUX=""
GRUB_DISABLE_RECOVERY="true"
""",
}


_PLAIN_MKCONFIG = """if test -f ${sysconfdir}/default/grub ; then
  . ${sysconfdir}/default/grub
fi
"""
MKCONFIG = {  # the lines by which Debian's differs from upstream's: it reads drop-ins
    "debian": _PLAIN_MKCONFIG
    + 'for x in ${sysconfdir}/default/grub.d/*.cfg ; do\n  if [ -e "${x}" ]; then\n    . "${x}"\n  fi\ndone\n',
    "rhel": _PLAIN_MKCONFIG,
    "suse": _PLAIN_MKCONFIG,
}
DPKG = """Package: qemu-system-x86
Status: install ok installed
Architecture: amd64
Version: 1:7.2+dfsg-7+deb12u16

Package: libvirt-daemon
Status: install ok installed
Architecture: amd64
Version: 9.0.0-4+deb12u2

"""


def install(host: SimHost) -> None:
    """The root has /etc, /boot, /lib/modules and the commands' files; images and the boot loader's files are made by the tools."""
    machine, tree = host.machine, host.tree
    for name in ("bin", "sbin", "lib"):
        if not tree.exists(f"/{name}"):
            tree.mkdir(f"/usr/{name}")
            tree.link(f"/{name}", f"usr/{name}")
    for name in (*COMMON, *COMMANDS[machine.family]):
        body = MKCONFIG[machine.family] if name.endswith("-mkconfig") else ""
        tree.write(
            f"/usr/sbin/{name}",
            f"#!/bin/sh\n# simulated: tests/sim/tools.py has {name}: {name in TOOLS}\n{body}exit 1\n",
            0o755,
        )
    for folder in (
        "/etc/modprobe.d",
        "/etc/udev/rules.d",
        "/etc/modules-load.d",
        "/boot",
        "/run",
        "/tmp",
        "/var/lib",
        "/var/log",
        "/usr/lib/modprobe.d",
        "/usr/lib/udev/rules.d",
    ):
        tree.mkdir(folder)
    files: dict[str, str] = {
        "/etc/os-release": OS_RELEASE[machine.family],
        "/etc/hostname": machine.name + "\n",
        "/etc/machine-id": MACHINE_ID + "\n",
        "/etc/default/grub": GRUB_DEFAULT[machine.family],
        "/etc/fstab": f"{grub.ROOT_ARG[len('root=') :]} / ext4 errors=remount-ro 0 1\n",
    }
    {"debian": _debian, "rhel": _rhel, "suse": _suse}[machine.family](files)
    for path, text in files.items():
        tree.write(path, text)
    for path, data in machine.files.items():
        tree.write(path, data, machine.modes.get(path, 0o644))
    for path, target in machine.links.items():
        tree.link(path, target)
    for release in machine.releases:
        install_kernel(host, release)
    if machine.family != "rhel":
        config = "/boot/grub/grub.cfg" if machine.family == "debian" else "/boot/grub2/grub.cfg"
        grub.make_config(tree, config, dropins=machine.family == "debian")


def install_kernel(host: SimHost, release: str) -> None:
    """The kernel ``release`` is installed as its package does it: modules, kernel, image, boot entry."""
    machine, tree = host.machine, host.tree
    _modules(machine, tree, release)
    tree.write(f"/boot/vmlinuz-{release}", f"kernel {release}\n", 0o600 if machine.family == "rhel" else 0o644)
    tree.write(f"/boot/System.map-{release}", "", 0o600)
    tree.write(f"/boot/config-{release}", _config(machine))
    if machine.family == "debian":
        tree.write(f"/boot/initrd.img-{release}", initramfs_tools(tree, machine, release))
    else:
        path = f"/boot/initramfs-{release}.img" if machine.family == "rhel" else f"/boot/initrd-{release}"
        tree.write(path, dracut(tree, machine, release), 0o600)
    if machine.family == "rhel":
        arguments = grub.grub_variables(tree, dropins=False)[0]
        tree.write(
            f"/boot/loader/entries/{MACHINE_ID}-{release}.conf",
            f"title Rocky Linux ({release}) 9.4 (Blue Onyx)\nversion {release}\nlinux /vmlinuz-{release}\ninitrd /initramfs-{release}.img\n"
            f"options {grub.ROOT_ARG} ro {arguments}\ngrub_users $grub_users\ngrub_arg --unrestricted\ngrub_class rocky\n",
            0o644,
        )
        tree.write("/boot/grub2/grubenv", _grubenv(f"saved_entry={MACHINE_ID}-{release}\nboot_success=0\n"), 0o600)
        tree.write("/boot/grub2/grub.cfg", "insmod blscfg\nblscfg\n", 0o600)


def _grubenv(text: str) -> str:
    head = "# GRUB Environment Block\n" + text
    return head + "#" * (1024 - len(head))


def _config(machine: Machine) -> str:
    builtin = "vfio_pci" in machine.builtin
    lines: list[str] = ["CONFIG_INTEL_IOMMU=y", "CONFIG_AMD_IOMMU=y", "CONFIG_IRQ_REMAP=y"]
    lines.append(
        "CONFIG_INTEL_IOMMU_DEFAULT_ON=y" if machine.iommu_default_on else "# CONFIG_INTEL_IOMMU_DEFAULT_ON is not set"
    )
    lines += [
        f"CONFIG_VFIO={'y' if builtin else 'm'}",
        f"CONFIG_VFIO_PCI={'y' if builtin else 'm'}",
        "CONFIG_VFIO_IOMMU_TYPE1=m",
    ]
    lines += ["CONFIG_SND_HDA_INTEL=m", "CONFIG_DRM_NOUVEAU=m"]
    return "\n".join(lines) + "\n"


def _modules(machine: Machine, tree: Tree, release: str) -> None:
    base = f"/lib/modules/{release}"
    dep, alias, builtin, order = [], ["# Aliases extracted from modules themselves.\n"], [], []
    paths = {item.name: item.path for item in machine.modules}
    softdep = "# Soft dependencies extracted from modules themselves.\n"
    for item in machine.modules:
        if item.name in machine.builtin:
            builtin.append(f"{item.path or 'kernel/drivers/pci/pcie/' + item.name}.ko\n")
            continue
        if not item.path:
            continue
        tree.write(f"/usr{base}/{item.path}.ko", f"stand-in of {item.name}\n")
        needs = " ".join(f"{paths[name]}.ko" for name in item.deps if paths.get(name) and name not in machine.builtin)
        dep.append(f"{item.path}.ko:{' ' + needs if needs else ''}\n")
        order.append(f"{item.path}.ko\n")
        alias += [f"alias {pattern} {item.name}\n" for pattern in item.aliases]
    for name, text in (
        ("dep", "".join(dep)),
        ("alias", "".join(alias)),
        ("builtin", "".join(builtin)),
        ("order", "".join(order)),
        ("softdep", softdep),
    ):
        tree.write(f"/usr{base}/modules.{name}", text)


def _debian(files: dict[str, str]) -> None:
    files["/etc/debian_version"] = "12.11\n"
    files["/var/lib/dpkg/status"] = DPKG
    files["/etc/modules"] = "# /etc/modules: kernel modules to load at boot time.\n"
    files["/etc/initramfs-tools/initramfs.conf"] = "MODULES=most\nBUSYBOX=auto\nCOMPRESS=gzip\n"
    files["/etc/initramfs-tools/modules"] = "# List of modules that you want to include in your initramfs.\n"
    files["/etc/initramfs-tools/update-initramfs.conf"] = "update_initramfs=yes\nbackup_initramfs=no\n"
    for stage in ("hooks", "scripts/init-top", "scripts/init-premount"):
        files[f"/etc/initramfs-tools/{stage}/.keep"] = ""
    files["/usr/share/initramfs-tools/hook-functions"] = "# simulated in tests/sim/images.py\n"
    files["/usr/share/initramfs-tools/scripts/init-top/README"] = (
        "udev's script is put into every image by tests/sim/images.py\n"
    )
    files["/etc/default/grub.d/init-select.cfg"] = "# Work around a bug in the obsolete init-select package\n"
    files["/etc/modprobe.d/mdadm.conf"] = "options md_mod start_dirty_degraded=1\n"


def _rhel(files: dict[str, str]) -> None:
    files["/etc/system-release"] = "Rocky Linux release 9.4 (Blue Onyx)\n"
    files["/etc/dracut.conf"] = "# PUT YOUR CONFIG IN separate files\n"
    files["/etc/dracut.conf.d/.keep"] = ""
    files["/usr/lib/dracut/modules.d/99base/init.sh"] = "#!/bin/sh\n# stand-in\n"
    files["/usr/lib/dracut/dracut.conf.d/01-dist.conf"] = 'hostonly="yes"\n'


def _suse(files: dict[str, str]) -> None:
    _rhel(files)
    del files["/etc/system-release"]


__all__ = ["COMMANDS", "install", "install_kernel"]
