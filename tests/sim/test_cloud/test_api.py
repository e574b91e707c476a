"""The rest of the API, and the database that can be read."""

from __future__ import annotations

import sqlite3

import pytest

from tests.sim.cloud import Client, MovesSim
from tests.sim.cloud.client import Refused
from tests.sim.test_cloud.bench import Bench, failed_finish


def test_messages_wait_for_a_compute_that_is_down(off):
    off.migrate()
    off.status()
    off.cloud.stop_compute("gpu-a")
    off.act("confirmResize")
    assert (off.status(), off.records()) == ("VERIFY_RESIZE", [("confirming", "gpu-a", "gpu-b")])
    off.cloud.start_compute("gpu-a")
    off.cloud.settle()
    assert (off.status(), off.cloud.broken(), off.cloud.happened.confirmed_unproven) == ("ACTIVE", [], [])


def test_a_dead_guest_is_not_proven(off):
    off.cloud.inject("gpu-b", "guest")
    off.migrate()
    assert off.status() == "VERIFY_RESIZE"
    off.act("confirmResize")
    assert off.cloud.happened.confirmed_unproven[0]["why"] == ["the guest does not run"]
    assert off.cloud.broken() == ["guest is active and its guest does not run"]


def test_servers_are_filtered_and_paged():
    with MovesSim() as cloud:
        cloud.populate(4, 20, per_host=8)
        client = Client(cloud.url)
        found, path = [], "/servers/detail?all_tenants=1&limit=7"
        while True:
            part = client.get(path)
            found += [one["id"] for one in part["servers"]]
            if "servers_links" not in part:
                break
            path = f"/servers/detail?all_tenants=1&limit=7&marker={found[-1]}"
        assert len(set(found)) == len(found) == 20
        here = client.get("/servers/detail?all_tenants=1&host=gpu-002")["servers"]
        assert {one["OS-EXT-SRV-ATTR:host"] for one in here} == {"gpu-002"}
        assert len(here) == 5
        assert len(client.get("/servers?all_tenants=1&status=ACTIVE&status=ERROR")["servers"]) == 20
        assert client.get("/servers?all_tenants=1&status=ERROR")["servers"] == []
        assert [one["name"] for one in client.get("/servers?all_tenants=1&name=^vm-0003$")["servers"]] == ["vm-0003"]
        cloud.advance(10)
        cloud.set_server("vm-0007", locked=True, locked_reason="mine")
        stamp = cloud.clock.stamp(cloud.clock.now - 5, zone="Z")
        [late] = client.get(f"/servers/detail?all_tenants=1&changes-since={stamp}")["servers"]
        assert (late["name"], late["locked"], late["locked_reason"]) == ("vm-0007", True, "mine")


def test_fields_come_with_their_microversion(off):
    old = off.client.get(f"/servers/{off.id}", version="2.8")["server"]
    assert (old["flavor"], "locked" in old, "server_groups" in old) == (
        {"id": "f-gtx1080:1", "links": []},
        False,
        False,
    )
    new = off.client.get(f"/servers/{off.id}", version="2.96")["server"]
    assert new["flavor"]["extra_specs"] == {"pci_passthrough:alias": "gtx1080:1"}
    assert (new["pinned_availability_zone"], new["server_groups"], new["locked"]) == (None, [], False)
    with pytest.raises(Refused, match="406"):
        off.client.get("/servers", version="2.999")


def test_migrations_are_filtered_and_paged(off):
    other = off.cloud.boot("other", "gpu-a")
    off.migrate()
    off.act("revertResize")
    off.client.act(other.id, "migrate", None)
    off.cloud.settle()
    part = off.client.get("/os-migrations?limit=1")
    assert [one["instance_uuid"] for one in part["migrations"]] == [other.id]
    assert part["migrations_links"]
    [rest] = off.client.get(f"/os-migrations?marker={part['migrations'][0]['uuid']}")["migrations"]
    assert (rest["instance_uuid"], rest["status"], rest["migration_type"]) == (off.id, "reverted", "migration")
    assert len(off.client.get("/os-migrations?status=finished&host=gpu-b")["migrations"]) == 1
    assert off.client.get(f"/servers/{off.id}/migrations")["migrations"] == []


def test_actions_are_known_by_the_request_id(off):
    _, request = off.act("migrate", {"host": "gpu-b"})
    one = off.client.get(f"/servers/{off.id}/os-instance-actions/{request}")["instanceAction"]
    assert (one["action"], one["message"], one["request_id"]) == ("migrate", None, request)
    assert [event["event"] for event in one["events"]] == [
        "compute_finish_resize", "compute_resize_instance", "compute_prep_resize", "conductor_migrate_server", "cold_migrate"]  # fmt: skip
    assert {event["result"] for event in one["events"]} == {"Success"}
    assert (
        "details"
        not in off.client.get(f"/servers/{off.id}/os-instance-actions/{request}", version="2.83")["instanceAction"][
            "events"
        ][0]
    )


def test_anti_affinity_is_kept_by_the_scheduler(off):
    off.cloud.group("apart", "anti-affinity", [off.one, off.cloud.boot("other", "gpu-b")])
    off.act("migrate", None)
    assert off.records() == [("error", "gpu-a", None)]
    [group] = off.client.get("/os-server-groups")["server_groups"]
    assert (group["policy"], len(group["members"]), off.client.server(off.id)["server_groups"]) == (
        "anti-affinity",
        2,
        [group["id"]],
    )


def test_placement_is_written_by_generation():
    with MovesSim(tracking=True) as cloud:
        bench = Bench(cloud)
        bench.migrate()
        bench.status()
        bench.act("confirmResize")
        held = bench.client.get(f"/allocations/{bench.id}", service="placement", version="1.28")
        names = {one.uuid: one.name for one in cloud.placement.providers.values()}
        [wrong] = [uuid for uuid in held["allocations"] if names[uuid] == "gpu-b_0000:06:00.0"]
        del held["allocations"][wrong]

        def put(body, version="1.28"):
            return bench.client.call("placement", "PUT", f"/allocations/{bench.id}", body, version=version)[0]

        with pytest.raises(Refused, match=r"409.*placement\.concurrent_update"):
            put({**held, "consumer_generation": held["consumer_generation"] - 1})
        typed = bench.client.get(f"/allocations/{bench.id}", service="placement", version="1.38")
        assert typed["consumer_type"] == "unknown"
        with pytest.raises(Refused, match=r"400.*'unknown' does not match"):
            put(typed, "1.38")
        assert put(held) == 204
        cloud.audit()
        assert cloud.broken() == []


def test_placement_shows_the_cards():
    with MovesSim(tracking=True) as cloud:
        bench = Bench(cloud)
        root = cloud.hosts["gpu-a"].uuid
        found = bench.client.get(
            f"/resource_providers?in_tree={root}&required=COMPUTE_MANAGED_PCI_DEVICE", service="placement"
        )["resource_providers"]
        assert len(found) == 5
        [mine] = [one for one in found if one["name"] == "gpu-a_0000:04:00.0"]
        assert mine["parent_provider_uuid"] == mine["root_provider_uuid"] == root
        usages = bench.client.get(f"/resource_providers/{mine['uuid']}/usages", service="placement")["usages"]
        assert usages == {"CUSTOM_PCI_10DE_1B80": 1}
        assert list(
            bench.client.get(f"/resource_providers/{mine['uuid']}/allocations", service="placement")["allocations"]
        ) == [bench.id]
        free = bench.client.get(
            f"/allocation_candidates?resources1=CUSTOM_PCI_10DE_1B80:1&in_tree1={root}", service="placement"
        )
        assert len(free["allocation_requests"]) == 2


def test_the_database_can_be_read(off, tmp_path):
    failed_finish(off)
    url = off.cloud.dump(tmp_path / "nova.sqlite")
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    rows = connection.execute(
        "SELECT c.host, p.address, m.status FROM pci_devices p JOIN compute_nodes c ON c.id = p.compute_node_id "
        "JOIN migrations m ON m.instance_uuid = p.instance_uuid WHERE p.status = 'allocated' ORDER BY 1"
    ).fetchall()
    connection.close()
    assert rows == [("gpu-a", "0000:04:00.0", "error"), ("gpu-b", "0000:04:00.0", "error")]
