"""What is run on a host, run here in a shell: the archive, Python's search, the ends it can come to."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest

from gpuctl.remote import loader
from gpuctl.remote.answer import Words


def run(request, *, path=None, shell=("sh", "-c"), env=None):
    environment = {"PATH": path or os.environ["PATH"], **(env or {})}
    ran = subprocess.run(
        [*shell, loader.command("")],
        input=b"".join(loader.pieces(request)),
        capture_output=True,
        check=False,
        env=environment,
    )
    words = Words()
    words.feed(ran.stdout)
    words.end()
    return ran, words


@pytest.fixture
def path_with(tmp_path):
    """A PATH with sh and these stand-ins for python3 alone."""

    def make(**scripts):
        for name, text in {"sh": '#!/bin/sh\nexec /bin/sh "$@"\n', **scripts}.items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        return str(tmp_path)

    return make


def test_the_hosts_half_answers():
    ran, words = run({"command": "version"})
    assert ran.returncode == 0, ran.stderr
    assert set(words.last["document"]) == {"version"}


def test_an_error_of_the_hosts_half_is_its_answer():
    ran, words = run({"command": "nonsense"})
    assert ran.returncode == 2
    assert words.last["event"] == "error"


@pytest.mark.parametrize("character", ["\n", "!", "\\"])
def test_the_command_line_survives_every_login_shell(character):
    assert character not in loader.command("sudo -n")
    assert loader.command("").count("'") == 2


def test_the_command_line_is_constant():
    with pytest.raises(ValueError, match="become"):
        loader.command("sudo -u $USER")


def test_an_old_python_is_passed_over(path_with):
    path = path_with(
        python3=f"#!/bin/sh\nexit {loader.TOO_OLD}\n", **{"python3.11": f'#!/bin/sh\nexec {sys.executable} "$@"\n'}
    )
    ran, words = run({"command": "version"}, path=path)
    assert ran.returncode == 0, ran.stderr
    assert words.last["event"] == "result"


def test_no_python_has_a_status_of_its_own(path_with):
    path = path_with(**{f"python3.{minor}": f"#!/bin/sh\nexit {loader.TOO_OLD}\n" for minor in range(9, 15)})
    if os.path.exists("/usr/libexec/platform-python") or os.path.exists("/usr/local/bin/python3"):
        pytest.skip("a Python at a fixed place that is looked at")
    assert run({"command": "version"}, path=path)[0].returncode == loader.NONE_FOUND


def test_a_connection_that_breaks_is_no_archive():
    whole = b"".join(loader.pieces({"command": "version"}))
    ran = subprocess.run(["sh", "-c", loader.command("")], input=whole[:50_000], capture_output=True, check=False)
    assert b"before the archive was whole" in ran.stderr
    assert b"result" not in ran.stdout


def test_without_memfd_a_private_folder_is_used_and_removed(tmp_path, path_with, monkeypatch):
    seen = tmp_path / "seen"
    monkeypatch.setattr(
        loader,
        "_LOADER",
        b"import os, atexit\ndel os.memfd_create\n"
        + loader._LOADER.replace(
            b"    code = main()",
            f"    open({str(seen)!r}, 'w').write('%s %o' % (path, os.stat(aside).st_mode))\n    code = main()".encode(),
        ),
    )
    loader._carried.cache_clear()
    try:
        place = tmp_path / "tmp"
        place.mkdir()
        ran, words = run({"command": "version"}, env={"TMPDIR": str(place)})
    finally:
        monkeypatch.undo()
        loader._carried.cache_clear()
    assert words.last["event"] == "result", ran.stderr
    where, mode = seen.read_text().split()
    assert where.startswith(str(place))
    assert stat.S_IMODE(int(mode, 8)) == 0o700
    assert list(place.iterdir()) == []


def test_noise_around_the_answer_is_tolerated():
    heard = []
    words = Words(heard.append)
    answer = json.dumps({"event": "result", "document": {"a": 1}, "exit_code": 0})
    words.feed(
        b'Welcome!\n{not json}\n[1]\n{"event": "other"}\n\n{"event": "progress", "text": "x"}\n' + answer[:10].encode()
    )
    words.feed(answer[10:].encode() + b"\nbye")
    words.end()
    assert words.last["document"] == {"a": 1}
    assert [event["text"] for event in heard] == ["x"]
    assert "Welcome!" in words.noise
    assert "bye" in words.noise


def test_an_open_line_before_the_answer_does_not_spoil_it():
    shell = ("sh", "-c", "printf 'no newline'; eval \"$0\"")
    assert run({"command": "version"}, shell=shell)[1].last["event"] == "result"


def test_endless_noise_is_not_kept():
    words = Words()
    for _ in range(100):
        words.feed(b"x" * 1000 + b"\n")
    assert len(words.noise) < 5000
