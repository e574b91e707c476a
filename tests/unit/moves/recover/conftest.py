"""A cloud in memory with two hosts and a server with a card; an operator who runs statements; hosts that can be looked at."""

from __future__ import annotations

import pytest


@pytest.fixture
def rig(tmp_path, monkeypatch):
    """Make a Rig: ``rig(release=34, tracking=True, database=True, hosts=True)``."""
    from tests.unit.moves.recover.rig import Rig

    monkeypatch.setattr("gpuctl.cloud.pause", lambda seconds: None)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_TOKEN", "OS_REGION_NAME", "GPUCTL_NOVA_DB"):
        monkeypatch.delenv(name, raising=False)
    made = []

    def make(**settings):
        one = Rig(tmp_path, **settings)
        made.append(one)
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(one.cloud.clouds_yaml(tmp_path)))
        monkeypatch.setenv("OS_CLOUD", "sim")
        return one

    yield make
    for one in made:
        one.close()
