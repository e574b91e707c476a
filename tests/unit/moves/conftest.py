"""A cloud in memory, and a connection to it."""

from __future__ import annotations

import sys

import pytest

# The operator's half is for 3.11 and newer.
collect_ignore_glob = ["*/test_*.py"] if sys.version_info < (3, 11) else []


@pytest.fixture
def sim(tmp_path, monkeypatch):
    """Make a cloud: ``sim(release=34, tracking=True)``; named in the environment, and never waited for."""
    from tests.sim.cloud import MovesSim

    monkeypatch.setattr("gpuctl.cloud.pause", lambda seconds: None)
    made = []

    def make(**settings):
        cloud = MovesSim(**{"release": 34, "tracking": True, **settings})
        cloud.__enter__()
        made.append(cloud)
        for name in ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_TOKEN", "OS_REGION_NAME", "GPUCTL_NOVA_DB"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml(tmp_path)))
        monkeypatch.setenv("OS_CLOUD", "sim")
        return cloud

    yield make
    for cloud in made:
        cloud.__exit__(None, None, None)
