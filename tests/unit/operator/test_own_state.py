"""What gpuctl keeps below XDG_STATE_HOME: one process at a time, line by line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gpuctl import own_state


@pytest.mark.parametrize("state", ["", "state", "~/state"])
def test_a_state_home_that_is_not_absolute_is_not_heeded(monkeypatch, state):
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("HOME", "/home/me")
    assert own_state.folder("moves", "one") == Path("/home/me/.local/state/gpuctl/moves/one")


def test_the_lock_is_one_processs_and_names_it(tmp_path):
    path = tmp_path / "new" / "one.lock"
    held = own_state.lock(path)
    for other in (own_state.lock, own_state.refuse_held):
        with pytest.raises(own_state.Held) as error:
            other(path)
        assert error.value.pid == str(os.getpid())
    os.close(held)
    own_state.refuse_held(path)
    os.close(own_state.lock(path))
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_lock_that_could_not_be_taken_is_nobodys(tmp_path, monkeypatch):
    path = tmp_path / "one.lock"
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", _no_space)
        with pytest.raises(OSError, match="No space"):
            own_state.lock(path)
    os.close(own_state.lock(path))


def test_a_look_makes_nothing(tmp_path):
    own_state.refuse_held(tmp_path / "none" / "one.lock")
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_was_cut_off_has_its_end(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b'{"one": 1}\n{"tw')
    file = own_state.open_lines(path)
    own_state.add_line(file, b"{}")
    os.close(file)
    assert path.read_bytes() == b'{"one": 1}\n{"tw\n{}\n'


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_no_line_grows_on_half_of_another(tmp_path, monkeypatch, call):
    path = tmp_path / "lines"
    file = own_state.open_lines(path)
    own_state.add_line(file, b"first")
    with monkeypatch.context() as patch:
        write, said = os.write, []

        def half(to: int, data: bytes) -> int:
            if said:
                _no_space()
            said.append(data)
            return write(to, data[:3])

        patch.setattr(os, call, half if call == "write" else _no_space)
        with pytest.raises(OSError, match="No space"):
            own_state.add_line(file, b"second")
    own_state.add_line(file, b"third")
    os.close(file)
    assert path.read_bytes() == b"first\nthird\n"


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
