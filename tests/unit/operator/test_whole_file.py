"""Files are whole or as they were; what is no file is never replaced."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from gpuctl.whole_file import write_whole


def test_it_is_there_with_its_mode_and_nothing_beside_it(tmp_path):
    write_whole(tmp_path / "a", b"one", mode=0o600)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    write_whole(tmp_path / "a", b"two")
    assert ((tmp_path / "a").read_bytes(), stat.S_IMODE((tmp_path / "a").stat().st_mode)) == (b"two", 0o600)
    assert os.listdir(tmp_path) == ["a"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "kept").write_text("old")
    (tmp_path / "link").symlink_to("kept")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "kept").read_text() == "new"


def test_a_pipe_is_written_to_and_stays(tmp_path):
    """By root, a rename over /dev/null would take it from the whole machine: it happened."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"said")
    reader.join(10)
    assert heard == [b"said"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_what_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_known_hosts_in_a_pipe_are_refused(tmp_path):
    from gpuctl.remote import known_hosts
    from gpuctl.remote.errors import BadSshConfig

    os.mkfifo(tmp_path / "null")
    with pytest.raises(BadSshConfig, match="keeps no host keys"):
        known_hosts.rewrite(tmp_path / "null", add=["gpu1 ssh-ed25519 AAAA"])
    assert stat.S_ISFIFO((tmp_path / "null").stat().st_mode)
