"""What makes computes of the machines of tests/lab/host: a disk with Nova on it, and what a host of Nova's has beside it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.lab.host import recipe
from tests.lab.host.cache import key_of, once
from tests.lab.host.image import disk
from tests.lab.host.machine import Machine
from tests.lab.host.packages import LabUnavailable, mirror, say
from tests.lab.openstack.install import Install

ETC = Path(__file__).parent / "guest"  # laid over the guest's root
PACKAGES = ("qemu-utils", "sudo")
# MAC address -> address on the wire between the two machines; the guest's networkd goes by the first
WIRE = {"52:54:00:c4:a1:01": "10.77.0.1", "52:54:00:c4:a1:02": "10.77.0.2"}
PREPARE = (
    "dpkg -i /var/tmp/debs/*.deb",
    "rm -r /var/tmp/debs",
    "useradd --system --user-group --create-home --home-dir /var/lib/nova --shell /bin/bash --groups libvirt nova",
    "chmod 755 /var/lib/nova",
    "install -d -o nova -g nova /var/lib/nova/instances /var/lib/nova/lock /var/lib/nova/state /var/log/nova",
    "install -d -o nova -g nova -m 700 /var/lib/nova/.ssh",
    "ssh-keygen -q -t ed25519 -N '' -C nova -f /var/lib/nova/.ssh/id_ed25519",
    "cp /var/lib/nova/.ssh/id_ed25519.pub /var/lib/nova/.ssh/authorized_keys",
    # both machines have this disk, so both have these host keys
    'for ip in {ips}; do echo "$ip $(cat /etc/ssh/ssh_host_ed25519_key.pub)"; done >/var/lib/nova/.ssh/known_hosts',
    "chown -R nova: /var/lib/nova/.ssh",
    "tar -C / --no-same-owner -xf /var/tmp/guest.tar && rm /var/tmp/guest.tar",
    "chmod 440 /etc/sudoers.d/nova",
    # a busy computer: the timer's interrupts come late, and the kernel panics over its IO-APIC
    "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&no_timer_check /' /etc/default/grub && update-grub",
    "mkdir -p /opt/nova && echo 'LABEL=nova /opt/nova ext4 ro,nofail 0 0' >>/etc/fstab",
    "sync",
)


def compute_disk() -> Path:
    """The folder with disk.qcow2 (over the base disk) and the ssh key, for Machine(base=...); made in one boot.

    Raises:
        LabUnavailable: the packages cannot be fetched here.
    """
    base = disk()
    files = {str(path.relative_to(ETC)): path.read_text() for path in sorted(ETC.rglob("*")) if path.is_file()}
    key = key_of({"disk": recipe.DISK, "packages": PACKAGES, "wire": WIRE, "prepare": PREPARE, "files": files})

    def make(part: Path) -> None:
        say("making the computes' disk (packages, then one boot)")
        shutil.copy2(base / "id", part / "id")
        with Machine("bare", disk_overlay=part / "disk.qcow2", base=base) as guest:
            guest.wait_ssh()
            guest.get("/var/lib/dpkg/status", part / "status")
            guest.put(_download(part), "/var/tmp/debs")
            with tarfile.open(part / "guest.tar", "w") as tar:
                tar.add(ETC, ".")
            guest.put(part / "guest.tar", "/var/tmp/guest.tar")
            for line in PREPARE:
                guest.ssh(line.replace("{ips}", " ".join(WIRE.values())), timeout=1800)
            for mac, ip in WIRE.items():
                text = f"[Match]\nMACAddress={mac}\n\n[Network]\nAddress={ip}/24\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n"
                # before 10-lab.network, which takes every en*
                name = f"/etc/systemd/network/05-wire-{ip.rpartition('.')[2]}.network"
                guest.ssh(f"printf %s {shlex.quote(text)} >{name}")
            guest.poweroff()
        for name in ("debs", "apt"):
            shutil.rmtree(part / name)
        for name in ("status", "guest.tar"):
            (part / name).unlink()

    return once("compute", key, make)


def nova_disk(install: Install) -> Path:
    """A file system (label nova) with the OpenStack lab's own packages as a virtual environment of the guest's Python."""

    def make(part: Path) -> None:
        say("making the disk with Nova")
        tree = part / "tree"
        packages = tree / "lib/python3.11/site-packages"
        packages.parent.mkdir(parents=True)
        # links: half a gigabyte that is only read
        subprocess.run(["cp", "-al", str(install.site_packages), str(packages)], check=True, timeout=600)
        (tree / "bin").mkdir()
        (tree / "bin/python3").symlink_to("/usr/bin/python3")
        # with Debian's own packages: libvirt's binding is there
        (tree / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = true\nversion = 3.11.2\n")
        for name, module, call in (
            ("nova-compute", "nova.cmd.compute", "main"),
            ("privsep-helper", "oslo_privsep.daemon", "helper_main"),
        ):
            script = tree / "bin" / name
            script.write_text(f"#!/opt/nova/bin/python3\nimport sys\nfrom {module} import {call}\nsys.exit({call}())\n")
            script.chmod(0o755)
        image = part / "nova.img"
        with image.open("wb") as handle:
            handle.truncate(1536 << 20)
        argv = ["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-L", "nova", "-m", "0", "-E", "root_owner=0:0"]
        done = subprocess.run(
            [*argv, "-d", str(tree), str(image)], capture_output=True, text=True, timeout=1200, check=False
        )
        if done.returncode:
            raise LabUnavailable(f"mke2fs: {done.stderr.strip()[-300:]}")
        shutil.rmtree(tree)

    return once("nova", key_of({"venv": install.venv.name, "format": 1}), make) / "nova.img"


def _download(part: Path) -> Path:
    """The folder with PACKAGES and what of their dependencies the guest lacks, of the guest's own suite."""
    sources = mirror().sources(recipe.DISK["suite"])
    if not sources:
        raise LabUnavailable("the computes' disk needs a Debian mirror in this machine's apt configuration")
    state, debs = part / "apt", part / "debs"
    for folder in (state / "lists/partial", debs / "partial"):
        folder.mkdir(parents=True)
    trust = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
    (state / "sources.list").write_text("".join(f"{line.replace('deb ', f'deb {trust}', 1)}\n" for line in sources))
    options = {
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": state / "lists",
        "Dir::State::status": part / "status",
        "Dir::State::extended_states": state / "extended_states",
        "Dir::Cache::archives": debs,
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
    }
    apt = ["apt-get", "-q", "-y", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    for words in (["update"], ["install", "--download-only", *PACKAGES]):
        done = subprocess.run(
            [*apt, *words], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, timeout=1200, check=False
        )
        if done.returncode:
            raise LabUnavailable(f"apt-get {words[0]} for the computes' disk: {done.stderr.strip()[-300:]}")
    shutil.rmtree(debs / "partial")
    return debs
