"""The quarantine as it is on disk: one folder a run, one record a leftover, written before the leftover was moved.

State is read off names alone, so that a kill between any two system calls leaves one that can be told:

    <run>/<name>.json and <run>/<name>          it is in quarantine
    <run>/<name>.json and <instances>/<name>    the run was killed before it moved it: nothing has happened to it
    <run>/<name>.json and <run>/<name>.purge    its deletion has begun; it can no longer be restored
    <run>/<name>.json and another <run>/<name>      killed after it moved what somebody had put in the folder's place
    <run>/<name>.json alone                     it was restored or deleted, and the run was killed before it said so
    <run>/<uuid>.domain.json and .domain.xml    a domain's definition, saved before it was taken away
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gpuctl_host.data import changed, frozen
from gpuctl_host.errors import Refused
from gpuctl_host.leftovers.folder import OPEN_FOLDER, inode_at, look_into
from gpuctl_host.leftovers.names import QUARANTINE, is_run, is_uuid, parse_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gpuctl_host.leftovers.folder import Place

RECORD, PURGING, DOMAIN_RECORD, DOMAIN_XML = ".json", ".purge", ".domain.json", ".domain.xml"
HELD, INTENDED, PURGE, GONE = "quarantined", "intended", "purging", "gone"
EXCHANGED, STRANGE = "exchanged", "strange"
DOMAIN = "domain"
_RECORD_MAX = 1 << 20


@frozen
class Record:
    """One thing in quarantine, or on its way there.

    Attributes:
        run: the run that moved it.
        name: the folder's name; for a domain the server's uuid.
        uuid: the server.
        kind: resize, instance or domain.
        state: quarantined, intended, purging, gone, exchanged, or strange (something that no run of ours leaves).
        at: when the record was written, RFC 3339; None in a strange one.
        inode: the folder's (st_dev, st_ino) at that time.
        size: bytes in its files at that time.
    """

    run: str
    name: str
    uuid: str
    kind: str
    state: str
    at: str | None
    inode: tuple[int, int] | None
    size: int | None


@contextmanager
def open_quarantine(place: Place) -> Iterator[int | None]:
    """Give the quarantine's descriptor, or None if there is none yet.

    Raises:
        Refused: it is not root's own, is on another file system, or is no folder.
    """
    try:
        fd = os.open(QUARANTINE, OPEN_FOLDER, dir_fd=place.fd)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise _refused(place, str(error.strerror)) from error
    try:
        check_quarantine(place, fd)
        yield fd
    finally:
        os.close(fd)


def check_quarantine(place: Place, fd: int) -> None:
    """The open folder is the quarantine that gpuctl makes: nobody but root gets in.

    Raises:
        Refused: it is not.
    """
    found = os.fstat(fd)
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise _refused(place, f"it belongs to uid {found.st_uid} with mode {stat.S_IMODE(found.st_mode):o}")
    if found.st_dev != place.device:
        raise _refused(place, "it is another file system")


def _refused(place: Place, why: str) -> Refused:
    path = f"{place.path}/{QUARANTINE}"
    return Refused(
        f"{path} is not a quarantine of gpuctl's: {why}",
        resolution=f"see who made it, then move it away: mv {path} {path}.old",
    )


def read_quarantine(place: Place) -> tuple[Record, ...]:
    """Return everything in quarantine, the oldest run first.

    Raises:
        Refused: the quarantine is not root's own.
    """
    with open_quarantine(place) as quarantine:
        if quarantine is None:
            return ()
        found: list[Record] = []
        for run in sorted(os.listdir(quarantine)):
            if not is_run(run):
                continue
            fd = os.open(run, OPEN_FOLDER, dir_fd=quarantine)
            try:
                found += read_run(place, fd, run)
            finally:
                os.close(fd)
        return tuple(found)


def read_run(place: Place, fd: int, run: str) -> list[Record]:
    """Return what is in one run's folder."""
    names = set(os.listdir(fd))
    found = []
    for name in sorted(names):
        if name.endswith(DOMAIN_RECORD) and is_uuid(name[: -len(DOMAIN_RECORD)]):
            uuid = name[: -len(DOMAIN_RECORD)]
            told = _told(fd, name)
            state = HELD if uuid + DOMAIN_XML in names and told is not None else GONE
            found.append(Record(run, uuid, uuid, DOMAIN, state, _at(told), None, None))
        elif name.endswith(RECORD) and parse_name(name[: -len(RECORD)]):
            found.append(_folder(place, fd, run, name[: -len(RECORD)], names))
    recorded = {record.name for record in found if record.kind != DOMAIN}
    for name in sorted(names):
        named = parse_name(name.removesuffix(PURGING))
        if named is not None and named.name not in recorded:
            found.append(Record(run, named.name, named.uuid, named.kind, STRANGE, None, None, None))
    return found


def _folder(place: Place, fd: int, run: str, name: str, names: set[str]) -> Record:
    named = parse_name(name)
    assert named is not None  # noqa: S101 - the caller asked
    told = _told(fd, name + RECORD)
    inode = told.get("inode") if told else None
    pair = (int(inode[0]), int(inode[1])) if isinstance(inode, list) and len(inode) == 2 else None
    size = told.get("size") if told else None
    if name + PURGING in names:
        state = PURGE
    elif name in names:
        here = inode_at(fd, name)
        same = pair is not None and here is not None and here[1] == pair[1]  # a device's number may change at a reboot
        state = STRANGE if told is None else HELD if same else EXCHANGED
    else:
        state = INTENDED if pair is not None and inode_at(place.fd, name) == pair else GONE
    return Record(run, name, named.uuid, named.kind, state, _at(told), pair, size if isinstance(size, int) else None)


def _at(told: dict[str, Any] | None) -> str | None:
    at = told.get("at") if told else None
    return at if isinstance(at, str) else None


def _told(fd: int, name: str) -> dict[str, Any] | None:
    """A record's content; None if it is torn or unreadable (it is written whole, so that is never our doing)."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=fd)
    except OSError:
        return None
    try:
        value = json.loads(os.read(file, _RECORD_MAX))
    except (OSError, ValueError, RecursionError):
        return None
    finally:
        os.close(file)
    return value if isinstance(value, dict) else None


def inodes_of(place: Place, records: Iterable[Record]) -> dict[tuple[int, int], str]:
    """Return (device, inode) -> folder name of everything in those folders, as far as it can be looked into."""
    found: dict[tuple[int, int], str] = {}
    with open_quarantine(place) as quarantine:
        for record in records if quarantine is not None else ():
            name = record.name + PURGING if record.state == PURGE else record.name
            try:
                fd = os.open(record.run, OPEN_FOLDER, dir_fd=quarantine)
            except OSError:
                continue
            try:
                content = look_into(changed(place, fd=fd), name)
            except OSError:
                continue
            finally:
                os.close(fd)
            found.update(dict.fromkeys(content.inodes, record.name))
    return found
