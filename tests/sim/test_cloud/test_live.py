"""Section 6 of facts/openstack-lab.md: live migration."""

from __future__ import annotations

import pytest

from tests.sim.cloud import Client, MovesSim
from tests.sim.test_cloud.bench import of_release


def test_live_migration_is_refused_by_the_conductor(off):
    assert off.act("os-migrateLive", {"host": None, "block_migration": "auto"})[0] == 202
    assert (off.status(), off.records()) == ("ACTIVE", [("error", "gpu-a", None)])
    assert off.client.events(off.id) == (
        "Error",
        {"conductor_live_migrate_instance": "No valid host was found. There are not enough hosts available."},
    )


@pytest.mark.parametrize(("release", "status"), [(30, "error"), (34, "completed")])
def test_live_migration_of_live_migratable_cards(release, status):
    with of_release(release) as cloud:
        cloud.add_host("gpu-a", ["l40"])
        cloud.add_host("gpu-b", ["l40"])
        one = cloud.boot("guest", "gpu-a", "l40:1")
        Client(cloud.url).act(one.id, "os-migrateLive", {"host": "gpu-b", "block_migration": "auto"})
        cloud.settle()
        assert ([m.status for m in cloud.migrations], cloud.broken()) == ([status], [])


def test_a_live_migration_onto_a_busy_card_leaves_the_guest_where_it_is():
    with MovesSim() as cloud:
        cloud.add_host("gpu-a", ["l40"])
        cloud.add_host("gpu-b", ["l40"])
        one = cloud.boot("guest", "gpu-a", "l40:1")
        cloud.occupy("gpu-b", "0000:04:00.0")
        Client(cloud.url).act(one.id, "os-migrateLive", {"host": "gpu-b", "block_migration": "auto"})
        cloud.settle()
        assert ([m.status for m in cloud.migrations], one.host, cloud.broken()) == (["error"], "gpu-a", [])
