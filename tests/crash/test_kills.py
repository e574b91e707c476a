"""SIGKILL before every system call that changes something, in prepare, in restore and in what comes after the kill.

A write is torn in its middle. After each kill: no file is torn, a restore gives the host back byte for byte, and so
does another prepare get to where the first one would have. ``COUNT`` at the end proves that the kills were made.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil

import pytest

from gpuctl_host.apply.executor import apply_plan
from gpuctl_host.apply.journal import read_runs
from gpuctl_host.apply.recover import recover, unfinished
from gpuctl_host.changes.model import FILE, GENERATED, Change
from tests.unit.apply.faults import killed
from tests.unit.apply.plans import (
    META,
    file_change,
    file_changes,
    generated_changes,
    live_changes,
    plan_of,
    prepare,
    restore,
)
from tests.unit.apply.toy import ToyHost, make_root
from tests.unit.apply.trees import tree, write

COUNT = {"kills": 0, "beds": 0}


def fewer(root):
    return (file_change(root, "/etc/gpuctl/cards", "# one\n"), file_change(root, "/etc/modprobe.d/old.conf", None))


PLANS = {
    "files on a tree": (False, lambda root: file_changes(root)[::2] + file_changes(root)[5:]),
    "files and images": (True, lambda root: (*fewer(root), *generated_changes())),
    "everything at once": (True, lambda root: (*fewer(root), generated_changes()[0], *live_changes())),
    "the running kernel": (True, lambda root: live_changes()),
    "a command that fails": (True, lambda root: (*fewer(root), generated_changes()[0], FAILS)),
}
FAILS = Change(GENERATED, "bad", None, None, "a test", paths=("/boot/grub/grub.cfg",), argv=("broken",), timeout=5)


class Bed:
    """Copies of one host: as it was, as it is after a prepare, and one to kill in."""

    def __init__(self, folder, name):
        self.live, self.changes = PLANS[name]
        self.folder = folder
        self.stock, self.work, self.prepared = f"{folder}/stock", f"{folder}/work", f"{folder}/prepared"
        make_root(self.stock)
        if name == "the running kernel":
            self.changes = lambda root: live_changes()
        # A host that has gpuctl's driver loaded already: a module stays, and shall not be a difference.
        for path in ("/sys/module/vfio_pci", "/sys/bus/pci/drivers/vfio-pci"):
            os.makedirs(self.stock + path)
        shutil.copytree(self.stock, self.prepared, symlinks=True)
        prepare(ToyHost(self.prepared, live=self.live), plan_of(*self.changes(self.prepared)))
        self.before, self.after = tree(self.stock), tree(self.prepared)
        self.wanted = {
            change.target: change.after.data
            for change in self.changes(self.stock)
            if change.kind == FILE and change.after
        }

    def fresh(self, source):
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(source, self.work, symlinks=True)

    def host(self, disk=None):
        return ToyHost(self.work, live=self.live, tick=disk.tick if disk else lambda: None)

    def prepare(self, disk=None):
        host = self.host(disk)
        recover(host, disk=disk)
        return apply_plan(host, plan_of(*self.changes(self.work)), meta=META, disk=disk)

    def restore(self, disk=None):
        return restore(self.host(disk), disk=disk)

    def is_torn(self):
        """Paths that are neither as before nor as after; a command of the host may leave half an image itself."""
        now = tree(self.work)
        return [
            path
            for path, value in now.items()
            if value not in (self.before.get(path), self.after.get(path))
            and not path.startswith(("/boot/", "/sys/", "/proc/"))
            and "/.gpuctl-" not in path
            and value[2] not in (self.wanted.get(path), self.wanted.get(path, b"").decode())
            and value[2] is not None
        ]

    def check_before(self, why):
        now = tree(self.work)
        different = {path for path in {*now, *self.before} if now.get(path) != self.before.get(path)}
        assert not different, f"{why}: {sorted(different)}"
        assert not unfinished(self.host()), why
        assert not leftovers(self.work), why

    def check_after(self, why):
        now = tree(self.work)
        different = {path for path in {*now, *self.after} if now.get(path) != self.after.get(path)}
        assert not different, f"{why}: {sorted(different)}"


def leftovers(root):
    return [f"{folder}/{name}" for folder, _, files in os.walk(root) for name in files if name.startswith(".gpuctl-")]


@pytest.fixture(params=list(PLANS))
def bed(request, folder):
    COUNT["beds"] += 1
    return Bed(folder, request.param)


def test_killed_in_prepare_then_restored(bed):
    for at in itertools.count(1):
        bed.fresh(bed.stock)
        if not killed(bed.prepare, at):
            break
        COUNT["kills"] += 1
        assert not bed.is_torn(), f"killed at {at}"
        outcome = bed.restore()
        assert outcome.error is None and not outcome.kept and not outcome.problems, f"killed at {at}: {outcome}"
        bed.check_before(f"killed at {at}")
    assert at > 40


def test_killed_in_prepare_then_prepared(bed):
    for at in itertools.count(1, 3):
        bed.fresh(bed.stock)
        if not killed(bed.prepare, at):
            break
        COUNT["kills"] += 1
        outcome = bed.prepare()
        assert not outcome.problems, f"killed at {at}: {outcome}"
        bed.check_after(f"killed at {at}")
        assert not leftovers(bed.work), f"killed at {at}"
        bed.restore()
        bed.check_before(f"killed at {at}")


def test_killed_in_restore_then_restored(bed):
    for at in itertools.count(1):
        bed.fresh(bed.prepared)
        if not killed(bed.restore, at):
            break
        COUNT["kills"] += 1
        assert not bed.is_torn(), f"killed at {at}"
        outcome = bed.restore()
        assert outcome.error is None and not outcome.kept and not outcome.problems, f"killed at {at}: {outcome}"
        bed.check_before(f"killed at {at}")


def test_killed_in_restore_then_prepared_and_restored(bed):
    for at in itertools.count(2, 4):
        bed.fresh(bed.prepared)
        if not killed(bed.restore, at):
            break
        COUNT["kills"] += 1
        bed.prepare()
        bed.check_after(f"killed at {at}")
        outcome = bed.restore()
        assert outcome.error is None and not outcome.kept, f"killed at {at}: {outcome}"
        bed.check_before(f"killed at {at}")


@pytest.mark.parametrize("way", ["restore", "prepare"])
def test_killed_again_in_what_comes_after_the_kill(bed, way):
    chance = random.Random(20261120)
    for first in range(3, 400, 13):
        bed.fresh(bed.stock)
        if not killed(bed.prepare, first):
            break
        COUNT["kills"] += 1
        for _ in range(3):
            if killed(getattr(bed, way), chance.randint(1, 60)):
                COUNT["kills"] += 1
            assert not bed.is_torn(), f"killed at {first}"
        outcome = bed.restore()
        assert outcome.error is None and not outcome.kept and not outcome.problems, f"killed at {first}: {outcome}"
        bed.check_before(f"killed at {first}")


def test_a_run_killed_before_a_reboot_is_taken_back_after_it(folder):
    bed = Bed(folder, "everything at once")
    for at in range(1, 400, 9):
        bed.fresh(bed.stock)
        if not killed(bed.prepare, at):
            break
        COUNT["kills"] += 1
        write(bed.work, "/proc/sys/kernel/random/boot_id", "another\n")
        host = bed.host()
        recover(host)
        now = {path: value for path, value in tree(bed.work).items() if not path.startswith("/sys/")}
        was = {path: value for path, value in bed.before.items() if not path.startswith("/sys/")}
        # Without an intent on disk there is nothing to take back; with a finished run, it stands.
        if not any(run.is_active for run in read_runs(host)):
            assert now == was, f"killed at {at}"
        assert not host.pokes, f"killed at {at}: the kernel that was changed is gone"


def test_at_least_six_hundred_kills_were_made():
    """Only where every test above ran in this process."""
    if COUNT["beds"] < 6 * len(PLANS):
        pytest.skip("not all tests of this file ran in this process")
    assert COUNT["kills"] >= 600, COUNT
