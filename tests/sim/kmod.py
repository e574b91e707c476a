"""Kmod: modprobe as kmod does it: modprobe.d of a tree, modules.alias, softdep, blacklist, install lines."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .kernel import Kernel

FOLDERS = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")


class Config:
    """What modprobe.d says: files by name, an earlier folder's file masks a later one's (modprobe.d(5))."""

    def __init__(self, files: Mapping[str, bytes], cmdline: str = "") -> None:
        self.blacklist: set[str] = set()
        self.options: dict[str, list[str]] = {}
        self.softdeps: dict[str, tuple[list[str], list[str]]] = {}
        self.install: dict[str, str] = {}
        self.alias: list[tuple[str, str]] = []
        chosen: dict[str, str] = {}
        for folder in FOLDERS:
            for path in files:
                head, _, name = path.rpartition("/")
                if head == folder and name.endswith(".conf"):
                    chosen.setdefault(name, path)
        for name in sorted(chosen):
            self._read(files[chosen[name]].decode("utf-8", "replace"))
        for token in cmdline.replace('"', "").split():
            key, _, value = token.partition("=")
            if key in ("modprobe.blacklist", "module_blacklist"):
                self.blacklist.update(_name(item) for item in value.split(",") if item)

    def _read(self, text: str) -> None:
        for line in text.replace("\\\n", " ").splitlines():
            words = line.split()
            if len(words) < 2 or words[0].startswith("#"):
                continue
            command, name = words[0], _name(words[1])
            if command == "blacklist":
                self.blacklist.add(name)
            elif command == "options":
                self.options.setdefault(name, []).append(" ".join(words[2:]))
            elif command == "softdep":
                rest = " ".join(words[2:])
                pre, post = (re.search(rf"{side}:\s*([^:]*?)(?=\s*(?:pre:|post:|$))", rest) for side in ("pre", "post"))
                self.softdeps[name] = tuple(
                    [_name(item) for item in found.group(1).split()] if found else [] for found in (pre, post)
                )  # type: ignore[assignment]
            elif command == "install":
                self.install[name] = " ".join(words[2:])
            elif command == "alias" and len(words) > 2:
                self.alias.append((words[1], _name(words[2])))


def _name(text: str) -> str:
    return text.replace("-", "_")


class Kmod:
    """modprobe in one place: the initramfs (only its modules and files) or the root.

    Args:
        available: modules that are to be found there; None for all of the machine's.
    """

    def __init__(self, kernel: Kernel, config: Config, available: Iterable[str] | None = None) -> None:
        self.kernel = kernel
        self.config = config
        self.modules = {item.name: item for item in kernel.machine.modules}
        self.available = set(self.modules if available is None else available) | set(kernel.machine.builtin)
        self._busy: set[str] = set()
        self._aliases = [
            (pattern, item.name)
            for item in self.modules.values()
            for pattern in item.aliases
            if item.name in self.available
        ]

    def insert(self, name: str, *, obey_blacklist: bool = False, options: str = "") -> bool:
        """Whether the module is loaded now: `modprobe NAME`; a blacklist counts only for aliases (kernel-lab section 4)."""
        name = _name(name)
        if name in self.kernel.loaded:
            return True
        if obey_blacklist and name in self.config.blacklist:
            return False
        if name not in self.available or name in self._busy:
            return False
        if _forbidden(self.kernel.cmdline, name):
            return False
        command = self.config.install.get(name)
        if command is not None:
            self.kernel.log.append(f"install {name}: {command}")
            return not re.fullmatch(r"(/usr)?/bin/false", command.strip())
        self._busy.add(name)
        before, after = self.config.softdeps.get(name, ([], []))
        for other in before:
            self.insert(other)
        for other in self.modules[name].deps:
            self.insert(other)
        self.kernel.load(name, " ".join([*self.config.options.get(name, []), options]))
        for other in after:
            self.insert(other)
        self._busy.discard(name)
        return True

    def by_alias(self, modalias: str) -> None:
        """What udev's `kmod load $env{MODALIAS}` does: every module whose alias matches, but the blacklisted."""
        for pattern, name in [*self.config.alias, *self._aliases]:
            if pattern.startswith("pci:") and fnmatch.fnmatchcase(modalias, pattern):
                self.insert(name, obey_blacklist=True)


def _forbidden(cmdline: str, name: str) -> bool:
    """module_blacklist= is the kernel's own: not even an explicit load goes through."""
    return any(
        name in [_name(item) for item in token.partition("=")[2].split(",")]
        for token in cmdline.split()
        if token.startswith("module_blacklist=")
    )


def options_at_boot(cmdline: str, name: str) -> str:
    """The module's options that stand on the kernel's command line."""
    words = []
    for token in cmdline.replace('"', "").split():
        owner, dot, rest = token.partition(".")
        if dot and owner.replace("-", "_") == name:
            words.append(rest)
    return " ".join(words)


def ids_in(options: str) -> list[str]:
    """What a PCI driver's `ids=` names, as "vvvv:dddd"."""
    found = re.findall(r"(?:^|\s)ids=(\S+)", options)
    return [":".join(part.lower().split(":")[:2]) for value in found for part in value.split(",") if ":" in part]
