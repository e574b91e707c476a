"""Hosts as small trees: what each distribution has of what boot/ looks at."""

from __future__ import annotations

DEBIAN_MKCONFIG = """#!/bin/sh
set -e
sysconfdir="/etc"
if test -f ${sysconfdir}/default/grub ; then
  . ${sysconfdir}/default/grub
fi
for x in ${sysconfdir}/default/grub.d/*.cfg ; do
  if [ -e "${x}" ]; then
    . "${x}"
  fi
done
"""
UPSTREAM_MKCONFIG = """#!/usr/bin/sh
set -e
sysconfdir="/etc"
# nothing here reads /etc/default/grub.d
if test -f ${sysconfdir}/default/grub ; then
  . ${sysconfdir}/default/grub
fi
"""
TOOL = "#!/bin/sh\n"


def grub_cfg(release: str, arguments: str, boot: str = "/boot", initrd: str = "initrd.img") -> str:
    """Return a grub.cfg as 10_linux writes it: a simple entry, a submenu, a recovery entry."""
    linux = (
        f"\tlinux\t{boot}/vmlinuz-{release} root=UUID=1111-2222 ro  {arguments}\n\tinitrd\t{boot}/{initrd}-{release}\n"
    )
    recovery = (
        f"\t\tlinux\t{boot}/vmlinuz-{release} root=UUID=1111-2222 ro single\n\t\tinitrd\t{boot}/{initrd}-{release}\n"
    )
    return (
        'if [ "${next_entry}" ] ; then\n   set default="${next_entry}"\nelse\n   set default="0"\nfi\n'
        "function load_video {\n  if [ x$feature_all_video_module = xy ]; then\n    insmod all_video\n  fi\n}\n"
        "menuentry 'Linux' --class os $menuentry_id_option 'gnulinux-simple-1' {\n\tinsmod ext2\n" + linux + "}\n"
        "submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-1' {\n"
        f"\tmenuentry 'Linux, with {release}' --class os $menuentry_id_option 'gnulinux-{release}-advanced-1' {{\n"
        + linux
        + "\t}\n"
        f"\tmenuentry 'Linux, with {release} (recovery mode)' --class os $menuentry_id_option 'gnulinux-{release}-recovery-1' {{\n"
        + recovery
        + "\t}\n}\n"
    )


def bls(release: str, options: str, version: str | None = None) -> str:
    """Return an entry file as the RHEL family's kernel packages leave it."""
    return (
        f"title Linux ({release})\nversion {version or release}\nlinux /vmlinuz-{release}\ninitrd /initramfs-{release}.img\n"
        f"options {options}\ngrub_users $grub_users\n"
    )


DEBIAN = {
    "/usr/sbin/grub-mkconfig*": DEBIAN_MKCONFIG,
    "/usr/sbin/update-grub*": TOOL,
    "/usr/sbin/mkinitramfs*": TOOL,
    "/usr/sbin/update-initramfs*": TOOL,
    "/etc/initramfs-tools/initramfs.conf": "MODULES=most\n",
    "/etc/default/grub": 'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n',
    "/boot/grub/grub.cfg": grub_cfg("6.1.0-56-amd64", "quiet"),
    "/boot/initrd.img-6.1.0-56-amd64": "",
    "/boot/vmlinuz-6.1.0-56-amd64": "",
    "/lib/modules/6.1.0-56-amd64/modules.builtin": "kernel/drivers/pci/pcie/portdrv.ko\n",
}
UBUNTU_CLOUD = {
    **DEBIAN,
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\nGRUB_CMDLINE_LINUX=""\n',
    "/etc/default/grub.d/50-cloudimg-settings.cfg": 'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0"\n',
    "/var/lib/initramfs-tools/6.1.0-56-amd64": "0123  /boot/initrd.img-6.1.0-56-amd64\n",
}
_RHEL = {
    "/usr/sbin/grubby*": TOOL,
    "/usr/sbin/grub2-mkconfig*": UPSTREAM_MKCONFIG,
    "/usr/bin/dracut*": TOOL,
    "/usr/bin/kernel-install*": TOOL,
    "/boot/grub2/grub.cfg": "insmod blscfg\nblscfg\n",
    "/boot/initramfs-6.1.0-56-amd64.img": "",
    "/lib/modules/6.1.0-56-amd64/modules.builtin": "",
}
RHEL9 = {
    **_RHEL,
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX="crashkernel=1G rd.lvm.lv=rhel/root"\nGRUB_ENABLE_BLSCFG=true\n',
    "/etc/kernel/cmdline": "root=/dev/mapper/rhel-root ro crashkernel=1G\n",
    "/boot/grub2/grubenv": "# GRUB Environment Block\nsaved_entry=abc-6.1.0-56-amd64\nboot_success=1\n####",
    "/boot/loader/entries/abc-6.1.0-56-amd64.conf": bls(
        "6.1.0-56-amd64", "root=/dev/mapper/rhel-root ro crashkernel=1G $tuned_params"
    ),
    "/boot/loader/entries/abc-0-rescue.conf": bls("0-rescue-abc", "root=/dev/mapper/rhel-root ro"),
}
RHEL8 = {
    **_RHEL,
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX="crashkernel=auto"\nGRUB_ENABLE_BLSCFG=true\n',
    "/boot/grub2/grubenv": "# GRUB Environment Block\nsaved_entry=abc-6.1.0-56-amd64\nkernelopts=root=/dev/sda1 ro crashkernel=auto \n####",
    "/boot/loader/entries/abc-6.1.0-56-amd64.conf": bls("6.1.0-56-amd64", "$kernelopts $tuned_params"),
}
SLES15 = {
    "/usr/sbin/grub2-mkconfig*": UPSTREAM_MKCONFIG,
    "/usr/sbin/pbl*": TOOL,
    "/usr/sbin/update-bootloader*": TOOL,
    "/usr/bin/dracut*": TOOL,
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="splash=silent quiet"\nGRUB_CMDLINE_LINUX=""\n',
    "/boot/grub2/grub.cfg": grub_cfg("6.1.0-56-amd64", "splash=silent quiet", initrd="initrd"),
    "/boot/initrd-6.1.0-56-amd64": "",
    "/lib/modules/6.1.0-56-amd64/modules.builtin": "",
}
TUMBLEWEED = {
    "/usr/bin/sdbootutil*": '#!/bin/bash\nfor i in "${subvol:1}"/etc/kernel/cmdline.d/* /etc/kernel/cmdline.d/*; do :; done\n',
    "/usr/bin/dracut*": TOOL,
    "/etc/kernel/cmdline": "root=UUID=1 quiet\n",
    "/boot/efi/loader/loader.conf": "timeout 8\n",
    "/boot/efi/loader/entries/opensuse-6.1.0-56-amd64-1.conf": (
        "title openSUSE\nversion 1@6.1.0-56-amd64\nlinux /opensuse/6.1.0-56-amd64/linux-1\n"
        "initrd /opensuse/6.1.0-56-amd64/initrd-1\noptions root=UUID=1 quiet\n"
    ),
    "/boot/efi/opensuse/6.1.0-56-amd64/initrd-1": "",
    "/usr/lib/modules/6.1.0-56-amd64/vmlinuz": "",
}
FEDORA_SDBOOT = {
    "/usr/bin/kernel-install*": TOOL,
    "/usr/bin/dracut*": TOOL,
    "/efi/EFI/systemd/systemd-bootx64.efi": "",
    "/efi/loader/loader.conf": "default *-6.1.0-56-amd64.conf\n",
    "/efi/loader/entries/abc-6.1.0-56-amd64.conf": (
        "title Fedora\nversion 6.1.0-56-amd64\nmachine-id abc\nlinux /abc/6.1.0-56-amd64/linux\n"
        "initrd /abc/6.1.0-56-amd64/initrd\noptions root=UUID=1 ro rhgb -- splash\n"
    ),
    "/efi/abc/6.1.0-56-amd64/initrd": "",
    "/efi/abc/6.1.0-56-amd64/linux": "",
    "/usr/lib/modules/6.1.0-56-amd64/vmlinuz": "",
    "/proc/cmdline": "BOOT_IMAGE=x root=UUID=1 ro rhgb\n",
}
PROXMOX_EFI = {
    **DEBIAN,
    "/usr/sbin/proxmox-boot-tool*": TOOL,
    "/etc/kernel/proxmox-boot-uuids": "ABCD-1234\n",
    "/etc/kernel/cmdline": "root=ZFS=rpool/ROOT/pve-1 boot=zfs\n",
    "/sys/firmware/efi/fw_platform_size": "64\n",
}
PROXMOX_GRUB = {**DEBIAN, "/usr/sbin/proxmox-boot-tool*": TOOL}
ARCH = {
    "/usr/bin/mkinitcpio*": TOOL,
    "/usr/bin/grub-mkconfig*": UPSTREAM_MKCONFIG,
    "/etc/mkinitcpio.conf": "HOOKS=(base udev autodetect modconf block filesystems)\n",
    "/etc/mkinitcpio.d/linux.preset": (
        "ALL_kver=\"/boot/vmlinuz-linux\"\nPRESETS=('default' 'fallback')\n"
        'default_image="/boot/initramfs-linux.img"\nfallback_image="/boot/initramfs-linux-fallback.img"\n'
    ),
    "/usr/lib/modules/6.1.0-56-amd64/pkgbase": "linux\n",
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="loglevel=3 quiet"\nGRUB_CMDLINE_LINUX=""\n',
    "/boot/grub/grub.cfg": (
        "set default=\"0\"\nmenuentry 'Arch Linux' --class arch $menuentry_id_option 'gnulinux-simple-1' {\n"
        "\tlinux\t/boot/vmlinuz-linux root=UUID=1 rw loglevel=3 quiet\n\tinitrd\t/boot/amd-ucode.img /boot/initramfs-linux.img\n}\n"
    ),
    "/boot/initramfs-linux.img": "",
}
UKI = {
    "/usr/bin/dracut*": TOOL,
    "/efi/EFI/Linux/abc-6.1.0-56-amd64.efi": "",
    "/etc/kernel/cmdline": "root=UUID=1 quiet\n",
}
SILVERBLUE = {
    "/run/ostree-booted": "",
    "/usr/bin/rpm-ostree*": TOOL,
    "/usr/bin/dracut*": TOOL,
    "/usr/sbin/grubby*": TOOL,
    "/boot/loader/entries/ostree-1.conf": bls("6.1.0-56-amd64", "root=UUID=1 ostree=/ostree/boot.1"),
}
BOOTC = {**{name: text for name, text in SILVERBLUE.items() if "rpm-ostree" not in name}, "/usr/bin/bootc*": TOOL}
UNKNOWN = {"/boot/extlinux/extlinux.conf": "LABEL linux\n", "/usr/bin/dracut*": TOOL}
BEHIND_INIT = {
    **DEBIAN,
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet -- splash"\nGRUB_CMDLINE_LINUX=""\n',
    "/boot/grub/grub.cfg": grub_cfg("6.1.0-56-amd64", "quiet -- splash"),
}

HOSTS = {
    "debian12": DEBIAN,
    "ubuntu-cloud": UBUNTU_CLOUD,
    "rhel9": RHEL9,
    "rhel8-kernelopts": RHEL8,
    "sles15": SLES15,
    "tumbleweed-sdbootutil": TUMBLEWEED,
    "fedora-systemd-boot": FEDORA_SDBOOT,
    "proxmox-efi": PROXMOX_EFI,
    "proxmox-plain-grub": PROXMOX_GRUB,
    "arch-grub": ARCH,
    "uki": UKI,
    "silverblue": SILVERBLUE,
    "bootc": BOOTC,
    "unknown": UNKNOWN,
    "grub-behind-init": BEHIND_INIT,
}
