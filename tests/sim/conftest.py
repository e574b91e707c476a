"""Two GTX 1080, with the IOMMU on and off."""

from __future__ import annotations

import pytest

from tests.sim import SimHost, worlds


@pytest.fixture
def twins(tmp_path):
    """Two GTX 1080, IOMMU on."""
    return SimHost(worlds.twins(), tmp_path / "root")


@pytest.fixture
def off(tmp_path):
    """Two GTX 1080, IOMMU off."""
    return SimHost(worlds.two_gtx1080(), tmp_path / "off")
