"""Configuration files read through oslo.config, each value with the file and the line that it came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.nova.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROLES = ("compute", "api", "scheduler", "conductor")
ALL = "all"
_ROLE_FILE = re.compile(r"(?:\d+-)?(?:nova-)?(?:super-)?(compute|api|scheduler|conductor)(?:\.(.+)|-.*)?\.conf")
_EXPLICIT = re.compile(r"(compute|api|scheduler|conductor)(?::([^=/]+))?=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Value:
    """One assignment in a file.

    Attributes:
        section: as oslo.config compares them: lower case, but for DEFAULT.
        key: the option's name as written.
        text: the value without its quotes; lines of a longer one joined by newlines.
        file: where it stands.
        line: on which line it begins.
    """

    section: str
    key: str
    text: str
    file: str
    line: int

    @property
    def where(self) -> str:
        """file:line."""
        return f"{self.file}:{self.line}"

    @property
    def option(self) -> str:
        """[section] key."""
        return f"[{self.section}] {self.key}"


@dataclass(frozen=True, slots=True)
class Service:
    """What one kind of service reads.

    Attributes:
        role: compute, api, scheduler, conductor; all where one set of files stands for every service.
        host: whose compute it is, where it has a file of its own.
        files: in the order of reading.
        values: every assignment in that order.
    """

    role: str
    host: str | None
    files: tuple[str, ...]
    values: tuple[Value, ...]

    @property
    def label(self) -> str:
        """The subject of findings: nova, compute, compute.HOST, api, ..."""
        role = "nova" if self.role == ALL else self.role
        return f"{role}.{self.host}" if self.host else role

    def plays(self, role: str) -> bool:
        """Say whether this service, or one that reads the same, is of that role."""
        return self.role in (role, ALL)


def read_services(words: Iterable[str]) -> tuple[tuple[Service, ...], tuple[str, ...]]:
    """Return the services that these files configure, and notes on what was not read.

    Args:
        words: files and folders of ``*.conf`` drop-ins. A file is for one role if its name says so (nova-compute.conf,
            compute.HOST.conf, api.conf), or as ROLE=FILE or compute:HOST=FILE; any other is for all.

    Raises:
        Problem: a file cannot be read, or is not what oslo.config reads.
    """
    shared: list[Path] = []
    own: dict[tuple[str, str | None], list[Path]] = {}
    notes: list[str] = []
    for word in words:
        explicit = _EXPLICIT.fullmatch(word)
        for path in _files(Path(explicit[3] if explicit else word)):
            named = _ROLE_FILE.fullmatch(path.name)
            if explicit:
                own.setdefault((explicit[1], explicit[2]), []).append(path)
            elif named:
                own.setdefault((named[1], named[2]), []).append(path)
            else:
                shared.append(path)
                notes += _beside(path)
    if not (shared or own):
        raise Problem("no configuration file found", resolution="give nova.conf, and its folders of drop-ins")
    parsed = {path: _parse(path) for path in (*shared, *(path for paths in own.values() for path in paths))}
    if not own:
        return (_service(ALL, None, shared, parsed),), tuple(notes)
    services = tuple(_service(role, host, [*shared, *paths], parsed) for (role, host), paths in own.items())
    return services, tuple(notes)


def _service(role: str, host: str | None, paths: list[Path], parsed: Mapping[Path, tuple[Value, ...]]) -> Service:
    values = tuple(value for path in paths for value in parsed[path])
    return Service(role, host, tuple(str(path) for path in paths), values)


def _files(path: Path) -> list[Path]:
    """The file itself, or a folder's drop-ins in the order in which oslo.config reads them."""
    try:
        if not path.is_dir():
            return [path]
        return sorted(item for item in path.iterdir() if item.name.endswith(".conf") and item.is_file())
    except (OSError, ValueError) as error:
        raise Problem(f"cannot read {path}", details=str(error), resolution="give files that you may read") from error


def _beside(path: Path) -> list[str]:
    """nova.conf.d beside nova.conf is read by services that start without --config-file: say so if it is not given."""
    folder = path.with_name(path.name + ".d")
    if folder.is_dir() and any(folder.glob("*.conf")):
        return [
            f"{folder} is there as well: a service reads it unless it starts with --config-file; give it, too, if so"
        ]
    return []


def _parse(path: Path) -> tuple[Value, ...]:
    """Return every assignment of a file, by oslo.config's own parser."""
    from oslo_config import iniparser

    class Reader(iniparser.BaseParser):
        def __init__(self) -> None:
            self.section = ""
            self.start = 0
            self.values: list[Value] = []

        def new_section(self, section: str) -> None:
            # oslo_config.cfg._normalize_group_name
            self.section = "DEFAULT" if section == "DEFAULT" else section.lower()

        def _split_key_value(self, line: str) -> tuple[str, list[str]]:
            self.start = self.lineno
            key, value = super()._split_key_value(line)
            return key, value

        def assignment(self, key: str, value: list[str]) -> None:
            if not self.section:
                raise iniparser.ParseError("Section must be started before assignment", self.start, key)
            self.values.append(Value(self.section, key, "\n".join(value), str(path), self.start))

    reader = Reader()
    try:
        with path.open(encoding="utf-8") as stream:
            reader.parse(stream.readlines())
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise Problem(f"cannot read {path}", details=str(error), resolution="give files that you may read") from error
    except iniparser.ParseError as error:
        raise Problem(
            f"{path} is not a configuration file that oslo.config reads",
            details=str(error),
            resolution="correct that line: no Nova service starts with this file",
        ) from error
    return tuple(reader.values)
