"""Files, replaced whole or not at all; links replaced as links; nothing outside the root."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from gpuctl_host.apply.blobs import Blobs
from gpuctl_host.apply.files import DiskFailed, Files
from gpuctl_host.facts.model import FileState

from .faults import CountingDisk, FailingDisk
from .plans import state
from .toy import ToyHost
from .trees import link, read, tree, write


@pytest.fixture
def files(root):
    return Files(ToyHost(root))


def test_a_file_is_on_disk_before_it_has_its_name(root):
    disk = CountingDisk()
    Files(ToyHost(root), disk).put("/etc/default/grub", state("new\n", 0o640))
    names = [name for name in disk.names if name != "chown"]
    assert names == ["create", "chmod", "fsync", "rename", "fsync_folder"]
    assert stat.S_IMODE(os.stat(root + "/etc/default/grub").st_mode) == 0o640


def test_a_link_is_replaced_and_not_followed(files, root):
    files.put("/etc/alias", state("a file now\n"))
    assert read(root, "/etc/default/grub") == b"GRUB_CMDLINE_LINUX_DEFAULT=quiet\n"
    assert not os.path.islink(root + "/etc/alias")
    files.put("/etc/alias", FileState(b"/nowhere", is_link=True))
    assert os.readlink(root + "/etc/alias") == "/nowhere"
    assert files.state("/etc/alias").is_link and files.seen("/etc/alias").image.is_link
    files.remove("/etc/alias")
    assert not files.is_there("/etc/alias")


def test_a_folder_behind_a_link_stays_below_the_root(files, root, folder):
    os.mkdir(folder + "/outside")
    link(root, "/etc/gpuctl", folder + "/outside")  # absolute: below the root it leads nowhere
    with pytest.raises(DiskFailed):
        files.put("/etc/gpuctl/cards", state("x"))
    os.unlink(root + "/etc/gpuctl")
    link(root, "/etc/gpuctl", "../../../../../../etc/default")
    files.put("/etc/gpuctl/cards", state("x"))
    assert read(root, "/etc/default/cards") == b"x" and not os.listdir(folder + "/outside")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("at", range(1, 6))
def test_a_failing_call_leaves_the_old_file(root, at, number):
    before = tree(root)
    disk = FailingDisk(at, number)
    if number == errno.ENOSPC and at == 5:
        return  # the fsync of a folder needs no room
    with pytest.raises(DiskFailed) as caught:
        Files(ToyHost(root), disk).put("/etc/modprobe.d/old.conf", state("new\n", 0o600))
    assert caught.value.errno == number and "/etc/modprobe.d/old.conf" in caught.value.brief and caught.value.resolution
    after = tree(root)
    if disk.names[-1] == "fsync_folder" or at == 5:
        assert read(root, "/etc/modprobe.d/old.conf") in (b"new\n", b"blacklist pcspkr\n")
    else:
        assert after == before


def test_short_writes_are_gone_on_with(root):
    class Short(CountingDisk):
        def write(self, fd, data):
            return os.write(fd, data[:3])

    Files(ToyHost(root), Short()).put("/etc/x", state("a long line\n"))
    assert read(root, "/etc/x") == b"a long line\n"


@pytest.mark.parametrize("path", ["/etc/default", "/proc/sys"])
def test_a_folder_is_no_file(files, path):
    for work in (files.state, files.seen, lambda path: files.put(path, state("x")), files.remove):
        with pytest.raises(DiskFailed):
            work(path)


def test_a_fifo_does_not_block(files, root):
    os.mkfifo(root + "/etc/fifo")
    with pytest.raises(DiskFailed, match="neither a file nor a link"):
        files.state("/etc/fifo")


def test_attributes_of_the_old_file_are_kept(files, root):
    try:
        os.setxattr(root + "/etc/default/grub", "user.gpuctl", b"label")
    except OSError:
        pytest.skip("no extended attributes here")
    files.put("/etc/default/grub", state("new\n"))
    assert os.getxattr(root + "/etc/default/grub", "user.gpuctl") == b"label"


def test_the_broom_takes_our_temporary_files_alone(files, root):
    for name in (".gpuctl-0a1b2c3d.tmp", ".other.tmp", ".gpuctl-notes", "gpuctl.tmp"):
        write(root, f"/etc/modprobe.d/{name}", "x")
    files.sweep(["/etc/modprobe.d", "/nowhere"])
    assert sorted(os.listdir(root + "/etc/modprobe.d")) == [".gpuctl-notes", ".other.tmp", "gpuctl.tmp", "old.conf"]


def test_folders_that_hold_something_stay(files, root):
    made = files.missing_folders("/etc/a/b/c/file")
    assert made == ("/etc/a", "/etc/a/b", "/etc/a/b/c")
    files.make_folders(made)
    write(root, "/etc/a/theirs", "x")
    assert files.drop_folders(made) == ("/etc/a/b/c", "/etc/a/b")


def test_a_blob_is_what_its_name_says(files, root):
    blobs = Blobs(files)
    files.make_folders(files.missing_folders("/var/lib/gpuctl/blobs/x"))
    image = blobs.keep_file("/boot/grub/grub.cfg")
    files.put("/boot/grub/grub.cfg", state("other\n"))
    blobs.put_back("/boot/grub/grub.cfg", image)
    assert read(root, "/boot/grub/grub.cfg") == b"linux quiet\n"
    assert stat.S_IMODE(os.stat(root + "/boot/grub/grub.cfg").st_mode) == 0o444


def test_a_file_that_grows_while_it_is_kept_is_refused(root):
    class Growing(CountingDisk):
        def create(self, real):
            with open(root + "/boot/grub/grub.cfg", "ab") as file:
                file.write(b"more")
            return super().create(real)

    files = Files(ToyHost(root), Growing())
    files.make_folders(files.missing_folders("/var/lib/gpuctl/blobs/x"))
    with pytest.raises(DiskFailed, match="changes while it is copied"):
        Blobs(files).keep_file("/boot/grub/grub.cfg")
    assert not os.listdir(root + "/var/lib/gpuctl/blobs")
