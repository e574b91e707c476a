"""The user's ssh configuration, read as ssh reads it as far as paramiko can; Include is followed here."""

from __future__ import annotations

import functools
import re
import shlex
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
_WORDS = re.compile(r"""\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'])+)""")
_CRITERIA = {"all": 0, "canonical": 0, "final": 0, "host": 1, "originalhost": 1, "user": 1, "localuser": 1, "exec": 1}
_WHOLE = ("proxycommand", "localcommand", "remotecommand", "knownhostscommand")  # a # in these is the shell's
_TIME = re.compile(r"(\d+)([smhdw]?)", re.IGNORECASE)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
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
    # What is said first holds; `ProxyCommand none` too (ssh_config(5), ProxyJump). The keys are in that order.
    if next((key for key in found if key in ("proxycommand", "proxyjump")), "") == "proxycommand":
        found.pop("proxyjump", None)
    return found


def seconds(text: str) -> float:
    """Return a time as ssh writes it: 10, 10s, 1m30s.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(rf"(?:{_TIME.pattern})+", text, re.IGNORECASE):
        raise ValueError(f"{text!r} is no time")
    return float(sum(int(number) * _UNITS[unit.lower()] for number, unit in _TIME.findall(text)))


@functools.lru_cache(maxsize=4)
def _parsed(path: Path) -> SSHConfig:
    from paramiko.config import SSHConfig
    from paramiko.ssh_exception import ConfigParseError

    lines = [*_lines(path, path.parent, 0, "")]
    if path == DEFAULT.expanduser():
        lines += ["Host *", *_lines(_SYSTEM, _SYSTEM.parent, 0, "")]
    try:
        return SSHConfig.from_text("\n".join(lines) + "\n")
    except (ConfigParseError, ValueError) as error:
        raise BadSshConfig(f"{path} cannot be read", details=str(error), resolution="correct that line") from error


def _lines(path: Path, folder: Path, depth: int, outer: str) -> Iterator[str]:
    """Every line of a file and of those that it includes; after an included file its own block goes on.

    Args:
        path: the file.
        folder: where included files are that have no absolute path.
        depth: of the includes.
        outer: the criteria of the block that the file is included in; what is in the file holds in that block alone.
    """
    try:
        text = path.read_text("utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadSshConfig(f"cannot read {path}", details=str(error), resolution="make it readable") from error
    if depth > _DEPTH:
        raise BadSshConfig(f"{path} includes itself", resolution="take the Include out")
    criteria = outer
    for number, line in enumerate(text.splitlines(), 1):
        word = _WORD.match(line)
        key, value = (word[1].lower(), word[2]) if word else ("", "")
        if key in ("host", "match"):
            # A Host line is the same as a Match line with the host's name as it was typed.
            names = f"originalhost {shlex.quote(','.join(words(value)))}"
            own = names if key == "host" else _match(value, f"{path}:{number}")
            criteria = " ".join(filter(None, (outer, own)))
            yield _block(criteria)
        elif key == "include":
            for file in _included(value, folder):
                yield from _lines(file, folder, depth + 1, criteria)
            yield _block(criteria)
        elif key in _WHOLE:
            yield _TOKEN.sub(r"%<\1>", line) if key == "proxycommand" else line
        else:
            yield line[: word.start(2)] + _said(value) if word else line


def _block(criteria: str) -> str:
    return f"Match {criteria}" if criteria else "Host *"


def _match(value: str, where: str) -> str:
    """Return the criteria of a Match line, "" for all; paramiko would take one that it does not know for met.

    Raises:
        BadSshConfig: there is such a one.
    """
    rest, found = words(value), list[str]()
    while rest:
        sign, name = ("!", rest[0][1:]) if rest[0].startswith("!") else ("", rest[0])
        count = _CRITERIA.get(name.lower())
        if count is None or len(rest) <= count:
            raise BadSshConfig(
                f"{where}: `Match {rest[0]}` cannot be judged by gpuctl's SSH library",
                resolution="--ssh-config FILE takes another file without it, none reads no file",
            )
        if name.lower() != "all":
            found += [sign + name.lower(), *(shlex.quote(word) for word in rest[1 : 1 + count])]
        del rest[: 1 + count]
    return " ".join(found)


def _said(value: str) -> str:
    """Return a value without the comment after it."""
    for word in _WORDS.finditer(value):
        if word[1].startswith("#"):
            return value[: word.start(1)].rstrip()
    return value


def words(value: str) -> list[str]:
    """Return a value's words, their quotes gone, without a comment."""
    return [word[1:-1] if word[:1] in ("'", '"') else word for word in _WORDS.findall(_said(value))]


def _included(value: str, folder: Path) -> Iterator[Path]:
    """The files that an Include line means: patterns, relative to ~/.ssh or /etc/ssh."""
    for word in words(value):
        pattern = Path(word).expanduser()
        where = pattern if pattern.is_absolute() else folder / pattern
        yield from sorted(Path(where.anchor).glob(str(where.relative_to(where.anchor))))
