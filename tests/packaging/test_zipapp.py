"""gpuctl-host.pyz: the same bytes every time, nothing but the host's half and pyudev, and it runs on Python 3.9."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gpuctl import zipapp
from tests.packaging.tree import ROOT

OLD = Path(os.environ.get("GPUCTL_PYTHON39", ROOT / ".cache/py39-venv/bin/python"))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return zipapp.build_zipapp(tmp_path_factory.mktemp("zipapp") / zipapp.NAME)


@pytest.fixture(params=["this Python", "Python 3.9"])
def python(request) -> str:
    if request.param == "this Python":
        return sys.executable
    if not OLD.exists():
        pytest.skip("no Python 3.9 (.ci/bootstrap py39)")
    return str(OLD)


def ask(python: str, archive: Path, request: dict, folder: Path) -> tuple[int, list[dict], str]:
    """What the archive answers to one request, with nothing else to import from."""
    ran = subprocess.run(
        [python, "-I", "-S", str(archive)],
        input=json.dumps(request),
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    return ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr


def test_the_same_input_gives_the_same_bytes(built, tmp_path, monkeypatch):
    copy = tmp_path / "elsewhere"
    spec = zipapp.importlib.util.find_spec("gpuctl_host")
    shutil.copytree(next(iter(spec.submodule_search_locations)), copy / "gpuctl_host", copy_function=shutil.copyfile)
    (copy / "gpuctl_host" / ".secret").write_text("hunter2")
    for path in copy.rglob("*.py"):
        os.utime(path, (1, 1))
    monkeypatch.syspath_prepend(str(copy))
    monkeypatch.delitem(sys.modules, "gpuctl_host", raising=False)
    assert zipapp.importlib.util.find_spec("gpuctl_host").origin.startswith(str(copy))
    assert zipapp.zipapp_bytes() == built.read_bytes()


def test_it_is_executable_and_starts_as_a_script(built):
    assert os.stat(built).st_mode & 0o777 == 0o755
    assert built.read_bytes().startswith(b"#!/usr/bin/env python3\nPK")


def test_it_holds_the_hosts_half_and_pyudev_alone(built):
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        assert "GNU LESSER GENERAL PUBLIC LICENSE" in archive.read("gpuctl_host/_vendor/pyudev/COPYING").decode()
    assert names == sorted(names)
    assert {name.partition("/")[0] for name in names} == {"gpuctl_host", "__main__.py"}
    assert {name.split("/")[2] for name in names if name.startswith("gpuctl_host/_vendor/")} == {
        "__init__.py",
        "pyudev",
    }
    assert not [name for name in names if name.endswith(".pyc") or "__pycache__" in name]


def test_a_failed_build_leaves_the_old_one(built, tmp_path, monkeypatch):
    target = tmp_path / "host.pyz"
    target.write_bytes(b"old")

    def full() -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipapp, "zipapp_bytes", full)
    with pytest.raises(OSError, match="No space"):
        zipapp.build_zipapp(target)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["host.pyz"]


@pytest.mark.packaging
def test_it_answers_a_request(python, built, tmp_path):
    from gpuctl_host import __version__

    code, events, errors = ask(python, built, {"command": "version"}, tmp_path)
    assert code == 0, errors
    assert events[-1]["event"] == "result"
    assert __version__ in json.dumps(events[-1]["document"])


@pytest.mark.packaging
def test_it_reads_a_tree(python, built, tmp_path):
    (tmp_path / "tree/etc").mkdir(parents=True)
    code, events, errors = ask(python, built, {"command": "facts", "root": str(tmp_path / "tree")}, tmp_path)
    assert code == 0, errors
    assert events[-1]["document"]["schema"] == "gpuctl.host.facts/1"
    assert not errors


@pytest.mark.packaging
def test_a_wrong_request_is_an_error_event(python, built, tmp_path):
    code, events, _ = ask(python, built, {"command": "no such"}, tmp_path)
    assert code == 2
    assert events[-1]["event"] == "error"


@pytest.mark.packaging
def test_the_bundled_pyudev_is_the_one_that_is_used(python, built, tmp_path):
    code = (
        "import sys, runpy\n"
        f"sys.path.insert(0, {str(built)!r})\n"
        "import zipimport\n"
        "main = zipimport.zipimporter(sys.path[0]).get_source('__main__').partition('from gpuctl_host')[0]\n"
        "exec(main)\n"
        "import pyudev, pyudev._util\n"
        "print(pyudev.__file__, pyudev.__version__)\n"
    )
    ran = subprocess.run([python, "-I", "-c", code], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"{built}/gpuctl_host/_vendor/pyudev/")


@pytest.mark.packaging
@pytest.mark.parametrize("command", ["facts", "check"])
def test_the_reading_archive_reads_a_prepared_host(tmp_path, command):
    """It goes to every host of a fleet without what only changes import; a host with a record needs most."""
    from gpuctl_host import entry
    from tests.sim import SimHost, worlds

    host = SimHost(worlds.twins(), tmp_path / "tree")
    said: list[dict] = []
    entry.serve({"command": "prepare", "phase": "plan"}, said.append, host=host)
    request = {"command": "prepare", "phase": "apply", "fingerprint": said[-1]["document"]["fingerprint"]}
    entry.serve(request, said.append, host=host)
    assert said[-1]["event"] == "result", said[-1]
    archive = tmp_path / "reading.pyz"
    archive.write_bytes(zipapp.zipapp_bytes(reading=True))
    whole = tmp_path / "whole.pyz"
    whole.write_bytes(zipapp.zipapp_bytes())
    assert archive.stat().st_size < 0.75 * whole.stat().st_size
    asked = {"command": command, "root": str(tmp_path / "tree")}
    answers = []
    for one in (archive, whole):
        code, events, errors = ask(sys.executable, one, asked, tmp_path)
        assert (errors, events[-1]["event"]) == ("", "result"), events[-1]
        answers.append((code, {**events[-1]["document"], "collected_at": ""}))
    assert answers[0] == answers[1]
