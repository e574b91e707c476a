"""Sections 6 and 9 of facts/openstack-lab.md: shelve and unshelve."""

from __future__ import annotations

import pytest

from tests.sim.test_cloud.bench import fill


@pytest.mark.parametrize("volumes", [0, 1])
def test_shelve_and_unshelve_to_a_host(bench, volumes):
    bench.one.image, bench.one.volumes = ("image-1", []) if not volumes else (None, ["volume-1"])
    bench.act("shelve")
    shown = bench.client.server(bench.id)
    assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"], shown["OS-EXT-STS:task_state"]) == (
        "SHELVED_OFFLOADED",
        None,
        None,
    )
    assert (bench.hosts_of_rows(), bench.roots(), bench.cloud.broken()) == ([], [], [])
    assert len(bench.cloud.images) == (1 if volumes else 2)
    bench.act("unshelve", {"host": "gpu-b"})
    assert (bench.status(), bench.hosts_of_rows(), bench.cloud.broken(), len(bench.cloud.images)) == (
        "ACTIVE",
        ["gpu-b"],
        [],
        1,
    )


def test_unshelve_onto_a_device_that_libvirt_refuses(bench):
    bench.act("shelve")
    for card in bench.cloud.hosts["gpu-b"].cards:
        bench.cloud.occupy("gpu-b", card.address)
    bench.act("unshelve", {"host": "gpu-b"})
    assert (bench.status(), bench.fault(), bench.hosts_of_rows(), bench.roots()) == ("SHELVED_OFFLOADED", {}, [], [])
    assert bench.client.events(bench.id) == ("Error", {"compute_unshelve_instance": "libvirtError"})
    assert bench.cloud.broken() == []
    for card in bench.cloud.hosts["gpu-b"].cards:
        bench.cloud.vacate("gpu-b", card.address)
    bench.act("unshelve", {"host": "gpu-b"})
    assert (bench.status(), bench.cloud.broken()) == ("ACTIVE", [])


def test_unshelve_to_a_host_without_a_free_card(bench):
    fill(bench)
    bench.act("shelve")
    bench.act("unshelve", {"host": "gpu-b"})
    assert (bench.status(), bench.client.server(bench.id)["OS-EXT-STS:task_state"], bench.hosts_of_rows()) == (
        "SHELVED_OFFLOADED",
        None,
        [],
    )
    message, details = bench.client.events(bench.id)
    assert message == "Error"
    assert details["schedule_instances"].startswith("No valid host was found.")


def test_the_snapshot_of_the_shelve_fails(bench):
    bench.cloud.inject("gpu-a", "snapshot")
    bench.act("shelve")
    assert (bench.status(), bench.fault(), bench.domain("gpu-a"), bench.hosts_of_rows()) == (
        "ACTIVE",
        {},
        False,
        ["gpu-a"],
    )
    assert bench.client.events(bench.id)[0] == "Error"
    bench.act("reboot", {"type": "HARD"})
    assert (bench.domain("gpu-a"), bench.cloud.broken()) == (True, [])


def test_nova_notices_a_guest_that_is_off_at_the_next_sync(off):
    off.cloud.inject("gpu-a", "snapshot")
    off.act("shelve")
    off.cloud.sync_power()
    assert off.status() == "SHUTOFF"


def test_unshelve_where_the_alias_is_missing(bench):
    bench.cloud.hosts["gpu-b"].aliases.clear()
    bench.act("shelve")
    bench.act("unshelve", {"host": "gpu-b"})
    bench.act("os-stop")
    bench.act("os-start")
    assert (bench.status(), bench.hosts_of_rows(), bench.cloud.broken()) == ("ACTIVE", ["gpu-b"], [])


def test_a_server_that_was_only_shelved_starts_where_it_is(off):
    off.cloud.configure(shelved_offload_time=-1)
    off.act("shelve")
    assert off.status() == "SHELVED"
    assert off.refusal("unshelve", {"host": "gpu-b"}).startswith("409")
    off.act("unshelve")
    assert (off.status(), off.cloud.broken()) == ("ACTIVE", [])
