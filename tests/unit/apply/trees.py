"""Files below a root: written, read, and compared with what they were."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

OURS = ("var/lib/gpuctl", "var/log/gpuctl", "run/gpuctl", "proc")


def tree(root: str, without: Iterable[str] = OURS) -> dict[str, tuple[object, ...]]:
    """Everything below root that is not gpuctl's own state: kind, mode and content by path."""
    found: dict[str, tuple[object, ...]] = {}
    skip = {os.path.join(root, name) for name in without}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if os.path.join(folder, name) not in skip]
        for name in [*names, *files]:
            path = os.path.join(folder, name)
            state = os.lstat(path)
            kind = stat.S_IFMT(state.st_mode)
            content: object = None
            if stat.S_ISLNK(state.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(state.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            mode = 0 if stat.S_ISLNK(state.st_mode) else stat.S_IMODE(state.st_mode)
            found[path[len(root) :]] = (kind, mode, content)
    return {path: value for path, value in found.items() if path not in ("/var/log", "/var/lib", "/var", "/run")}


def write(root: str, path: str, content: str | bytes, mode: int = 0o644) -> None:
    real = root + path
    os.makedirs(os.path.dirname(real), exist_ok=True)
    with open(real, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    os.chmod(real, mode)


def read(root: str, path: str) -> bytes:
    with open(root + path, "rb") as file:
        return file.read()


def link(root: str, path: str, target: str) -> None:
    os.makedirs(os.path.dirname(root + path), exist_ok=True)
    os.symlink(target, root + path)
