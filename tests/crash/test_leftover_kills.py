"""SIGKILL before every system call of quarantine, restore and purge: the next run says what it found and ends it.

After each kill the leftover is whole in its place, or whole in quarantine, or (once its deletion has begun) on its way
out; the domain is defined, or its definition is kept; nothing else is touched. ``COUNT`` proves that kills were made.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal

import pytest

from gpuctl_host.leftovers.folder import INSTANCES
from tests.unit.apply.faults import killed
from tests.unit.leftovers.kit import (
    ONE,
    QUARANTINE,
    ComputeHost,
    CountingFolderDisk,
    ask,
    domain,
    make_root,
    plan,
    proof,
    shelf,
    tree,
)

COUNT = {"kills": 0, "tests": 0}
FILE = "/etc/libvirt/qemu/instance-00000001.xml"


class KillingFolderDisk(CountingFolderDisk):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def act(self, name):
        super().act(name)
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def write(self, fd, data):
        if self.count + 1 == self.at and len(data) > 1:
            os.write(fd, data[: len(data) // 2])
        return super().write(fd, data)


class Bed:
    """One host as it was, as it is with the leftover in quarantine, and one to kill in."""

    def __init__(self, folder):
        self.folder = folder
        self.stock, self.shelved, self.work = (f"{folder}/{name}" for name in ("stock", "shelved", "work"))
        make_root(self.stock)
        domain(self.stock, ONE)
        os.makedirs(f"{self.stock}{INSTANCES}/{ONE}_resize/deep/er")
        shutil.copytree(self.stock, self.work, symlinks=True)
        self.put_in()
        shutil.copytree(self.work, self.shelved, symlinks=True)
        self.before, self.gone = tree(self.stock), self._without()

    def _without(self):
        return {path: value for path, value in tree(self.stock).items() if f"{ONE}_resize" not in path and path != FILE}

    def fresh(self, source):
        """Inodes are kept, as a host's would be: the tree is renamed, not copied, where there is one to rename."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(source, self.work, symlinks=True)
        if source == self.shelved:  # a copy has other inodes than the record says
            shutil.rmtree(self.work)
            shutil.copytree(self.stock, self.work, symlinks=True)
            self.put_in()

    def host(self, disk):
        return ComputeHost(self.work, tick=disk.tick if disk else lambda: None)

    def put_in(self, at=None):
        disk = KillingFolderDisk(at) if at else CountingFolderDisk()
        host = self.host(disk)
        agreed = plan(ComputeHost(self.work))["fingerprint"]
        document, code = ask(host, disk, phase="quarantine", uuids=[ONE], proof=proof(ONE), fingerprint=agreed)
        assert code == 0, document
        return document

    def take_back(self, at=None):
        disk = KillingFolderDisk(at) if at else CountingFolderDisk()
        return ask(self.host(disk), disk, phase="restore", uuids=[ONE])

    def purge(self, at=None):
        disk = KillingFolderDisk(at) if at else CountingFolderDisk()
        document, code = ask(self.host(disk), disk, phase="purge", older_than_s=0)
        assert code == 0, document
        return document

    def files(self):
        """Where the leftover's own files are: how many in place, how many in quarantine, under whichever name."""
        place = f"{self.work}{INSTANCES}/{ONE}_resize"
        here = sum(len(names) for _, _, names in os.walk(place))
        there = sum(
            len(names) for at, _, names in os.walk(f"{self.work}{INSTANCES}/{QUARANTINE}") if f"/{ONE}_resize" in at
        )
        return here, there

    def defined_or_kept(self):
        kept = any(
            f"{ONE}.domain.xml" in names and f"{ONE}.domain.json" in names for names in shelf(self.work).values()
        )
        return os.path.exists(self.work + FILE) or kept

    def check_rest(self, why):
        """All else is as it was."""
        now = {
            path: value
            for path, value in tree(self.work).items()
            if f"{ONE}_resize" not in path and QUARANTINE not in path and path != FILE
        }
        assert now == self.gone, why


@pytest.fixture
def bed(folder):
    COUNT["tests"] += 1
    return Bed(folder)


def dies(work, at):
    """Run ``work`` in a child that dies before its Nth system call; say whether it died."""
    died = killed(lambda _: work(at), 1 << 30)
    COUNT["kills"] += died
    return died


def test_killed_in_quarantine_then_quarantined(bed):
    for at in itertools.count(1):
        bed.fresh(bed.stock)
        if not dies(bed.put_in, at):
            break
        assert bed.files() in ((3, 0), (0, 3)), f"killed at {at}"
        assert bed.defined_or_kept(), f"killed at {at}"
        bed.put_in()
        assert bed.files() == (0, 3), f"killed at {at}"
        bed.check_rest(f"killed at {at}")
        bed.take_back()
        assert tree(bed.work) == bed.before, f"killed at {at}"
    assert at > 40


def test_killed_in_quarantine_then_restored(bed):
    for at in itertools.count(1):
        bed.fresh(bed.stock)
        if not dies(bed.put_in, at):
            break
        document, code = bed.take_back()
        assert code in (0, 3), document  # 3: nothing had been moved yet
        assert tree(bed.work) == bed.before, f"killed at {at}: {document}"
        assert shelf(bed.work) == {}, f"killed at {at}"


def test_killed_in_restore_then_restored(bed):
    for at in itertools.count(1):
        bed.fresh(bed.shelved)
        if not dies(bed.take_back, at):
            break
        assert bed.files() in ((3, 0), (0, 3)), f"killed at {at}"
        assert bed.defined_or_kept(), f"killed at {at}"
        document, _ = bed.take_back()
        assert tree(bed.work) == bed.before, f"killed at {at}: {document}"
        assert shelf(bed.work) == {}, f"killed at {at}"
    assert at > 15


def test_killed_in_purge_then_purged(bed):
    for at in itertools.count(1):
        bed.fresh(bed.shelved)
        if not dies(bed.purge, at):
            break
        here, there = bed.files()
        assert here == 0 and there <= 3, f"killed at {at}"
        bed.purge()
        assert bed.files() == (0, 0), f"killed at {at}"
        assert shelf(bed.work) == {}, f"killed at {at}"
        assert tree(bed.work) == bed.gone, f"killed at {at}"
    assert at > 20


def test_killed_in_purge_then_nothing_half_deleted_is_given_back(bed):
    for at in itertools.count(1):
        bed.fresh(bed.shelved)
        if not dies(bed.purge, at):
            break
        bed.take_back()
        assert bed.files()[0] in (0, 3), f"killed at {at}"  # whole, or not at all
        bed.check_rest(f"killed at {at}")


def test_a_kill_is_told_of(bed):
    """Somewhere in each of the three there is a state that the next run has a word about."""
    said = set()
    for source, work in ((bed.stock, bed.put_in), (bed.shelved, bed.take_back), (bed.shelved, bed.purge)):
        for at in itertools.count(1):
            bed.fresh(source)
            if not dies(work, at):
                break
            document, _ = bed.take_back()
            said.update(note.partition(" was killed")[2] for note in document["notes"])
    assert any("is where it was" in note for note in said), said
    assert any("is defined" in note for note in said), said
    assert any("had left the quarantine" in note for note in said), said


def test_two_hundred_kills_were_made():
    """Only where every test above ran in this process."""
    if COUNT["tests"] < 6:
        pytest.skip("not all tests of this file ran in this process")
    assert COUNT["kills"] >= 200, COUNT
