"""A power cut before every system call: what was not fsynced is lost, in each of the two ways in which that can be.

SIGKILL alone cannot show a forgotten fsync, because the page cache survives it. Here a disk remembers what is durable:
a file's content from its last fsync, a folder's names from its last fsync. ``nothing`` keeps only that; ``names`` also
keeps every rename, with the content lost behind it (what ext4 and xfs do to a rename without an fsync before it).
"""

from __future__ import annotations

import os
import stat

import pytest

from gpuctl_host.apply.executor import apply_plan
from tests.unit.apply.faults import CountingDisk
from tests.unit.apply.plans import META, file_change, file_changes, generated_changes, plan_of, prepare, restore
from tests.unit.apply.toy import ToyHost, make_root
from tests.unit.apply.trees import tree


class PowerDisk(CountingDisk):
    """Knows what would be left of ``root``; calls ``cut`` before every call."""

    def __init__(self, root):
        super().__init__()
        self.root = root
        self.contents = {}
        self.names_of = {}
        self.kept = []  # open descriptors: no inode number is used twice while they are open
        self.cut = lambda: None
        self.sync_all()

    def sync_all(self):
        for folder, _, files in os.walk(self.root):
            self._names(folder)
            for name in files:
                path = os.path.join(folder, name)
                if not os.path.islink(path):
                    self._content(path)

    def _content(self, path):
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            self.contents[found.st_ino] = (file.read(), stat.S_IMODE(found.st_mode))

    def _names(self, folder):
        self.names_of[os.lstat(folder).st_ino] = self._listed(folder)

    @staticmethod
    def _listed(folder):
        found = {}
        for name in os.listdir(folder):
            state = os.lstat(os.path.join(folder, name))
            target = os.readlink(os.path.join(folder, name)) if stat.S_ISLNK(state.st_mode) else None
            found[name] = (state.st_ino, stat.S_IFMT(state.st_mode), target, stat.S_IMODE(state.st_mode))
        return found

    def act(self, name):
        super().act(name)
        self.cut()

    def tick(self):
        self.sync_all()  # a command of the host is its own affair

    def create(self, real):
        fd = super().create(real)
        self.kept.append(os.dup(fd))
        return fd

    def append(self, real):
        fd = super().append(real)
        self.kept.append(os.dup(fd))
        return fd

    def write(self, fd, data):
        self.act("write")
        return os.write(fd, data)

    def fsync(self, fd):
        super().fsync(fd)
        self._content(f"/proc/self/fd/{fd}")

    def fsync_folder(self, real):
        super().fsync_folder(real)
        self._names(real)

    def leave(self, where, way):
        """Write to ``where`` what a power cut now would leave."""
        self._leave(self.root, os.lstat(self.root).st_ino, where, way)

    def _leave(self, folder, inode, where, way):
        os.mkdir(where)
        names = self._listed(folder) if way == "names" and folder is not None else self.names_of.get(inode, {})
        for name, (child, kind, target, mode) in names.items():
            here = None if folder is None else os.path.join(folder, name)
            if kind == stat.S_IFDIR:
                self._leave(here if here and os.path.isdir(here) else None, child, f"{where}/{name}", way)
                os.chmod(f"{where}/{name}", mode)
            elif kind == stat.S_IFLNK:
                os.symlink(target, f"{where}/{name}")
            else:
                content, kept_mode = self.contents.get(child, (b"", 0o600))
                with open(f"{where}/{name}", "wb") as file:
                    file.write(content)
                os.chmod(f"{where}/{name}", kept_mode)


def small(root):
    return (file_change(root, "/etc/gpuctl/cards", "# one\n"), *file_changes(root)[3:5])


PLANS = {"files": small, "files and an image": lambda root: (*small(root), generated_changes()[0])}


@pytest.mark.parametrize("way", ["nothing", "names"])
@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("verb", ["prepare", "restore"])
def test_power_is_cut(folder, name, way, verb):
    changes = PLANS[name]
    root = folder + "/root"
    make_root(root)
    before = tree(root)
    if verb == "restore":
        prepare(ToyHost(root), plan_of(*changes(root)))
    disk = PowerDisk(root)
    cuts = []

    def cut():
        where = f"{folder}/left-{disk.count}"
        disk.leave(where, way)
        cuts.append((disk.count, disk.names[-1], where))

    disk.cut = cut
    host = ToyHost(root, tick=disk.tick)
    if verb == "prepare":
        apply_plan(host, plan_of(*changes(root)), meta=META, disk=disk)
        made = tree(root)
    else:
        made = tree(root)
        restore(host, disk=disk)
    assert len(cuts) > 30
    for count, call, where in cuts:
        why = f"cut before call {count} ({call})"
        torn = [
            path
            for path, value in tree(where).items()
            if path.startswith("/etc/") and value[2] is not None and "/.gpuctl-" not in path
            if value not in (before.get(path), made.get(path))
        ]
        assert not torn, why
        outcome = restore(ToyHost(where))
        assert outcome.error is None and not outcome.kept, f"{why}: {outcome}"
        now = tree(where)
        assert {path for path in {*now, *before} if now.get(path) != before.get(path)} == set(), why
