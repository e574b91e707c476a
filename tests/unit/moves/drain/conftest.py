"""A simulated cloud, and a drain on it without its command line."""

from __future__ import annotations

import sys

import pytest

# The operator's half is for 3.11 and newer.
collect_ignore_glob = ["test_*.py"] if sys.version_info < (3, 11) else []


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
