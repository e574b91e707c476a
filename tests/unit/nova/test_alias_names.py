"""One name for a model, whoever asks: a flavor that asks for an alias that Nova does not offer never boots."""

from __future__ import annotations

import pytest

pytest.importorskip("yaml")

from gpuctl.flavors.devices import devices
from gpuctl.nova.config.naming import default_alias


@pytest.mark.parametrize("device", devices(), ids=lambda device: device.id)
def test_nova_and_the_flavors_name_a_model_alike(device):
    assert default_alias(device.name, device.id) == device.alias


def test_a_model_that_no_table_has_is_named_by_what_it_is_called():
    assert default_alias("GP104 [GeForce GTX 1080]", "ffff:0001") == "gtx1080"
    assert default_alias("Device 1234", "ffff:1234") == "gpu-ffff-1234"
