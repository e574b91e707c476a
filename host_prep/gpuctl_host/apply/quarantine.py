"""Leftovers are moved into quarantine, back out of it, or deleted there. The lock is held; every name is one component.

`renameat` moves whatever has the name, a link itself included, within one file system: nothing is copied, no room is
needed, and where something was put in the folder's place meanwhile it is seen afterwards and put back. The record is
on disk before the move (leftovers/quarantined.py says which states there are), so that a killed run can be told.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gpuctl_host.apply.files import DiskFailed, told
from gpuctl_host.apply.journal import new_run_id, stamp
from gpuctl_host.apply.removal import remove_tree
from gpuctl_host.apply.run_folder import content_at, drop, drop_run, is_folder, write_whole
from gpuctl_host.data import frozen
from gpuctl_host.errors import GpuctlError
from gpuctl_host.leftovers.folder import OPEN_FOLDER, inode_at
from gpuctl_host.leftovers.names import QUARANTINE, is_run
from gpuctl_host.leftovers.quarantined import (
    DOMAIN,
    DOMAIN_RECORD,
    DOMAIN_XML,
    EXCHANGED,
    GONE,
    HELD,
    INTENDED,
    PURGE,
    PURGING,
    RECORD,
    check_quarantine,
    open_quarantine,
    read_run,
)
from gpuctl_host.tools import virsh

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpuctl_host.apply.folder_disk import FolderDisk
    from gpuctl_host.apply.outcome import Site
    from gpuctl_host.leftovers.domain_xml import Domain
    from gpuctl_host.leftovers.folder import Place
    from gpuctl_host.leftovers.proof import Verdict
    from gpuctl_host.leftovers.quarantined import Record

QUARANTINED, RESTORED, PURGED, FAILED = "quarantined", "restored", "purged", "failed"


@frozen
class Result:
    """What became of one leftover: quarantined, restored, purged or failed; ``detail`` says why."""

    run: str | None
    name: str
    uuid: str
    kind: str
    state: str
    detail: str


class Keeper:
    """The quarantine of one instances folder, with the lock held.

    Args:
        site: the host.
        place: its instances folder, open.
        disk: the system calls.
    """

    def __init__(self, site: Site, place: Place, disk: FolderDisk) -> None:
        self.site, self.place, self.disk = site, place, disk

    # ---- in

    @contextmanager
    def begin(self) -> Iterator[tuple[str, int]]:
        """Give a new run's id and its open folder; a run that has moved nothing leaves none.

        Raises:
            DiskFailed: it cannot be made.
            Refused: the quarantine is not root's own.
        """
        run = new_run_id(self.site.host)
        with ExitStack() as stack:
            quarantine, fd = self._make_run(stack, run)
            try:
                yield run, fd
            finally:
                drop_run(self.disk, quarantine, run)

    def _make_run(self, stack: ExitStack, run: str) -> tuple[int, int]:
        disk = self.disk
        with told("make the quarantine in", self.place.path):
            with suppress(FileExistsError):
                disk.mkdir_at(self.place.fd, QUARANTINE)
                disk.sync_at(self.place.fd)
            quarantine = os.open(QUARANTINE, OPEN_FOLDER, dir_fd=self.place.fd)
            stack.callback(os.close, quarantine)
            check_quarantine(self.place, quarantine)
            disk.mkdir_at(quarantine, run)
            disk.sync_at(quarantine)
            fd = os.open(run, OPEN_FOLDER, dir_fd=quarantine)
            stack.callback(os.close, fd)
        return quarantine, fd

    def put_in(self, run: str, fd: int, verdict: Verdict, note: Mapping[str, Any]) -> Result:
        """The leftover is in quarantine; or it is where it was, and the result says why.

        Args:
            run: the run's id.
            fd: its open folder.
            verdict: a leftover that may go.
            note: who asked, and what was proven; it is kept with it.
        """
        try:
            if verdict.kind == DOMAIN:
                self._undefine(fd, verdict, note)
            else:
                self._move_in(fd, verdict, note)
        except GpuctlError as error:
            return _result(run, verdict, FAILED, " ".join(part for part in (error.brief, error.details) if part))
        return _result(run, verdict, QUARANTINED, "")

    def _move_in(self, fd: int, verdict: Verdict, note: Mapping[str, Any]) -> None:
        entry, name, disk = verdict.entry, verdict.name, self.disk
        if entry is None or entry.content is None:
            raise DiskFailed(f"{name} was not looked into; it stays")
        if inode_at(self.place.fd, name) != entry.inode:
            raise DiskFailed(f"{name} is another folder than the one that was looked into; it stays")
        record = {**note, "name": name, "uuid": verdict.uuid, "kind": verdict.kind, "inode": list(entry.inode)}
        write_whole(self.disk, fd, name + RECORD, json.dumps({**record, "size": entry.content.size}).encode())
        try:
            with told("move", f"{self.place.path}/{name}"):
                disk.rename_at(self.place.fd, name, fd, name)
        except DiskFailed:
            drop(self.disk, fd, name + RECORD)
            raise
        with told("write", self.place.path):
            disk.sync_at(fd)
            disk.sync_at(self.place.fd)
        # Read back: between the look and the move somebody may have put another folder, or a link, in its place.
        if inode_at(fd, name) != entry.inode or not is_folder(fd, name):
            self.put_back(fd, name)
            raise DiskFailed(f"{name} was exchanged while it was moved; what was moved instead is back in its place")

    def put_back(self, fd: int, name: str) -> None:
        """What the run has moved as ``name`` is in the instances folder again.

        Raises:
            DiskFailed: it is not: something has its name there, and it is still in quarantine.
        """
        with told("put back", f"{self.place.path}/{name}"):
            if inode_at(self.place.fd, name) is not None:
                raise DiskFailed(
                    f"{self.place.path}/{name} is there already; {name} stays in quarantine",
                    resolution="see what it is; move it away, then restore again",
                )
            self.disk.rename_at(fd, name, self.place.fd, name)
            self.disk.sync_at(self.place.fd)
            self.disk.sync_at(fd)
        drop(self.disk, fd, name + RECORD)

    def _undefine(self, fd: int, verdict: Verdict, note: Mapping[str, Any]) -> None:
        host, domain, uuid = self.site.host, verdict.domain, verdict.uuid
        if domain is None:
            raise DiskFailed(f"there is no domain {uuid}")
        definition = virsh.definition(host, uuid)
        write_whole(self.disk, fd, uuid + DOMAIN_XML, definition.encode())
        write_whole(
            self.disk, fd, uuid + DOMAIN_RECORD, json.dumps({**note, "name": domain.name, "uuid": uuid}).encode()
        )
        try:
            self._take_definition(uuid, domain, definition)
        except GpuctlError:
            with suppress(GpuctlError):  # where libvirt does not say that it is there, its definition is kept
                if uuid in virsh.uuids(host, persistent=True):
                    drop(self.disk, fd, uuid + DOMAIN_RECORD)
                    drop(self.disk, fd, uuid + DOMAIN_XML)
            raise

    def _take_definition(self, uuid: str, domain: Domain, definition: str) -> None:
        host, state = self.site.host, virsh.state(self.site.host, uuid)
        if state != "shut off":
            raise DiskFailed(f"domain {domain.name} is {state} by now; it stays")
        virsh.undefine(host, uuid, keep=domain.keeps)
        if uuid in virsh.uuids(host, persistent=False):  # it was started in between: libvirt took only the definition
            virsh.define(host, definition)
            raise DiskFailed(f"domain {domain.name} was started meanwhile; it is defined again")

    # ---- out

    def restore(self, record: Record) -> Result:
        """What is in quarantine is back where it was, or the result says why not."""
        try:
            with self._run(record.run) as (quarantine, fd):
                if record.kind == DOMAIN:
                    self._define(fd, record.uuid)
                else:
                    inode = inode_at(fd, record.name)
                    self.put_back(fd, record.name)
                    if inode_at(self.place.fd, record.name) != inode:
                        raise DiskFailed(f"{record.name} was moved back, but something else is there now")
                drop_run(self.disk, quarantine, record.run)
        except GpuctlError as error:
            return _result(record.run, record, FAILED, error.brief)
        return _result(record.run, record, RESTORED, "")

    def _define(self, fd: int, uuid: str) -> None:
        """The domain is defined as it was. libvirt gets the text, not a path that others could lead elsewhere."""
        host = self.site.host
        if uuid not in virsh.uuids(host, persistent=True):
            virsh.define(host, content_at(fd, uuid + DOMAIN_XML))
            if uuid not in virsh.uuids(host, persistent=True):
                raise DiskFailed(f"libvirt said that domain {uuid} is defined, but it is not there")
        drop(self.disk, fd, uuid + DOMAIN_RECORD)
        drop(self.disk, fd, uuid + DOMAIN_XML)

    def purge(self, record: Record) -> Result:
        """What is in quarantine is deleted, or as much of it as could be: then the result says what is left."""
        try:
            with self._run(record.run) as (quarantine, fd):
                left = self._purge(fd, record)
                drop_run(self.disk, quarantine, record.run)
        except GpuctlError as error:
            return _result(record.run, record, FAILED, error.brief)
        if left:
            return _result(record.run, record, FAILED, "left: " + "; ".join(left))
        return _result(record.run, record, PURGED, "")

    def _purge(self, fd: int, record: Record) -> tuple[str, ...]:
        if record.kind == DOMAIN:
            drop(self.disk, fd, record.uuid + DOMAIN_RECORD)
            drop(self.disk, fd, record.uuid + DOMAIN_XML)
            return ()
        doomed = record.name + PURGING
        if record.state != PURGE:
            with told("delete", record.name):
                self.disk.rename_at(fd, record.name, fd, doomed)
                self.disk.sync_at(fd)
        with told("delete", record.name):
            left = remove_tree(self.disk, fd, doomed)
            self.disk.sync_at(fd)
        if not left:
            drop(self.disk, fd, record.name + RECORD)
        return left

    # ---- after a kill

    def settle(self) -> tuple[str, ...]:
        """No run is left that was killed between two of its steps, but for deletions, which purge() goes on with.

        Returns:
            What was found and done, for a person.

        Raises:
            Refused: the quarantine is not root's own.
        """
        said: list[str] = []
        with open_quarantine(self.place) as quarantine:
            for run in sorted(os.listdir(quarantine)) if quarantine is not None else ():
                if quarantine is None or not is_run(run):
                    continue
                with told("open", run):
                    fd = os.open(run, OPEN_FOLDER, dir_fd=quarantine)
                try:
                    for record in read_run(self.place, fd, run):
                        try:
                            text = self._settle(fd, record)
                        except GpuctlError as error:  # one that cannot be put right is no reason to leave the others
                            text = f"run {run} was killed, and {record.name} could not be put right: {error.brief}"
                        said += [text] if text else []
                    self._sweep(fd)
                finally:
                    os.close(fd)
                drop_run(self.disk, quarantine, run)
        return tuple(said)

    def _settle(self, fd: int, record: Record) -> str | None:
        if record.kind == DOMAIN:
            try:
                if record.state == HELD and record.uuid not in virsh.uuids(self.site.host, persistent=True):
                    return None
            except GpuctlError:  # it cannot be known here: the definition is kept
                return None
            drop(self.disk, fd, record.uuid + DOMAIN_RECORD)
            drop(self.disk, fd, record.uuid + DOMAIN_XML)
            return f"run {record.run} was killed: domain {record.uuid} is defined, and its saved definition is dropped"
        if record.state == INTENDED:
            drop(self.disk, fd, record.name + RECORD)
            return f"run {record.run} was killed: {record.name} is where it was, with all that is in it"
        if record.state == EXCHANGED:
            self.put_back(fd, record.name)
            return f"run {record.run} was killed: what had been put in the place of {record.name} is back there"
        if record.state == GONE:
            drop(self.disk, fd, record.name + RECORD)
            return f"run {record.run} was killed after {record.name} had left the quarantine; that is done"
        return None

    def _sweep(self, fd: int) -> None:
        """No file of a write that was killed is left, nor a definition that its record never followed."""
        names = os.listdir(fd)
        for name in names:
            stray = name.endswith(DOMAIN_XML) and name[: -len(DOMAIN_XML)] + DOMAIN_RECORD not in names
            if name.startswith(".") or stray:
                drop(self.disk, fd, name)

    def tidy(self) -> None:
        """A quarantine that holds nothing is not there."""
        with suppress(OSError):  # it holds something, or there is none
            self.disk.rmdir_at(self.place.fd, QUARANTINE)
            self.disk.sync_at(self.place.fd)

    @contextmanager
    def _run(self, run: str) -> Iterator[tuple[int, int]]:
        with ExitStack() as stack:
            quarantine = stack.enter_context(open_quarantine(self.place))
            if quarantine is None:
                raise DiskFailed(f"there is no quarantine in {self.place.path}")
            with told("open", run):
                fd = os.open(run, OPEN_FOLDER, dir_fd=quarantine)
            stack.callback(os.close, fd)
            yield quarantine, fd


def _result(run: str | None, what: Verdict | Record, state: str, detail: str) -> Result:
    return Result(run, what.name, what.uuid, what.kind, state, detail)


def note_of(site: Site, version: str, uid: int, sudo_user: str | None) -> dict[str, Any]:
    """Return what every record of this run says of when, and for whom."""
    who = {"uid": uid, "sudo_user": sudo_user}
    return {"schema": "gpuctl.host.quarantine/1", "at": stamp(site.host.now()), "version": version, "who": who}
