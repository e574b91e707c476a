"""The bench with PCI in Placement off, and on."""

from __future__ import annotations

import pytest

from tests.sim.cloud import MovesSim
from tests.sim.test_cloud.bench import Bench


@pytest.fixture(params=[False, True], ids=["off", "on"])
def bench(request):
    """With PCI in Placement off, and on: the two columns of section 9."""
    with MovesSim(tracking=request.param) as cloud:
        yield Bench(cloud)
        assert cloud.happened.bugs == []


@pytest.fixture
def off():
    with MovesSim() as cloud:
        yield Bench(cloud)
        assert cloud.happened.bugs == []
