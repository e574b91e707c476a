"""The same Debian with dracut in the place of initramfs-tools: made once from the base disk, in one boot of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from . import recipe
from .cache import key_of, once
from .image import disk
from .machine import Machine
from .packages import LabUnavailable, mirror, say


def dracut_disk() -> Path:
    """The folder with disk.qcow2 (over the base disk) and the ssh key, for Machine(base=...).

    Raises:
        LabUnavailable: the packages cannot be fetched here.
    """
    base = disk()

    def make(part: Path) -> None:
        say("making the disk with dracut (packages, then one boot)")
        debs = part / "debs"
        _download(debs)
        shutil.copy2(base / "id", part / "id")
        with Machine("bare", disk_overlay=part / "disk.qcow2", base=base) as guest:
            guest.wait_ssh()
            guest.put(debs, "/var/tmp/debs")
            for name, text in recipe.DRACUT["files"].items():
                guest.ssh(f"mkdir -p $(dirname {name}); printf %s '{text}' >{name}")
            for line in recipe.DRACUT["inside"]:
                guest.ssh(line, timeout=3600)
            guest.poweroff()
        shutil.rmtree(debs)

    return once("dracut", key_of({"disk": recipe.DISK, "dracut": recipe.DRACUT}), make)


def _download(target: Path) -> None:
    """The packages' files of the guest's own suite, whatever this machine runs."""
    sources = mirror().sources(recipe.DISK["suite"])
    if not sources:
        raise LabUnavailable("the dracut disk needs a Debian mirror in this machine's apt configuration")
    state = target / "apt"
    (state / "lists/partial").mkdir(parents=True)
    trust = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
    (state / "sources.list").write_text("".join(f"{line.replace('deb ', f'deb {trust}', 1)}\n" for line in sources))
    (state / "status").touch()
    options = {
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "APT::Sandbox::User": "root",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
    }
    apt = ["apt-get", "-q", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    for words in (["update"], ["download", *recipe.DRACUT["packages"]]):
        done = subprocess.run(
            [*apt, *words],
            cwd=target,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        if done.returncode:
            raise LabUnavailable(f"apt-get {words[0]} for the dracut disk: {done.stderr.strip()[-300:]}")
    shutil.rmtree(state)
