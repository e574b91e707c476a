"""Sphinx builds the documentation without a warning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.packaging
def test_sphinx_has_nothing_to_say(tmp_path):
    made = subprocess.run(
        [sys.executable, ".ci/bootstrap", "docs"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if made.returncode == 69:
        pytest.skip("no Python for the documentation's environment here")
    assert made.returncode == 0, made.stderr
    argv = [
        ".cache/docs-venv/bin/python",
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "docs",
        str(tmp_path),
    ]
    built = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    assert (tmp_path / "index.html").stat().st_size > 5000
