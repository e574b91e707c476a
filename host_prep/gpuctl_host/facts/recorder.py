"""A host that remembers what was read of it, so that a capture has exactly what the facts rest on."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

from gpuctl_host.command import Result
from gpuctl_host.data import frozen
from gpuctl_host.errors import OutsideRoot
from gpuctl_host.host import Host

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

# Read for the facts, yet not to be handed on: what they yield is noted in learned.PATH.
_SKIPPED = re.compile(
    r"/(?:proc/(?:\d+|self|net|mounts|swaps|consoles)(?:/|$)|sys/class/(?:net|block)(?:/|$)|sys/dev(?:/|$)|sys/fs(?:/|$)"
    r"|sys/bus/mdev(?:/|$)|etc/zfs(?:/|$)|run/(?:libvirt|udev)(?:/|$)|dev/(?:kmsg$|disk(?:/|$)|mapper(?:/|$))"
    r"|var/log(?:/|$)|var/lib/(?:dpkg|pacman|rpm|pciutils)(?:/|$)|usr/share/(?:misc|hwdata)(?:/|$)"
    r"|sys/firmware/efi/efivars/(?!SecureBoot-|SetupMode-)|gpuctl-capture\.json$|sys/devices/[^ ]*/block(?:/|$))"
)
_PRIVATE = ("/proc/sys/kernel/hostname", "/etc/hostname", "/etc/machine-id", "/proc/sys/kernel/random/boot_id")
_LINKS_MAX = 40
FILE_MAX = 16 << 20


@frozen
class Entry:
    """One thing below the root: a folder (data None, no target), a file, or a link."""

    data: bytes | None = None
    target: str | None = None
    mode: int = 0o644


class Recorder(Host):
    """Reads of ``inner`` and keeps what it read: ``kept`` is path -> Entry, ``left_out`` what was too large."""

    def __init__(self, inner: Host, *, keep_private: bool) -> None:
        super().__init__(inner.root, live=inner.live)
        self.inner = inner
        self.keep_private = keep_private
        self.kept: dict[str, Entry] = {}
        self.left_out: set[str] = set()
        self._targets: dict[str, str | None] = {}

    # ---- reading, and remembering

    def read_bytes(self, path: str, limit: int = FILE_MAX) -> bytes | None:
        """As Host.read_bytes."""
        data = self.inner.read_bytes(path, limit)
        if data is not None:
            found = self.inner.stat(path)
            self._keep(path, Entry(data=data, mode=stat.S_IMODE(found.st_mode) if found else 0o644))
        return data

    def attributes(self, folder: str, names: Iterable[str]) -> dict[str, str]:
        """As Host.attributes."""
        found = self.inner.attributes(folder, names)
        for name, text in found.items():
            self._keep(f"{folder}/{name}", Entry(data=text.encode() + b"\n"))
        return found

    def names(self, path: str) -> list[str]:
        """As Host.names; what is in the folder will be there in the capture too, if only as an empty file."""
        found = self.inner.names(path)
        if found or self.inner.is_dir(path):
            self._keep(path, Entry(mode=0o755))
        if path != "/proc":
            for name in found[:20000]:
                self.stat(f"{path.rstrip('/')}/{name}", follow=False)
        return found

    def link(self, path: str) -> str | None:
        """As Host.link."""
        target = self.inner.link(path)
        if target is not None:
            self._keep(path, Entry(target=target), follow=False)
        return target

    def stat(self, path: str, *, follow: bool = True) -> os.stat_result | None:
        """As Host.stat."""
        found = self.inner.stat(path, follow=follow)
        if found is not None:
            if stat.S_ISLNK(found.st_mode):
                self.link(path)
            elif stat.S_ISDIR(found.st_mode):
                self._keep(path, Entry(mode=0o755), follow=follow)
            else:  # a device node is kept as an empty file with its permission bits
                self._keep(path, Entry(data=b"", mode=stat.S_IMODE(found.st_mode)), follow=follow)
        return found

    def resolve(self, path: str) -> str:
        """As Host.resolve."""
        self._place(path, follow=True)
        return self.inner.resolve(path)

    # ---- not reading

    def open_devices(self, nodes: Mapping[str, int | None], *, seconds: float = 3.0) -> list[tuple[int, str]] | None:
        """As Host.open_devices."""
        return self.inner.open_devices(nodes, seconds=seconds)

    def writable(self, path: str) -> bool:
        """As Host.writable."""
        return self.inner.writable(path)

    def run(
        self, argv: Sequence[str], *, timeout: float, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> Result:
        """As Host.run."""
        return self.inner.run(argv, timeout=timeout, stdin=stdin, env=env)

    def now(self) -> datetime:
        """As Host.now."""
        return self.inner.now()

    # ---- keeping

    def _keep(self, path: str, entry: Entry, *, follow: bool = True) -> None:
        if _SKIPPED.match(path) or (path in _PRIVATE and not self.keep_private):
            return
        place = self._place(path, follow=follow)
        if place is None or _SKIPPED.match(place) or (place in _PRIVATE and not self.keep_private):
            return
        if entry.data is not None and len(entry.data) > FILE_MAX:
            self.left_out.add(place)
            return
        old = self.kept.get(place)
        if old is None or (not old.data and old.target is None):
            self.kept[place] = entry

    def _place(self, path: str, *, follow: bool) -> str | None:
        """Where ``path`` really is, every link on the way kept; None where links run in a circle."""
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                done = done[:-1]
                continue
            here = "/" + "/".join((*done, part))
            target = self._target(here) if todo or follow else None
            if target is None:
                done.append(part)
                continue
            if not _SKIPPED.match(here):
                self.kept[here] = Entry(target=target)
            links += 1
            if links > _LINKS_MAX:
                return None
            if target.startswith("/"):
                done = []
            todo.extend(piece for piece in reversed(target.split("/")) if piece not in ("", "."))
        return "/" + "/".join(done)

    def _target(self, path: str) -> str | None:
        if path not in self._targets:
            try:
                self._targets[path] = self.inner.link(path)
            except OutsideRoot:
                self._targets[path] = None
        return self._targets[path]
