"""What the rig needs and a minimal Debian lacks, unpacked into a cache and not installed: nobody's sshd is started."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = ("openssh-server", "sudo")
#: What these link against that a minimal Debian may lack.
LIBRARIES = ("libwrap0", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3", "libkrb5support0", "libkeyutils1")
NEEDED = ("/usr/sbin/sshd", "/usr/bin/sudo")


def layer() -> Path | None:
    """Return a folder to lay over /usr, whose programs are those that this machine lacks; None if it lacks none.

    Raises:
        RuntimeError: they are not to be had here.
    """
    if all(Path(name).exists() for name in NEEDED):
        return None
    digest = hashlib.sha256(repr((PACKAGES, LIBRARIES)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpuctl" / "e2e"
    folder = cache / f"debian-{digest}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _unpack(folder)
    return folder / "usr"


def _unpack(folder: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise RuntimeError("no apt-get to take sshd and sudo from")
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "debs").mkdir(parents=True)
    if _download(part, *PACKAGES):
        subprocess.run(["apt-get", "-q", "update"], capture_output=True, check=False)
        said = _download(part, *PACKAGES)
        if said:
            raise RuntimeError(f"sshd and sudo are not to be had: {said.splitlines()[-1]}")
    for name in LIBRARIES:
        _download(part, name)  # one that does not exist in this release is not needed in it
    for package in sorted((part / "debs").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(package), str(part)], capture_output=True, check=True)
    shutil.rmtree(part / "debs")
    part.rename(folder)


def _download(part: Path, *names: str) -> str:
    done = subprocess.run(
        ["apt-get", "-q", "download", *names], cwd=part / "debs", capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stderr.strip() or "no output"
