"""Moves in a row between two hosts: at the end every card is owned by exactly whom it should be, in all three views.

`make test` does a few; GPUCTL_LAB_MOVES=50 does fifty (docs/explanation/old-way.md has its figures). Printed, never
asserted: seconds a move, and gpuctl's own share. That is the command's wall time without the time between the start
and the end of Nova's actions for it; Nova writes both in whole seconds, so that only the sum over many moves means
something.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from .clients import boot
from .situations import HERE, THERE
from .truth import owners, wrongs

if TYPE_CHECKING:
    from .lab import Lab
    from .product import Product

pytestmark = [pytest.mark.lab_openstack, pytest.mark.timeout(3600)]

MOVES = int(os.environ.get("GPUCTL_LAB_MOVES", "8"))


def nova_seconds(lab: Lab, server: str) -> float:
    """How long Nova itself worked on the moves of a server: from each action's start to its last event's end."""
    rows = lab.sql(
        "select a.start_time as begun, max(e.finish_time) as ended from nova.instance_actions a"
        " join nova.instance_actions_events e on e.action_id = a.id"
        " where a.instance_uuid = %s and a.action in ('migrate', 'confirmResize', 'shelve', 'unshelve') group by a.id",
        server,
    )
    return float(sum((row["ended"] - row["begun"]).total_seconds() for row in rows))


def test_moves_in_a_row(gpuctl: Product, cloud: Lab, tracked: bool, capsys: pytest.CaptureFixture[str]) -> None:
    cards = {
        boot(cloud, "gtx1080:1", HERE, name="one"): 1,
        boot(cloud, "gtx1080:1", THERE, name="two"): 1,
        boot(cloud, "a100:1", HERE, name="three"): 1,
    }
    where = dict(zip(cards, (HERE, THERE, HERE), strict=True))
    wall = cpu = 0.0
    for number in range(MOVES):
        server = list(cards)[number % len(cards)]
        answer = gpuctl.run("instance", "migrate", server, "--yes", db=True, ssh=True)
        assert (answer.code, answer.result["state"]) == (0, "done"), (number, answer.out, answer.err)
        where[server] = THERE if where[server] == HERE else HERE
        assert answer.result["to"] == where[server]
        wall, cpu = wall + answer.seconds, cpu + answer.cpu
    assert wrongs(cloud, cards, tracked=tracked) == []
    assert sorted((owner, host) for (host, _), owner in owners(cloud).items()) == sorted(where.items())
    assert gpuctl.run("instance", "audit", "--deep", "--strict", db=True, ssh=True).code == 0
    nova = sum(nova_seconds(cloud, server) for server in cards)
    own = wall - nova
    with capsys.disabled():
        print(
            f"\n{MOVES} moves, tracking {'on' if tracked else 'off'}: {wall / MOVES:.2f} s a move, of which Nova's"
            f" {nova / MOVES:.2f}, gpuctl's {own / MOVES:.2f} ({own / nova:.0%}; CPU {cpu / MOVES:.2f})"
        )
