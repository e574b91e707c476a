"""What the lab needs of the machine that it runs on: Debian packages, and where that machine gets them from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# command (or file) that shows it is there -> package that brings it
NEEDS: dict[str, str] = {
    "mmdebstrap": "mmdebstrap",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "sfdisk": "fdisk",
    "mke2fs": "e2fsprogs",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "/usr/share/seabios/bios-256k.bin": "seabios",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LabUnavailable(Exception):
    """The rig cannot run on this machine; the message says why in one line."""


def find(command: str) -> str | None:
    """The command's path, sbin included (an ordinary user's PATH lacks it), or None."""
    if command.startswith("/"):
        return command if Path(command).exists() else None
    return shutil.which(command, path=PATH)


def install_missing() -> None:
    """Every command of NEEDS is there.

    Raises:
        LabUnavailable: something is missing and we are not root, or apt-get could not bring it.
    """
    missing = sorted({package for command, package in NEEDS.items() if not find(command)})
    if not missing:
        return
    if os.geteuid() != 0 or not find("apt-get"):
        raise LabUnavailable(f"missing packages ({' '.join(missing)}), and no root with apt-get to install them")
    say(f"installing with apt-get: {' '.join(missing)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # stale lists are no reason to stop: the installation says whether they did
    subprocess.run(["apt-get", "update", "-q"], env=env, capture_output=True, timeout=1200, check=False)
    argv = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=1200, check=False)
    if done.returncode:
        raise LabUnavailable(f"apt-get could not install {' '.join(missing)}: {done.stderr.strip().splitlines()[-1:]}")


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where this machine's own apt gets Debian from; both None on a machine that is no Debian."""

    main: str | None
    security: str | None

    def sources(self, suite: str) -> list[str]:
        """The apt lines for a suite with its updates; empty if only mmdebstrap's own default is left."""
        if self.main is None:
            return []
        lines = [f"deb {self.main} {suite} main", f"deb {self.main} {suite}-updates main"]
        if self.security:
            lines.append(f"deb {self.security} {suite}-security main")
        return lines


def mirror() -> Mirror:
    """The Debian mirrors of this machine's apt configuration, read now: no file of ours names a registry."""
    argv = ["apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    except OSError:
        return Mirror(None, None)
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        label, _, uri = line.partition("|")
        found.setdefault(label, uri)
    return Mirror(found.get("Debian"), found.get("Debian-Security"))


def say(text: str) -> None:
    """A person who waits sees what the lab is doing."""
    print(f"lab: {text}", file=sys.stderr, flush=True)
