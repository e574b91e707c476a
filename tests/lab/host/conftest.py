"""The lab's tests import it as tests.lab.host, from the repository's root; no product code is needed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).resolve().parents[3])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)


# the lab is for the tests' own Python; below it (where the host's half alone is tested) there is nothing to collect
collect_ignore_glob = ["test_*.py"] if sys.version_info < (3, 11) else []


def pytest_configure(config: pytest.Config) -> None:
    """The marker is known even where the project's own settings are not read."""
    config.addinivalue_line("markers", "lab_host: boots a real Debian in QEMU; takes minutes")
    config.addinivalue_line("markers", "timeout(seconds): of pytest-timeout, where that is installed")
