"""The user's ssh configuration, read as ssh reads it as far as paramiko can; Include is followed here."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.remote.errors import BadSshConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paramiko.config import SSHConfig

DEFAULT = Path("~/.ssh/config")
_SYSTEM = Path("/etc/ssh/ssh_config")
_DEPTH = 16  # ssh's own limit of nested includes
_WORD = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*?)\s*$")
_PATTERN = re.compile(r'"([^"]*)"|(\S+)')
# paramiko would fill a ProxyCommand's tokens with the file's port and user, where the inventory's may hold.
_TOKEN = re.compile(r"%([hpr])")
_MASKED = re.compile(r"%<([hpr])>")


def lookup(host: str, config: Path | None) -> dict[str, object]:
    """Return the options that hold for ``host``, keys in lower case; a ProxyCommand has its tokens still.

    Args:
        host: as a person would type it after ``ssh``.
        config: the user's file; None for no configuration at all, the system's neither.

    Raises:
        BadSshConfig: a file cannot be read or understood.
    """
    if config is None:
        return {"hostname": host}
    from paramiko.ssh_exception import ConfigParseError, CouldNotCanonicalize

    try:
        found: dict[str, object] = dict(_parsed(config.expanduser()).lookup(host))
    except (ConfigParseError, CouldNotCanonicalize, ImportError, ValueError, KeyError) as error:
        raise BadSshConfig(
            f"{config} cannot be applied to {host}",
            details=f"{type(error).__name__}: {error}",
            resolution="see what `ssh -G HOST` makes of it; --ssh-config FILE takes another file, none reads no file",
        ) from error

    command = found.get("proxycommand")
    if isinstance(command, str):
        found["proxycommand"] = _MASKED.sub(r"%\1", command)
    return found


@functools.lru_cache(maxsize=4)
def _parsed(path: Path) -> SSHConfig:
    from paramiko.config import SSHConfig
    from paramiko.ssh_exception import ConfigParseError

    lines = [*_lines(path, path.parent, 0)]
    if path == DEFAULT.expanduser():
        lines += ["Host *", *_lines(_SYSTEM, _SYSTEM.parent, 0)]
    try:
        return SSHConfig.from_text("\n".join(lines) + "\n")
    except ConfigParseError as error:
        raise BadSshConfig(f"{path} cannot be read", details=str(error), resolution="correct that line") from error


def _lines(path: Path, folder: Path, depth: int) -> Iterator[str]:
    """Every line of a file and of those that it includes; after an included file its own block goes on."""
    try:
        text = path.read_text("utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadSshConfig(f"cannot read {path}", details=str(error), resolution="make it readable") from error
    if depth > _DEPTH:
        raise BadSshConfig(f"{path} includes itself", resolution="take the Include out")
    block = "Host *"
    for line in text.splitlines():
        word = _WORD.match(line)
        key = word.group(1).lower() if word else ""
        if key in ("host", "match"):
            block = line
        if word and key == "include":
            for file in _included(word.group(2), folder):
                yield from _lines(file, folder, depth + 1)
            yield block
        else:
            yield _TOKEN.sub(r"%<\1>", line) if key == "proxycommand" else line


def _included(value: str, folder: Path) -> Iterator[Path]:
    """The files that an Include line means: patterns, relative to ~/.ssh or /etc/ssh."""
    for quoted, plain in _PATTERN.findall(value):
        pattern = Path(quoted or plain).expanduser()
        where = pattern if pattern.is_absolute() else folder / pattern
        yield from sorted(Path(where.anchor).glob(str(where.relative_to(where.anchor))))
