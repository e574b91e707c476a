"""What the disk and the newer QEMU are made of: data only, and the cache's key is its hash."""

from __future__ import annotations

from typing import Any

FILES: dict[str, str] = {
    "/etc/hostname": "gpuhost\n",
    # fixed: an absent one makes systemd's first boot enable every unit again
    "/etc/machine-id": "6770756374 6c6c61620000000000000001\n".replace(" ", ""),
    "/etc/hosts": "127.0.0.1 localhost\n127.0.1.1 gpuhost\n",
    # a fixed address: no DHCP round to wait for; QEMU's user network always has this gateway
    "/etc/systemd/network/10-lab.network": (
        "[Match]\nName=en*\n\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n"
    ),
    "/etc/ssh/sshd_config.d/lab.conf": "PermitRootLogin prohibit-password\nUseDNS no\nX11Forwarding no\n",
    # Debian's defaults (MODULES=most, zstd -9) take over five minutes under TCG on a busy machine
    "/etc/initramfs-tools/conf.d/lab": "COMPRESS=zstd\nCOMPRESSLEVEL=1\n",
    # as Debian ships it, with the serial line as console and a short menu
    "/etc/default/grub": (
        "GRUB_DEFAULT=0\nGRUB_TIMEOUT=1\nGRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`\n"
        'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="console=ttyS0,115200"\nGRUB_TERMINAL=serial\n'
        'GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"\n'
    ),
}

GUEST_PACKAGES = (
    # a host: NOT linux-image-cloud, which lacks nouveau and the sound drivers
    "linux-image-amd64 initramfs-tools kmod udev systemd-sysv dbus zstd grub-pc iproute2 procps psmisc openssh-server "
    "pciutils python3 python3-venv ca-certificates lsb-release less "
    # what runs guests on it
    "qemu-system-x86 seabios libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients python3-libvirt python3-pyudev"
)

# what wakes up by itself and would write or burn TCG's time
DISABLED_UNITS = (
    "apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer "
    "man-db.timer logrotate.timer libvirtd.service libvirt-guests.service systemd-timesyncd.service apparmor.service"
)

DISK: dict[str, Any] = {
    "format": 4,  # raise it when image.py does something else with the same data
    "suite": "bookworm",
    "packages": GUEST_PACKAGES.split(),
    "files": FILES,
    "disabled": DISABLED_UNITS.split(),
    "size_mib": 10240,
    "root_offset_mib": 2,
    "uuid": "6b1ab0c5-0d3e-4d0e-9d0a-6770756c6162",
    # in the running guest, whose root device MODULES=dep looks at
    "inside": [
        "printf 'MODULES=dep\\nCOMPRESS=zstd\\nCOMPRESSLEVEL=1\\n' >/etc/initramfs-tools/conf.d/lab",
        "echo 'grub-pc grub-pc/install_devices multiselect /dev/vda' | debconf-set-selections",
        "grub-install /dev/vda",
        "update-initramfs -u -k all",
        "update-grub",
        "journalctl --rotate -q; journalctl --vacuum-size=1M -q",
        "apt-get clean",
        "sync",
    ],
}

QEMU: dict[str, Any] = {
    "format": 1,
    "suite": "trixie",
    "pocket": "trixie-backports",  # trixie's own 10.0 has no vfio-user-pci (10.1 and later)
    "packages": ["qemu-system-x86", "seabios", "ipxe-qemu"],
}

DRACUT: dict[str, Any] = {
    "format": 1,
    # what the base disk lacks; apt in the guest has no network and takes these files alone
    "packages": ["dracut", "dracut-core", "kpartx", "dmsetup"],
    # Debian's default puts in every driver: minutes under TCG
    "files": {"/etc/dracut.conf.d/01-lab.conf": 'hostonly="yes"\ncompress="zstd -1"\n'},
    "inside": [
        "dpkg --purge --force-depends initramfs-tools initramfs-tools-core",
        "DEBIAN_FRONTEND=noninteractive dpkg -i /var/tmp/debs/*.deb",
        "rm -r /var/tmp/debs",
        "dracut --force /boot/initrd.img-$(uname -r) $(uname -r)",
        "update-grub",
        "sync",
    ],
}
