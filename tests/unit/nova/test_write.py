"""Files are written whole or not at all, and nobody else's is overwritten."""

import pathlib

import pytest

from gpuctl.nova.config.header import MARK
from gpuctl.nova.config.write import write_files
from gpuctl.nova.problem import Problem

OURS = f"{MARK} for Nova 2026.1\n\n[pci]\n"


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_files_are_there_and_nothing_else_and_a_second_run_changes_nothing(tmp_path):
    files = {"compute.conf": OURS, "nova/gpu1/nova.conf": OURS + "a\n"}
    assert len(write_files(tmp_path / "out", files, force=False)) == 2
    assert listing(tmp_path / "out") == ["compute.conf", "nova/gpu1/nova.conf"]
    assert write_files(tmp_path / "out", files, force=False) == ()
    changed = write_files(tmp_path / "out", {**files, "compute.conf": OURS + "b\n"}, force=False)
    assert [pathlib.Path(name).name for name in changed] == ["compute.conf"]


def test_a_strangers_file_stays_and_so_do_all_others(tmp_path):
    (tmp_path / "api.conf").write_text("[DEFAULT]\n")
    with pytest.raises(Problem) as caught:
        write_files(tmp_path, {"compute.conf": OURS, "api.conf": OURS}, force=False)
    assert caught.value.exit_code == 3
    assert "api.conf" in caught.value.brief
    assert listing(tmp_path) == ["api.conf"]
    assert (tmp_path / "api.conf").read_text() == "[DEFAULT]\n"
    write_files(tmp_path, {"api.conf": OURS}, force=True)
    assert (tmp_path / "api.conf").read_text() == OURS


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_no_file_of_ours_is_a_strangers(tmp_path, kind):
    place = tmp_path / "api.conf"
    (tmp_path / "real").write_text(OURS)
    if kind == "link":
        place.symlink_to(tmp_path / "real")
    else:
        place.mkdir()
    with pytest.raises(Problem):
        write_files(tmp_path, {"api.conf": OURS + "x"}, force=False)
    assert (tmp_path / "real").read_text() == OURS


def test_when_one_cannot_be_written_the_old_ones_stay_and_no_scrap_is_left(tmp_path):
    write_files(tmp_path, {"compute.conf": OURS}, force=False)
    (tmp_path / "nova").write_text("a file where a folder has to be")
    with pytest.raises(Problem) as caught:
        write_files(tmp_path, {"compute.conf": OURS + "new\n", "nova/x.conf": OURS}, force=True)
    assert caught.value.exit_code == 1
    assert (tmp_path / "compute.conf").read_text() == OURS
    assert listing(tmp_path) == ["compute.conf", "nova"]
