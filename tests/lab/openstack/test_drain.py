"""`gpuctl instance drain` on a real Nova: a host with three servers, two moves at a time, and killed in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .clients import boot, compute_service, settle, show
from .situations import HERE, THERE
from .truth import wrongs

if TYPE_CHECKING:
    from .lab import Lab
    from .product import Product

pytestmark = [pytest.mark.lab_openstack, pytest.mark.timeout(900)]

CAPS = ("--parallel", "2", "--per-destination", "2")


def three(cloud: Lab) -> dict[str, int]:
    """Three servers on HERE: server -> how many cards it has."""
    return {
        boot(cloud, "gtx1080:1", HERE, name="one"): 1,
        boot(cloud, "gtx1080:1", HERE, name="two"): 1,
        boot(cloud, "a100:1", HERE, name="three"): 1,
    }


def at_once(cloud: Lab) -> int:
    """How many servers Nova moved at once, at the most."""
    spans = cloud.sql(
        "select a.instance_uuid as server, a.start_time as begun, max(e.finish_time) as ended"
        " from nova.instance_actions a join nova.instance_actions_events e on e.action_id = a.id"
        " join nova.instances i on i.uuid = a.instance_uuid and i.deleted = 0"
        " where a.action in ('migrate', 'confirmResize', 'shelve', 'unshelve') group by a.id"
    )
    return max(len({two["server"] for two in spans if two["begun"] <= one["begun"] < two["ended"]}) for one in spans)


def test_a_host_is_drained_two_at_a_time(gpuctl: Product, cloud: Lab, tracked: bool) -> None:
    cards = three(cloud)
    dry = gpuctl.run("instance", "drain", HERE, "--dry-run", *CAPS, db=True)
    assert dry.code == 0, dry.out + dry.err
    assert {show(cloud, one)["OS-EXT-SRV-ATTR:host"] for one in cards} == {HERE}
    answer = gpuctl.run("instance", "drain", HERE, "--yes", *CAPS, db=True, ssh=True)
    assert answer.code == 0, answer.out + answer.err
    assert {one["server"]: one["state"] for one in answer.document["results"]} == dict.fromkeys(cards, "done")
    assert {show(cloud, one)["OS-EXT-SRV-ATTR:host"] for one in cards} == {THERE}
    service = compute_service(cloud, HERE)
    assert (service["status"], "gpuctl" in service["disabled_reason"]) == ("disabled", True)
    assert at_once(cloud) <= 2
    assert wrongs(cloud, cards, tracked=tracked) == []


def test_a_drain_that_was_killed_goes_on(gpuctl: Product, cloud: Lab, tracked: bool) -> None:
    cards = three(cloud)
    step = "snapshot.enter" if tracked else "migrate_disk_and_power_off.enter"
    gpuctl.kill_at(cloud.hold(HERE, step), "instance", "drain", HERE, "--yes", *CAPS)
    for server in cards:
        settle(cloud, server)
    answer = gpuctl.run("instance", "drain", HERE, "--yes", *CAPS, db=True, ssh=True)
    assert answer.code == 0, answer.out + answer.err
    assert {show(cloud, one)["OS-EXT-SRV-ATTR:host"] for one in cards} == {THERE}
    for server in cards:
        assert len(cloud.migrations(server)) <= 1, "never a second move of one server"
    assert wrongs(cloud, cards, tracked=tracked) == []
