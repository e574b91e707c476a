"""Batch sizes and shares."""

from __future__ import annotations

import pytest

pytest.importorskip("click")

from gpuctl.fleet.prepare_batches import BadSize, batches, share, sizes


@pytest.mark.parametrize("text", ["0", "-1", "101%", "0%", "x", "", "5,", "5%%", "1.5", "٣%x"])
def test_what_is_no_size(text):
    with pytest.raises(BadSize) as error:
        sizes(text)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("text", ["-1", "101", "x%", "", "nan"])
def test_what_is_no_share(text):
    with pytest.raises(BadSize):
        share(text)


def test_shares():
    assert (share("10%"), share("0"), share("12.5%"), share("100%")) == (10.0, 0.0, 12.5, 100.0)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 100])
@pytest.mark.parametrize("canary", [0, 1, 3])
@pytest.mark.parametrize("serial", ["", "1", "1%", "100%", "2,50%", "1000"])
def test_every_host_has_one_turn_in_order(count, canary, serial):
    hosts = [f"h{number}" for number in range(count)]
    found = batches(hosts, canary, sizes(serial) if serial else ())
    assert [host for batch in found for host in batch] == hosts
    assert all(found)


def test_one_host_alone_needs_no_canary():
    assert batches(["a"], 1, ()) == [("a",)]
    assert batches(["a", "b"], 1, ()) == [("a",), ("b",)]
