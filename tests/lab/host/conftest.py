"""The lab's tests import it as tests.lab.host, from the repository's root; test_lab.py needs no product code."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = str(Path(__file__).resolve().parents[3])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

# what is not worth its minutes in every `make test`
FULL = bool(os.environ.get("GPUCTL_LAB_FULL"))
BROKEN = pytest.StashKey[str]()

# the lab is for the tests' own Python; below it (where the host's half alone is tested) there is nothing to collect
collect_ignore_glob = ["test_*.py"] if sys.version_info < (3, 11) else []


def pytest_configure(config: pytest.Config) -> None:
    """The markers are known even where the project's own settings are not read."""
    config.addinivalue_line("markers", "lab_host: boots a real Debian in QEMU; takes minutes")
    config.addinivalue_line("markers", "timeout(seconds): of pytest-timeout, where that is installed")
    config.addinivalue_line("markers", "story: the tests of a class are the steps of one story, in their order")
    config.addinivalue_line("markers", "aside: a step of a story that changes nothing: the story goes on without it")
    config.addinivalue_line("markers", "full: only with GPUCTL_LAB_FULL=1")


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """A step that fails is remembered: what follows would only tell of the same."""
    failed = call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception)
    if failed and item.parent is not None and item.get_closest_marker("story") and not item.get_closest_marker("aside"):
        item.parent.stash.setdefault(BROKEN, item.name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Nothing is asked of a host whose story has gone wrong."""
    if item.get_closest_marker("full") and not FULL:
        pytest.skip("takes minutes more: GPUCTL_LAB_FULL=1")
    if item.parent is not None and item.get_closest_marker("story"):
        broken = item.parent.stash.get(BROKEN, None)
        if broken is not None:
            pytest.skip(f"{broken}, an earlier step of this story, failed")


@pytest.fixture(scope="session")
def rig() -> None:
    """The disk and the newer QEMU are there, else the test is skipped with the reason."""
    from tests.lab.host.build import build
    from tests.lab.host.packages import LabUnavailable

    try:
        build()
    except LabUnavailable as error:
        pytest.skip(f"lab: {error}")
