"""`gpuctl lab`: found in a source tree, told where there is none."""

from __future__ import annotations

import json
import subprocess

import pytest

pytest.importorskip("click")

from gpuctl.cli import lab
from gpuctl.cli.main import main


def test_the_source_tree_is_found():
    folder = lab.checkout()
    assert folder is not None
    assert (folder / "pyproject.toml").is_file()


def test_without_a_source_tree_it_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(lab, "checkout", lambda: None)
    assert main(["lab", "up"]) == 1
    assert "clone the source tree, run make bootstrap there" in capsys.readouterr().err  # `make` alone only lists


@pytest.mark.machine
def test_a_lab_that_was_never_started(capfd, tmp_path):
    assert main(["lab", "status", "--state", str(tmp_path / "none"), "-f", "json"]) == 1
    expected = {"schema": "gpuctl.lab.status/1", "state": str(tmp_path / "none"), "up": False, "services": []}
    assert json.loads(capfd.readouterr().out) == expected


def test_why_it_cannot_say_is_on_stderr(monkeypatch, capsys):
    told = subprocess.CompletedProcess([], 1, stdout=b"failed: a port is taken\n")
    monkeypatch.setattr(lab, "_child", lambda *_, **__: told)
    assert main(["lab", "status", "-f", "json"]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", "failed: a port is taken\n")
