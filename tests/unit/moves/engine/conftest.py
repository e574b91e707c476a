from __future__ import annotations

import pytest


@pytest.fixture
def rig_of(tmp_path, monkeypatch):
    """Make a cloud with these settings: gpu-a, gpu-b, gpu-c with three gtx1080 and two h100 each."""
    from tests.sim.cloud import MovesSim
    from tests.unit.moves.engine.kit import made  # the operator's half: not there below 3.11

    clouds = []

    def make(**settings):
        sim = MovesSim(**settings).__enter__()
        clouds.append(sim)
        for name in ("gpu-a", "gpu-b", "gpu-c"):
            sim.add_host(name)
        return made(sim, tmp_path, monkeypatch)

    yield make
    for sim in clouds:
        sim.__exit__(None, None, None)
        assert not sim.happened.bugs


@pytest.fixture
def rig(rig_of):
    return rig_of()


@pytest.fixture
def tracked(rig_of):
    return rig_of(tracking=True)
