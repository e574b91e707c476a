"""A simulated cloud, and a drain on it without its command line."""

from __future__ import annotations

import pytest


@pytest.fixture
def rig_of(tmp_path, monkeypatch):
    """Make a cloud: ``rig_of(tracking=True)``; its hosts and servers are the test's to add."""
    from tests.unit.moves.drain.rig import made

    clouds = []

    def make(**settings):
        rig = made(tmp_path, monkeypatch, **settings)
        clouds.append(rig.sim)
        return rig

    yield make
    for sim in clouds:
        sim.__exit__(None, None, None)
        assert not sim.happened.bugs
