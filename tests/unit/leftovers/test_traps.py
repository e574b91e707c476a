"""Rules of safety, by the attack or the accident that they are there for: links in what is moved and deleted, files that
will not go, and folders that are exchanged under us. A canary outside must never change.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress

import pytest

from gpuctl_host.apply import quarantine as writer
from gpuctl_host.apply.folder_disk import FolderDisk
from gpuctl_host.apply.outcome import site_of
from gpuctl_host.apply.removal import remove_tree
from gpuctl_host.leftovers.folder import INSTANCES, OPEN_FOLDER, open_place
from gpuctl_host.leftovers.proof import Verdict
from gpuctl_host.leftovers.quarantined import read_quarantine
from gpuctl_host.leftovers.survey import read_entries
from tests.unit.leftovers.kit import (
    ONE,
    QUARANTINE,
    RESIZE,
    THREE,
    TWO,
    ask,
    instance,
    plan,
    proof,
    quarantine,
    read,
    shelf,
    tree,
    write,
)

# ---------------------------------------------------------------- links, hard links, files that will not go


def test_links_in_it_are_deleted_and_not_followed(root, host, tmp_path):
    os.symlink(tmp_path / "canary", f"{root}{RESIZE}/canary")
    os.symlink("/", f"{root}{RESIZE}/rootdir")
    os.symlink(f"../{TWO}", f"{root}{RESIZE}/neighbour")
    before = {path: value for path, value in tree(root).items() if f"{ONE}_resize" not in path}
    quarantine(host)
    _, code = ask(host, phase="purge", older_than_s=0)
    assert code == 0
    assert tree(root) == before
    assert read(tmp_path / "canary/precious") == "alive\n"


def test_a_link_that_took_a_folders_place_before_it_is_deleted_is_not_entered(tmp_path):
    """The look says folder, the open meets a link: O_NOFOLLOW is what stands between."""
    write(tmp_path, "/canary/precious", "alive\n")
    os.mkdir(tmp_path / "run")
    os.symlink("../canary", tmp_path / "run/doomed")
    parent = os.open(tmp_path / "run", os.O_RDONLY)
    try:
        assert remove_tree(FolderDisk(), parent, "doomed")
        with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
            os.close(os.open("doomed", OPEN_FOLDER, dir_fd=parent))
    finally:
        os.close(parent)
    assert read(tmp_path / "canary/precious") == "alive\n"


def test_a_hard_link_in_it_leaves_the_other_name_alone(root, host, tmp_path):
    os.link(tmp_path / "canary/precious", f"{root}{RESIZE}/innocent")
    before = os.stat(tmp_path / "canary/precious")
    assert "hard link" in plan(host)["leftovers"][0]["notes"][0]
    quarantine(host)
    ask(host, phase="purge", older_than_s=0)
    after = os.stat(tmp_path / "canary/precious")
    assert (after.st_mode, after.st_uid, after.st_nlink, after.st_size) == (
        before.st_mode,
        before.st_uid,
        1,
        before.st_size,
    )


def test_an_immutable_file_is_named_and_the_next_purge_ends_it(root, host):
    quarantine(host)

    class Immutable(FolderDisk):
        def unlink_at(self, folder, name):
            if name == "disk.info":
                raise PermissionError(1, "Operation not permitted")
            super().unlink_at(folder, name)

    document, code = ask(host, Immutable(), phase="purge", older_than_s=0)
    assert (code, document["results"][0]["state"]) == (1, "failed")
    assert "disk.info" in document["results"][0]["detail"] and "lsattr" in document["results"][0]["detail"]
    assert document["quarantine"][0]["state"] == "purging"
    assert ask(host, phase="restore", uuids=[ONE])[1] == 3  # half deleted: nothing to give back
    document, code = ask(host, phase="purge")  # it had begun: its age no longer counts
    assert (code, document["results"][0]["state"], shelf(root)) == (0, "purged", {})


def test_no_room_for_the_record_means_no_move(root, host):
    before = tree(root)

    class Full(FolderDisk):
        def create_at(self, folder, name):
            raise OSError(28, "No space left on device")

    agreed = plan(host)["fingerprint"]
    document, code = ask(host, Full(), phase="quarantine", uuids=[ONE], proof=proof(ONE), fingerprint=agreed)
    assert (code, document["results"][0]["state"]) == (1, "failed")
    assert tree(root) == before


def test_a_thing_in_quarantine_that_no_run_of_ours_left_is_left(root, host):
    quarantine(host)
    (run,) = shelf(root)
    instance(root, f"{QUARANTINE}/{run}/{THREE}_resize")
    instance(root, f"{QUARANTINE}/not-a-run/{THREE}_resize")
    document, _ = ask(host, phase="purge", older_than_s=0)
    assert [result["uuid"] for result in document["results"]] == [ONE]
    assert document["kept"][0]["why"] == "it is strange"
    assert os.path.isdir(f"{root}{INSTANCES}/{QUARANTINE}/not-a-run/{THREE}_resize")


# ---------------------------------------------------------------- exchanged under us


@pytest.mark.parametrize("trap", ["link", "folder", "gone"])
def test_renamed_under_us_between_the_look_and_the_move(root, host, tmp_path, trap):
    class Exchanged(FolderDisk):
        def rename_at(self, folder, old, to, new):
            if old == ONE + "_resize":
                os.rename(f"{root}{RESIZE}", f"{root}{INSTANCES}/away")
                if trap == "link":
                    os.symlink(tmp_path / "canary", f"{root}{RESIZE}")
                elif trap == "folder":
                    instance(root, ONE + "_resize", files=("another",))
            super().rename_at(folder, old, to, new)

    agreed = plan(host)["fingerprint"]
    with pytest.MonkeyPatch.context() as patch:
        # The keeper's own way back is the same call: only the first is exchanged.
        patch.setattr(writer.Keeper, "put_back", _once(writer.Keeper.put_back, Exchanged))
        document, code = ask(host, Exchanged(), phase="quarantine", uuids=[ONE], proof=proof(ONE), fingerprint=agreed)
    assert (code, document["results"][0]["state"]) == (1, "failed")
    assert shelf(root) == {}
    assert read(f"{root}{INSTANCES}/away/disk")
    assert read(tmp_path / "canary/precious") == "alive\n"
    if trap == "folder":
        assert read(f"{root}{RESIZE}/another")
    assert os.path.islink(f"{root}{RESIZE}") == (trap == "link")


def _once(original, exchanged):
    def put_back(self, fd, name):
        exchanged.rename_at = FolderDisk.rename_at
        return original(self, fd, name)

    return put_back


def test_a_link_swapped_in_a_loop_by_another_thread_catches_nothing(root, host, tmp_path):
    """The folder and a link to the canary change places as fast as they can, while it is looked at, moved and deleted."""
    stop = threading.Event()
    real, away, trap = f"{root}{RESIZE}", f"{root}{INSTANCES}/away", f"{root}{INSTANCES}/trap"

    def swap():
        while not stop.is_set():
            for act in (
                lambda: os.rename(real, away),
                lambda: os.symlink(tmp_path / "canary", trap),
                lambda: os.rename(trap, real),
                lambda: os.unlink(real),
                lambda: os.rename(away, real),
            ):
                with suppress(OSError):
                    act()
            time.sleep(chance.random() / 500)  # long enough for a whole look and move, now and then

    chance = random.Random(1)
    came = Counter()
    site, disk = site_of(host, FolderDisk()), FolderDisk()
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(4000):
            if came["quarantined"] >= 20 and came["failed"] >= 5:
                break
            with open_place(host, INSTANCES) as place:
                keeper = writer.Keeper(site, place, disk)
                entry = next((one for one in read_entries(place, []) if one.name == ONE + "_resize"), None)
                if entry is None or entry.problem:
                    came["seen through"] += 1
                    continue
                with keeper.begin() as (run, fd):
                    result = keeper.put_in(run, fd, Verdict(ONE, "resize", entry.name, entry, None, ()), {"at": "now"})
                came[result.state] += 1
                for record in read_quarantine(place):
                    state = (keeper.purge if came["quarantined"] % 2 else keeper.restore)(record).state
                    came[state + " from quarantine"] += 1
                if not any(os.path.isdir(path) and not os.path.islink(path) for path in (real, away)):
                    with suppress(OSError):  # it was deleted: another takes its place
                        instance(root, "fresh")
                        os.rename(f"{root}{INSTANCES}/fresh", away)
    finally:
        stop.set()
        thread.join()
    assert came["quarantined"] >= 20 and came["failed"] >= 5, came
    assert os.listdir(tmp_path / "canary") == ["precious"], came
    assert read(tmp_path / "canary/precious") == "alive\n"
    assert read(f"{root}{INSTANCES}/{TWO}/disk")
    assert not any(files for _, _, files in os.walk(f"{root}{INSTANCES}/{QUARANTINE}") if "precious" in files)
