"""What holds for every test: where it belongs, how its data is generated, and that it leaves this machine alone."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.guard import Guard

ROOT = Path(__file__).resolve().parents[1]
OPERATOR = re.compile(rb"^\s*(from|import) gpuctl[. \n]", re.MULTILINE)

NEWER_ONLY = ("tests/packaging", "tests/lab/openstack", "tests/e2e", "tests/bench", "tests/docs", "tests/collection")

# Tests in these folders carry the marker without saying so.
FOLDERS = {
    "tests/property": "property",
    "tests/crash": "crash",
    "tests/lab/host": "lab_host",
    "tests/lab/openstack": "lab_openstack",
    "tests/e2e": "e2e",
}
# Tests with these run what they like: their own machine, or this one with their eyes open.
OUTSIDE = ("machine", "packaging", "lab_host", "lab_openstack", "e2e")

guard = Guard(ROOT)


def pytest_configure(config: pytest.Config) -> None:
    """The host's half comes from the checkout, also where it is not installed (Python 3.9); the guard is up."""
    if sys.version_info < (3, 11):
        sys.path.insert(0, str(ROOT / "host_prep"))
    sys.addaudithook(guard.hear)
    _profiles()


def _profiles() -> None:
    """Hypothesis: the same examples in CI every time; more of them with HYPOTHESIS_PROFILE=deep."""
    try:
        from hypothesis import HealthCheck, settings
    except ImportError:
        return
    common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
    settings.register_profile("dev", max_examples=100, **common)
    settings.register_profile("ci", max_examples=100, derandomize=True, **common)
    settings.register_profile("deep", max_examples=5000, **common)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Below 3.11 only the host's half exists: what is about the operator's, or about the sources, is left out."""
    if sys.version_info >= (3, 11):
        return None
    if collection_path.is_dir():
        return True if collection_path.relative_to(ROOT).as_posix() in NEWER_ONLY else None
    if collection_path.suffix == ".py" and collection_path.name.startswith("test_"):
        return True if OPERATOR.search(collection_path.read_bytes()) else None
    return None


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test in one of FOLDERS gets that folder's marker."""
    where = item.path.relative_to(ROOT).as_posix() if item.path.is_relative_to(ROOT) else ""
    for folder, marker in FOLDERS.items():
        if where.startswith(folder + "/"):
            item.add_marker(marker)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> object:
    """The guard watches every test but those that say they run commands of a machine."""
    guard.watching = not any(item.get_closest_marker(marker) for marker in OUTSIDE)
    try:
        return (yield)
    finally:
        guard.watching = False
