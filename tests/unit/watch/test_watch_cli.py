"""`gpuctl host watch ...` and what it installs, with the real archive, in a tree."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

click = pytest.importorskip("click")

from gpuctl.cli.main import main  # noqa: E402
from gpuctl.zipapp import build_zipapp  # noqa: E402
from gpuctl_host.templates.watch import SERVICE, UNITS, request_of, watch_files  # noqa: E402


def test_prometheus_form_and_watch_in_a_tree(tmp_path, capsys):
    root = tmp_path / "tree"
    (root / "sys").mkdir(parents=True)
    (root / "usr/local/lib").mkdir(parents=True)
    assert main(["host", "check", "--root", str(root), "-f", "prom"]) == 1
    assert "gpuctl_host_ready 0\n" in capsys.readouterr().out
    assert main(["host", "watch", "install", "--root", str(root)]) == 2  # nobody to ask
    assert not (root / "etc").exists()
    assert main(["host", "watch", "install", "--root", str(root), "--yes"]) == 0
    archive = root / "usr/local/lib/gpuctl/gpuctl-host.pyz"
    assert b"gpuctl_host/__main__.py" in archive.read_bytes()
    assert archive.stat().st_mode & 0o111
    assert main(["host", "watch", "status", "--root", str(root)]) == 0
    assert "Watched" in capsys.readouterr().out
    assert main(["host", "watch", "remove", "--root", str(root), "--yes"]) == 0
    assert not (root / "etc").exists()
    assert not archive.parent.exists()
    assert main(["host", "watch", "remove", "--root", str(root), "--yes"]) == 2


def test_the_installed_command_writes_the_metrics_and_says_one_line(tmp_path):
    archive = build_zipapp(tmp_path / "gpuctl-host.pyz")
    (tmp_path / "tree/metrics").mkdir(parents=True)
    files = watch_files(archive.read_bytes(), python=sys.executable, vendors=("any",), folder="/metrics")
    request = {**request_of(files[f"{UNITS}/{SERVICE}"].data.decode()), "root": str(tmp_path / "tree")}
    words = [sys.executable, "-I", str(archive), json.dumps(request)]
    ran = subprocess.run(words, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert ran.stderr == ""
    assert ran.stdout.startswith("GPUCTL ")
    assert "; do: " in ran.stdout
    assert "gpuctl_host_ready 0" in (tmp_path / "tree/metrics/gpuctl.prom").read_text()
    (tmp_path / "tree/metrics").rename(tmp_path / "tree/gone")
    ran = subprocess.run(words, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 1
    assert "/metrics/gpuctl.prom" in ran.stderr
