"""The Debian 12 disk: packages into a folder, the folder into a file system, then GRUB from inside, once."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from . import recipe
from .cache import key_of, once
from .packages import LabUnavailable, mirror, say


def disk() -> Path:
    """The folder with disk.qcow2 and the ssh key (`id`), whole; nobody writes to it."""
    return once("disk", key_of(recipe.DISK), _build)


def variant(cmdline_extra: str) -> Path:
    """A folder with a disk over the base disk whose GRUB passes these arguments, made once by booting it."""
    from .machine import Machine  # late: machine.py uses this module

    base = disk()

    def make(part: Path) -> None:
        say(f"making the disk with {cmdline_extra!r} (one boot)")
        shutil.copy2(base / "id", part / "id")
        with Machine("bare", disk_overlay=part / "disk.qcow2", base=base) as guest:
            guest.wait_ssh()
            script = f's/^GRUB_CMDLINE_LINUX="/&{cmdline_extra} /'
            guest.ssh(f"sed -i {shlex.quote(script)} /etc/default/grub && update-grub && sync", timeout=1800)
            guest.poweroff()

    return once("variant", key_of({"disk": recipe.DISK, "cmdline": cmdline_extra}), make)


def _build(part: Path) -> None:
    if os.geteuid() != 0:
        raise LabUnavailable(
            "building the disk needs root (mmdebstrap, file owners); run `python3 -m tests.lab.host build` once as root"
        )
    began = time.monotonic()
    log = part / "build.log"
    key = part / "id"
    _run(log, ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "gpuctl-lab", "-f", str(key)])
    root = part / "root"
    say("building the Debian 12 tree (1 to 3 minutes)")
    _bootstrap(log, root, key.with_suffix(".pub").read_text())
    say(f"tree built after {time.monotonic() - began:.0f} s; making the disk")
    _file_system(log, root, part)
    say(f"disk made after {time.monotonic() - began:.0f} s; booting it once to install GRUB")
    _inside(part)
    for name in ("vmlinuz", "initrd.img"):
        (part / name).unlink()
    shutil.rmtree(root)
    say(f"disk ready after {time.monotonic() - began:.0f} s")


def _bootstrap(log: Path, root: Path, public_key: str) -> None:
    want = recipe.DISK
    with tempfile.TemporaryDirectory(prefix="gpuctl-tree-") as tmp:
        tree = Path(tmp)
        tree.chmod(0o755)
        for name, text in want["files"].items():
            path = tree / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        keys = tree / "root/.ssh/authorized_keys"
        keys.parent.mkdir(parents=True)
        keys.parent.parent.chmod(0o700)
        keys.parent.chmod(0o700)
        keys.write_text(public_key)
        fstab = tree / "etc/fstab"
        fstab.write_text(f"UUID={want['uuid']} / ext4 errors=remount-ro 0 1\n")
        # before the packages: only the initramfs settings, so that the build itself is quick too
        early = tree / "etc/initramfs-tools/conf.d/lab"
        sources = mirror().sources(want["suite"])
        argv = [
            "mmdebstrap",
            "--variant=minbase",
            f"--include={','.join(want['packages'])}",
            '--aptopt=APT::Install-Recommends "false"',
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            f'--setup-hook=install -D -m 644 {shlex.quote(str(early))} "$1/etc/initramfs-tools/conf.d/lab"',
            f'--customize-hook=cp -r --preserve=mode {shlex.quote(str(tree))}/. "$1/"',
            '--customize-hook=chroot "$1" systemctl enable systemd-networkd.service ssh.service',
            *(f'--customize-hook=chroot "$1" systemctl disable {u} || true' for u in want["disabled"]),
            want["suite"],
            str(root),
            *sources,
        ]
        _run(log, argv)


def _file_system(log: Path, root: Path, part: Path) -> None:
    want = recipe.DISK
    raw = part / "disk.raw"
    with raw.open("wb") as handle:
        handle.truncate(want["size_mib"] << 20)
    start = want["root_offset_mib"]
    bios_boot = "21686148-6449-6E6F-744E-656564454649"
    table = f"label: gpt\nstart=1MiB, size=1MiB, type={bios_boot}\nstart={start}MiB, type=L\n"
    _run(log, ["/usr/sbin/sfdisk", "-q", str(raw)], stdin=table)
    # GPT keeps a copy of itself in the disk's last MiB
    blocks = (want["size_mib"] - start - 1) << 8
    argv = ["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-b", "4096", "-U", want["uuid"], "-L", "root"]
    _run(log, [*argv, "-d", str(root), "-E", f"offset={start << 20}", str(raw), str(blocks)])
    _run(log, ["qemu-img", "convert", "-O", "qcow2", str(raw), str(part / "disk.qcow2")])
    raw.unlink()
    boot = root / "boot"
    for pattern, name in (("vmlinuz-*", "vmlinuz"), ("initrd.img-*", "initrd.img")):
        shutil.copy(next(boot.glob(pattern)), part / name)


def _inside(part: Path) -> None:
    """GRUB is installed by the guest's own tools: no loop device or mount is needed here."""
    from .machine import Direct, Machine  # late: machine.py uses this module

    direct = Direct(part / "vmlinuz", part / "initrd.img", f"root=UUID={recipe.DISK['uuid']} console=ttyS0 quiet")
    with Machine("bare", base=part, writable_base=True, direct=direct) as guest:
        guest.wait_ssh()
        for line in recipe.DISK["inside"]:
            done = guest.ssh(line, timeout=3600)
            with (part / "build.log").open("a") as log:
                log.write(f"inside: {line}\n{done.out}{done.err}\n")
        guest.poweroff()


def _run(log: Path, argv: list[str], stdin: str | None = None) -> None:
    with log.open("a") as handle:
        handle.write(f"+ {shlex.join(argv)}\n")
        handle.flush()
        done = subprocess.run(
            argv, input=stdin, stdout=handle, stderr=subprocess.STDOUT, text=True, timeout=7200, check=False
        )
    if done.returncode:
        tail = " / ".join(log.read_text(errors="replace").strip().splitlines()[-5:])
        raise LabUnavailable(f"{argv[0]} failed ({done.returncode}): {tail}")
