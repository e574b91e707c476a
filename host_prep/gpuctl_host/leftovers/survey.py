"""One look at a host's instances folder, its domains and their users, from which everything else is judged."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from gpuctl_host.data import frozen
from gpuctl_host.facts.system import host_name
from gpuctl_host.leftovers.backing import Backings, read_backings
from gpuctl_host.leftovers.domains import Domains, read_domains
from gpuctl_host.leftovers.folder import Content, look_into, mount_id
from gpuctl_host.leftovers.mounts import Filesystem, filesystem_of, mounted_on, read_mounts
from gpuctl_host.leftovers.names import INSTANCE, QUARANTINE, RESIZE, kind_of, parse_name
from gpuctl_host.leftovers.quarantined import Record, read_quarantine
from gpuctl_host.leftovers.users import Users, read_users
from gpuctl_host.leftovers.vfio import Bound, read_vfio

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuctl_host.host import Host
    from gpuctl_host.leftovers.folder import Place
    from gpuctl_host.leftovers.mounts import Mount


@frozen
class Entry:
    """One name in the instances folder.

    Attributes:
        uuid: the server's, or None for what is no server's folder.
        kind: instance, resize, base or other.
        inode: (st_dev, st_ino).
        mtime: seconds since the epoch.
        link: where it leads if it is a link.
        mount: a mount point that it is, or that is in it.
        content: what a server's folder holds; None for others, and where it cannot be read.
        problem: why it could not be looked into.
    """

    name: str
    uuid: str | None
    kind: str
    inode: tuple[int, int]
    mtime: float
    is_dir: bool
    link: str | None
    mount: str | None
    content: Content | None
    problem: str | None


@frozen
class Survey:
    """What was seen.

    Attributes:
        users: folder name -> who uses it; None: not known.
        vfio_known: whether it is known which processes hold cards.
    """

    host: str | None
    live: bool
    path: str
    filesystem: Filesystem
    entries: tuple[Entry, ...]
    domains: Domains
    users: Users | None
    backings: Backings
    vfio: tuple[Bound, ...] | None
    vfio_known: bool
    quarantine: tuple[Record, ...]

    def entry(self, name: str) -> Entry | None:
        """Return the entry of that name."""
        return next((entry for entry in self.entries if entry.name == name), None)


def survey(host: Host, place: Place) -> Survey:
    """Return what there is; nothing is changed.

    Raises:
        Refused: the quarantine is not root's own.
    """
    mounts = read_mounts(host)
    entries = read_entries(place, mounts)
    domains = read_domains(host)
    vfio, vfio_known = read_vfio(host, domains)
    return Survey(
        host=host_name(host),
        live=host.live,
        path=place.path,
        filesystem=filesystem_of(host, place.path, mounts),
        entries=entries,
        domains=domains,
        users=users_of(host, entries),
        backings=read_backings(place),
        vfio=vfio,
        vfio_known=vfio_known,
        quarantine=read_quarantine(place),
    )


def users_of(host: Host, entries: Iterable[Entry]) -> Users | None:
    """Return who uses each server's folder; None if it cannot be known."""
    inodes = {inode: entry.name for entry in entries if entry.content is not None for inode in entry.content.inodes}
    return read_users(host, inodes)


def read_entries(place: Place, mounts: Iterable[Mount] | None) -> tuple[Entry, ...]:
    """Return what is in the instances folder; gpuctl's own quarantine is no part of it."""
    found = []
    for name in sorted(os.listdir(place.fd)):
        if name == QUARANTINE:
            continue
        try:
            found.append(_entry(place, name, mounts))
        except FileNotFoundError:  # it went away meanwhile
            continue
    return tuple(found)


def _entry(place: Place, name: str, mounts: Iterable[Mount] | None) -> Entry:
    state = os.stat(name, dir_fd=place.fd, follow_symlinks=False)
    kind, named = kind_of(name), parse_name(name)
    content: Content | None = None
    problem: str | None = None
    is_dir = stat.S_ISDIR(state.st_mode)
    if kind in (INSTANCE, RESIZE) and is_dir:
        try:
            content = look_into(place, name)
            problem = content.problem
        except OSError as error:
            problem = f"it cannot be looked into: {error.strerror}"
    elif kind in (INSTANCE, RESIZE):
        problem = "it is a link" if stat.S_ISLNK(state.st_mode) else "it is no folder"
    if mounts is None and mount_id(place.fd) is None:
        problem = problem or "the mounts cannot be seen"
    return Entry(
        name=name,
        uuid=named.uuid if named else None,
        kind=kind,
        inode=(state.st_dev, state.st_ino),
        mtime=state.st_mtime,
        is_dir=is_dir,
        link=os.readlink(name, dir_fd=place.fd) if stat.S_ISLNK(state.st_mode) else None,
        mount=mounted_on(mounts, f"{place.path}/{name}") if mounts is not None else None,
        content=content,
        problem=problem,
    )
