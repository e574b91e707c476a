"""modprobe's configuration: every rule in force, in the order of modprobe.d(5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.facts.model import ModprobeRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.host import Host

# A file shadows those of the same name in the folders after it (kmod: libkmod/libkmod-config.c, default_config_paths)
FOLDERS = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")
_COMMANDS = ("blacklist", "options", "softdep", "weakdep", "install", "alias", "remove")
_FILE_MAX = 1 << 20
_FILES_MAX = 1000


def read_modprobe(host: Host) -> tuple[ModprobeRule, ...] | None:
    """Return every rule in force; None if none of the folders can be seen."""
    files: dict[str, str] = {}
    seen = False
    for folder in FOLDERS:
        names = host.names(folder)
        seen = seen or bool(names) or host.is_dir(folder)
        for name in names:
            if name.endswith(".conf"):
                files.setdefault(name, f"{folder}/{name}")
    if not seen:
        return None
    rules: list[ModprobeRule] = []
    for name in sorted(files)[:_FILES_MAX]:
        rules.extend(parse_rules(host.read(files[name], _FILE_MAX) or "", files[name]))
    return tuple(rules)


def parse_rules(text: str, path: str) -> Iterator[ModprobeRule]:
    """Yield the rules of one file; names have underscores, comments and what modprobe ignores are left out."""
    for number, line in _joined(text):
        words = line.split(None, 2)
        if len(words) >= 2 and words[0] in _COMMANDS:
            rest = " ".join(words[2].split()) if len(words) == 3 else ""
            yield ModprobeRule(path=path, line=number, command=words[0], module=words[1].replace("-", "_"), rest=rest)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """(number of the first line, whole line): a backslash at the end of a line joins the next one to it."""
    pending, start = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        if not pending:
            start = number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        whole = (pending + line).strip()
        pending = ""
        if whole and not whole.startswith("#"):
            yield start, whole
    if pending.strip() and not pending.lstrip().startswith("#"):
        yield start, pending.strip()
