"""Faults of HTTP: answers that are wrong, late, or do not come."""

from __future__ import annotations

import pytest

from tests.sim.cloud import Client
from tests.sim.cloud.client import Refused


@pytest.mark.parametrize(
    ("kind", "status", "done"),
    [
        (409, "409", False),
        (500, "500", False),
        (503, "503", False),
        (429, "429", False),
        (401, "401", False),
        ("504-after", "504", True),
        ("401-after", "401", True),
    ],
)
def test_a_request_is_answered_wrongly(off, kind, status, done):
    off.cloud.fail("POST", "action#migrate$", kind)
    assert off.refusal("migrate").startswith(status)
    assert len(off.cloud.migrations) == done
    assert len(off.cloud.fired) == 1


@pytest.mark.parametrize(
    ("kind", "done"), [("reset-before", False), ("reset-after", True), ("silence", False), ("silence-after", True)]
)
def test_a_request_is_not_answered(off, kind, done):
    off.cloud.fail("POST", "action#migrate$", kind, seconds=0.01)
    with pytest.raises((ConnectionError, OSError)):
        off.client.act(off.id, "migrate")
    assert len(off.cloud.migrations) == done


def test_a_misspelt_fault_is_an_error(off):
    with pytest.raises(ValueError, match="no kind reset_after"):
        off.cloud.fail("POST", "action", "reset_after")
    with pytest.raises(ValueError, match="no fault finish"):
        off.cloud.inject("gpu-a", "finish")


def test_every_request_of_a_move_is_met_by_a_fault(off):
    off.status()
    steps = [lambda: off.act("migrate", {"host": "gpu-b"}), off.status, lambda: off.act("confirmResize")]
    for skip, status in ((0, "active"), (1, "resized"), (2, "resized")):
        off.cloud.fail("*", "/compute/", 503, skip=skip)
        with pytest.raises(Refused, match="503"):
            for step in steps:
                step()
        assert off.one.vm_state == status
        if status == "resized":
            off.act("revertResize")
    assert off.cloud.broken() == []


def test_tokens_run_out(off):
    off.status()
    off.cloud.expire_tokens()
    with pytest.raises(Refused, match="401"):
        off.status()
    assert Client(off.cloud.url).server(off.id)["status"] == "ACTIVE"
    assert off.cloud.logins == 2


def test_requests_are_counted_by_kind(off):
    off.status()
    off.act("lock", {"locked_reason": "x"})
    assert off.cloud.counts() == {
        "POST /identity/v3/auth/tokens": 1, "GET /compute/v2.1/servers/ID": 1, "POST /compute/v2.1/servers/ID/action#lock": 1}  # fmt: skip
