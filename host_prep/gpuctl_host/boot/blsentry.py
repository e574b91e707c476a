"""Entries of the Boot Loader Specification, type 1: one small file a kernel (uapi-group.org/specifications)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.boot import cmdline
from gpuctl_host.boot.grubcfg import release_of
from gpuctl_host.data import frozen

if TYPE_CHECKING:
    from gpuctl_host.host import Host

_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


@frozen
class BlsEntry:
    """One entry file."""

    path: str
    title: str
    version: str
    linux: str
    initrds: tuple[str, ...]
    options: tuple[str, ...]

    @property
    def stem(self) -> str:
        """The file's name without .conf and without the boot counter (`+3-1`)."""
        return self.path.rpartition("/")[2][: -len(".conf")].partition("+")[0]

    @property
    def release(self) -> str | None:
        """The kernel's release: as the entry says (sdbootutil: `SNAPSHOT@RELEASE`), else from the kernel's path."""
        if self.version:
            return self.version.rpartition("@")[2]
        return release_of(self.linux) or (self.linux.split("/")[-2] if self.linux.count("/") > 1 else None)

    @property
    def rescue(self) -> bool:
        """Whether it is the distribution's rescue entry."""
        return "rescue" in self.stem or "rescue" in self.title.lower()


def parse(path: str, text: str, variables: dict[str, str]) -> BlsEntry | None:
    """Return the entry in ``text``, or None if it starts no kernel; GRUB's variables are filled in."""
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, *value = line.strip().split(None, 1) or [""]
        if key and not key.startswith("#"):
            fields.setdefault(key, []).append(value[0] if value else "")
    if "linux" not in fields:
        return None
    filled = _VARIABLE.sub(lambda found: variables.get(found.group(1), ""), " ".join(fields.get("options", ())))
    initrds = [word for value in fields.get("initrd", ()) for word in value.split() if not word.startswith("$")]
    return BlsEntry(
        path,
        " ".join(fields.get("title", ())),
        " ".join(fields.get("version", ())),
        fields["linux"][-1],
        tuple(initrds),
        cmdline.split(filled),
    )


def read_all(host: Host, folder: str, variables: dict[str, str]) -> tuple[BlsEntry, ...]:
    """Return the entries in ``folder`` in the loaders' own order: newest first."""
    found = []
    for name in host.names(folder):
        text = host.read(f"{folder}/{name}", 1 << 20) if name.endswith(".conf") else None
        entry = parse(f"{folder}/{name}", text, variables) if text is not None else None
        if entry is not None:
            found.append(entry)
    return tuple(sorted(found, key=lambda entry: version_key(entry.version or entry.stem), reverse=True))


def version_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts releases as rpm and `sort -V` roughly do: numbers by value, words by letters."""
    parts = re.findall(r"\d+|[A-Za-z]+", text)
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)
