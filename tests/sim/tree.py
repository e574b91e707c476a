"""Tree: plain file operations below the simulated root, for what the simulated kernel and tools do themselves.

`Host` is the door of the code under test; nothing here goes through it, so that a defect in it is not hidden.
"""

from __future__ import annotations

import os
import shutil


class Tree:
    """Files below ``root``, named as the host names them; links on the way are not resolved but where said."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)
        self._made: set[str] = set()

    def at(self, path: str) -> str:
        """Where ``path`` is on the machine that runs this."""
        return self.root + path

    def mkdir(self, path: str) -> None:
        """The folder is there."""
        real = self.root + path
        if real not in self._made:
            os.makedirs(real, exist_ok=True)
            self._made.add(real)

    def write(self, path: str, data: str | bytes, mode: int = 0o644) -> None:
        """The file has this content; folders are made on the way, an old file keeps its inode."""
        self.mkdir(os.path.dirname(path))
        real = self.root + path
        raw = data.encode() if isinstance(data, str) else data
        with open(real, "wb") as file:
            file.write(raw)
        os.chmod(real, mode)

    def read(self, path: str) -> bytes | None:
        """The content, or None."""
        try:
            with open(self.root + path, "rb") as file:
                return file.read()
        except OSError:
            return None

    def text(self, path: str) -> str:
        """The content as text; empty if there is none."""
        return (self.read(path) or b"").decode("utf-8", "replace")

    def link(self, path: str, target: str) -> None:
        """A link is there; an absolute ``target`` is made relative, as sysfs has it, below /sys only."""
        self.mkdir(os.path.dirname(path))
        if target.startswith("/sys/") and path.startswith("/sys/"):
            target = os.path.relpath(target, os.path.dirname(path))
        self.remove(path)
        os.symlink(target, self.root + path)

    def remove(self, path: str) -> None:
        """The file, link or folder is gone."""
        real = self.root + path
        if os.path.isdir(real) and not os.path.islink(real):
            shutil.rmtree(real)
            self._made = {made for made in self._made if made != real and not made.startswith(real + "/")}
        elif os.path.lexists(real):
            os.unlink(real)

    def names(self, path: str) -> list[str]:
        """Sorted names in a folder; empty if there is none."""
        try:
            return sorted(os.listdir(self.root + path))
        except OSError:
            return []

    def exists(self, path: str) -> bool:
        """Whether something is there (a dangling link is)."""
        return os.path.lexists(self.root + path)
