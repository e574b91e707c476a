"""A full disk, a read-only file system and a broken one, at every system call that changes something."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import shutil
import signal
import subprocess

import pytest

from gpuctl_host.apply.recover import recover
from gpuctl_host.errors import GpuctlError
from tests.unit.apply.faults import FailingDisk
from tests.unit.apply.plans import file_changes, plan_of, prepare, restore
from tests.unit.apply.toy import ToyHost
from tests.unit.apply.trees import tree

from .test_kills import Bed, leftovers

PLANS = ("files on a tree", "everything at once")


@pytest.fixture(params=PLANS)
def bed(request, folder):
    return Bed(folder, request.param)


def attempt(work, disk):
    """Run it; return its outcome or its error, of which there is one kind only."""
    try:
        return work(disk)
    except GpuctlError as error:
        assert error.brief and "Traceback" not in error.details
        return error


@pytest.mark.parametrize(
    ("number", "stays"),
    [(errno.EIO, False), (errno.ENOSPC, True), (errno.EROFS, True)],
    ids=["EIO once", "ENOSPC", "EROFS"],
)
def test_a_prepare_that_meets_it_is_taken_back(bed, number, stays):
    for at in itertools.count(1):
        bed.fresh(bed.stock)
        disk = FailingDisk(at, number, stays=stays)
        answer = attempt(bed.prepare, disk)
        if not disk.failed:
            break
        why = f"failed at {at} ({disk.names[-1]}): {answer}"
        assert not bed.is_torn(), why
        if not isinstance(answer, GpuctlError) and answer.error is None:
            bed.check_after(why)  # only the audit line or the collecting of blobs can fail without harm
        elif not stays:
            now = tree(bed.work)
            named = isinstance(answer, GpuctlError) or answer.problems
            assert named or now == bed.before, why
        # With the disk in order again everything goes back.
        recover(bed.host())
        outcome = bed.restore()
        assert outcome.error is None and not outcome.kept, f"{why}, then {outcome}"
        bed.check_before(why)
    assert at > 20


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS], ids=["ENOSPC", "EROFS"])
def test_a_restore_that_meets_it_goes_on_later(bed, number):
    for at in itertools.count(1):
        bed.fresh(bed.prepared)
        disk = FailingDisk(at, number, stays=True)
        answer = attempt(bed.restore, disk)
        if not disk.failed:
            break
        assert not bed.is_torn(), f"failed at {at}"
        outcome = bed.restore()
        assert outcome.error is None and not outcome.kept, f"failed at {at}: {answer}, then {outcome}"
        bed.check_before(f"failed at {at}: {answer}")


def test_no_room_for_the_before_images_is_said_before_anything_is_done(bed, monkeypatch):
    bed.fresh(bed.stock)
    real = os.statvfs

    def small(path):
        found = list(real(path))
        found[4] = 10  # f_bavail
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", small)
    with pytest.raises(GpuctlError, match="not enough room"):
        bed.prepare()
    bed.check_before("no room")


def test_files_may_not_grow_beyond_a_limit(folder):
    """A real limit of the kernel in place of an injected one: EFBIG comes out of write(2) itself."""
    bed = Bed(folder, "files and images")
    bed.fresh(bed.stock)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))
        try:
            outcome = bed.prepare()
            os._exit(0 if outcome.error else 3)
        except GpuctlError:
            os._exit(0)
        except BaseException:  # noqa: BLE001 - it is the child's exit status
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    bed.restore()
    bed.check_before("a file size limit")


@pytest.mark.machine
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs root and mount(8)")
def test_a_real_file_system_of_64_kib_is_full(folder):
    """The same on a tmpfs that is really full."""
    from tests.unit.apply.toy import make_root

    where = f"{folder}/tiny"
    os.mkdir(where)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,nr_inodes=400", "tmpfs", where], check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        root = f"{where}/root"
        make_root(root)
        before = tree(root)
        for room in range(0, 200 * 1024, 4096):
            # Everything but ``room`` bytes is taken, after the run has looked whether there is room.
            host = ToyHost(root, live=False)
            filler = f"{where}/filler"

            def fill(room=room, filler=filler):
                free = os.statvfs(where).f_bavail * os.statvfs(where).f_frsize
                with open(filler, "wb") as file:
                    file.write(b"x" * max(0, free - room))

            class Filling(FailingDisk):
                def act(self, name):
                    if name == "append" and not os.path.exists(f"{where}/filler"):
                        fill()

            try:
                prepare(host, plan_of(*file_changes(root)), Filling(0, 0))
            except GpuctlError as error:
                assert "No space left" in error.brief
            os.unlink(filler)
            recover(host)
            restore(host)
            assert tree(root) == before and not leftovers(root)
            shutil.rmtree(f"{root}/var")
    finally:
        subprocess.run(["umount", "-l", where], check=False)
