"""While hosts are asked the collector of circles rests; afterwards it is as it was."""

from __future__ import annotations

import gc

import pytest

pytest.importorskip("paramiko")

from gpuctl.fleet.ask import _OBJECTS, _seldom_collected


def test_it_is_as_before_even_after_a_failure():
    before = gc.get_threshold()

    def asked() -> None:
        with _seldom_collected():
            assert gc.get_threshold()[0] == _OBJECTS
            assert gc.get_freeze_count() > 0
            raise OSError("a host")

    with pytest.raises(OSError, match="a host"):
        asked()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
