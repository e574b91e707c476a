"""What a tree is, file by file, for a comparison; runs in the lab machine, Python >= 3.9.

    python3 snapshot.py FOLDER...        prints one JSON object: path -> type, mode, owner, hash

An initramfs is rebuilt to other bytes with equal content, so beside its hash ("bytes") stands the hash of what is in
it ("content", from `unmkinitramfs`), and a comparison takes the one it means.
"""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from typing import Any


def describe(path: str, *, inside: bool = True) -> dict[str, Any]:
    """Says what one path is."""
    info = os.lstat(path)
    said: dict[str, Any] = {"mode": oct(stat.S_IMODE(info.st_mode)), "owner": f"{info.st_uid}:{info.st_gid}"}
    if stat.S_ISLNK(info.st_mode):
        said.update(type="link", to=os.readlink(path))
    elif stat.S_ISDIR(info.st_mode):
        said.update(type="dir")
    elif stat.S_ISREG(info.st_mode):
        said.update(type="file", bytes=digest(path))
        if inside and os.path.basename(path).startswith("initrd.img") and shutil.which("unmkinitramfs"):
            said.update(content=content(path))
    else:
        said.update(type="special", device=info.st_rdev)
    return said


def digest(path: str) -> str:
    """Hashes a file's bytes."""
    sha = hashlib.sha256()
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            sha.update(block)
    return sha.hexdigest()


def content(path: str) -> str:
    """Hashes an initramfs's files: names, modes, owners and data, but no times."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["unmkinitramfs", path, folder], stderr=subprocess.PIPE, check=False)
        if done.returncode:
            return "unreadable"
        listing = {key[len(folder) :]: value for key, value in walk([folder], inside=False).items()}
        return hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()


def walk(folders: list[str], *, inside: bool = True) -> dict[str, Any]:
    """Describes everything below the folders."""
    found: dict[str, Any] = {}
    for top in folders:
        for folder, names, files in os.walk(top):
            for name in names + files:
                path = os.path.join(folder, name)
                found[path] = describe(path, inside=inside)
    return found


if __name__ == "__main__":
    print(json.dumps(walk(sys.argv[1:]), sort_keys=True, indent=0))
