"""The simulated cloud does what facts/openstack-lab.md sections 4, 5, 6 and 9 and facts/nova.md 4.5-4.8 say: a test a row."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sim.cloud import Client, MovesSim, RemoteSim
from tests.sim.cloud.client import Refused

BUSY = "is in use by driver QEMU"
UPDATE = "UPDATE migrations SET status='failed' WHERE id={} AND status='error'"


class Bench:
    """Two hosts, one guest on gpu-a, and an admin."""

    def __init__(self, cloud: MovesSim) -> None:
        self.cloud = cloud
        self.client = Client(cloud.url, "2.96" if cloud.release >= 29 else cloud.newest)
        cloud.add_host("gpu-a")
        cloud.add_host("gpu-b")
        self.one = cloud.boot("guest", "gpu-a")
        self.id = self.one.id

    def act(self, name, said=None, **more):
        """An action, and everything that came of it."""
        answer = self.client.act(self.id, name, said, **more)
        self.cloud.settle()
        return answer

    def migrate(self, host="gpu-b"):
        self.act("migrate", {"host": host})

    def status(self):
        return self.client.server(self.id)["status"]

    def fault(self):
        return self.client.server(self.id).get("fault", {})

    def hosts_of_rows(self):
        return [host for host, _ in self.cloud.rows(self.id)]

    def records(self):
        found = self.client.get(f"/os-migrations?instance_uuid={self.id}")["migrations"]
        return [(m["status"], m["source_compute"], m["dest_compute"]) for m in reversed(found)]

    def domain(self, host):
        """None, or whether it runs."""
        found = self.cloud.hosts[host].domains.get(self.id)
        return found and found.running

    def folders(self, host):
        return sorted(name.replace(self.id, "X") for name in self.cloud.hosts[host].folders)

    def cards_in_placement(self, consumer=""):
        return self.cloud.placement.providers_of(consumer or self.id, "CUSTOM_PCI")

    def roots(self, consumer=""):
        return [name for name in self.cloud.allocations_of(consumer or self.id) if "_" not in name]

    def update(self, record=1):
        """What the operator's database administrator does, and the next audit."""
        assert self.cloud.execute(UPDATE.format(record)) == 1
        self.cloud.audit()

    def refusal(self, name, said=None, **more):
        with pytest.raises(Refused) as refused:
            self.client.act(self.id, name, said, **more)
        return str(refused.value)


@pytest.fixture(params=[False, True], ids=["off", "on"])
def bench(request):
    """With PCI in Placement off, and on: the two columns of section 9."""
    with MovesSim(tracking=request.param) as cloud:
        yield Bench(cloud)
        assert cloud.happened.bugs == []


@pytest.fixture
def off():
    with MovesSim() as cloud:
        yield Bench(cloud)
        assert cloud.happened.bugs == []


def of_release(release, **more):
    return MovesSim(release=release, **more)


# ---------------------------------------------------------------- section 9, row by row


def test_boot_stop_start_hard_reboot(bench):
    bench.cloud.add("gpu", specs={"pci_passthrough:alias": "h100:1"})
    made = bench.client.call(
        "compute",
        "POST",
        "/servers",
        {"server": {"name": "new", "flavorRef": "id-gpu", "networks": "none", "host": "gpu-b"}},
    )
    bench.cloud.settle()
    new = made[1]["server"]["id"]
    assert bench.client.server(new)["status"] == "ACTIVE"
    for name, said, status in (
        ("os-stop", None, "SHUTOFF"),
        ("os-start", None, "ACTIVE"),
        ("reboot", {"type": "HARD"}, "ACTIVE"),
    ):
        assert bench.client.act(new, name, said)[0] == 202
        bench.cloud.settle()
        assert bench.client.server(new)["status"] == status
    [(host, address)] = bench.cloud.rows(new)
    assert bench.cloud.hosts[host].domains[new].hostdevs == (address,)
    assert bench.cloud.broken() == []


def test_cold_migrate_and_confirm(bench):
    bench.migrate()
    assert bench.act("confirmResize")[0] == 204
    assert (bench.status(), bench.hosts_of_rows(), bench.records()) == (
        "ACTIVE",
        ["gpu-b"],
        [("confirmed", "gpu-a", "gpu-b")],
    )
    assert (bench.domain("gpu-a"), bench.domain("gpu-b"), bench.folders("gpu-a"), bench.folders("gpu-b")) == (
        None,
        True,
        [],
        ["X"],
    )
    pair = bench.cards_in_placement()
    if not bench.cloud.tracking:
        assert bench.cloud.broken() == []
        return
    assert pair == ["gpu-b_0000:04:00.0", "gpu-b_0000:06:00.0"]
    assert len(bench.cloud.broken()) == 1
    bench.migrate("gpu-a")
    bench.act("revertResize")
    assert bench.cards_in_placement() == pair


def test_cold_migrate_and_revert(bench):
    bench.migrate()
    assert bench.act("revertResize")[0] == 202
    assert (bench.status(), bench.hosts_of_rows(), bench.records()) == (
        "ACTIVE",
        ["gpu-a"],
        [("reverted", "gpu-a", "gpu-b")],
    )
    assert bench.cloud.broken() == []


def test_verify_resize(bench):
    bench.migrate()
    assert (bench.status(), bench.hosts_of_rows(), bench.domain("gpu-a"), bench.domain("gpu-b")) == (
        "VERIFY_RESIZE",
        ["gpu-a", "gpu-b"],
        False,
        True,
    )
    assert bench.cloud.hosts["gpu-a"].domains[bench.id].hostdevs == ("0000:04:00.0",)
    assert (bench.folders("gpu-a"), bench.folders("gpu-b")) == (["X_resize"], ["X"])
    record = bench.cloud.migrations[0].uuid
    assert (bench.roots(), bench.roots(record)) == (["gpu-b"], ["gpu-a"])
    if bench.cloud.tracking:
        assert len(bench.cards_in_placement()) == 2
        assert bench.cards_in_placement(record) == ["gpu-a_0000:04:00.0"]


def failed_finish(bench):
    bench.cloud.inject("gpu-b", "finish_migration")
    bench.migrate()


def test_finish_migration_fails(bench):
    failed_finish(bench)
    shown = bench.client.server(bench.id)
    assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"], shown["OS-EXT-STS:task_state"]) == ("ERROR", "gpu-b", None)
    assert shown["fault"]["message"] == "libvirtError"
    assert BUSY in shown["fault"]["details"]
    assert bench.client.events(bench.id) == ("Error", {"compute_finish_resize": "libvirtError"})
    assert (bench.hosts_of_rows(), bench.records()) == (["gpu-a", "gpu-b"], [("error", "gpu-a", "gpu-b")])
    assert (bench.domain("gpu-a"), bench.domain("gpu-b"), bench.folders("gpu-a"), bench.folders("gpu-b")) == (
        False,
        None,
        ["X_resize"],
        ["X"],
    )
    assert (bench.roots(), bench.roots(bench.cloud.migrations[0].uuid)) == (["gpu-b"], [])
    assert len(bench.cards_in_placement()) == (2 if bench.cloud.tracking else 0)


def test_finish_migration_fails_then_the_recipe_of_2016(bench):
    failed_finish(bench)
    assert bench.act("os-resetState", {"state": "active"})[0] == 202
    assert bench.act("os-stop")[0] == 202
    assert bench.status() == "SHUTOFF"
    bench.act("os-start")
    assert (bench.status(), bench.fault()) == ("SHUTOFF", {})
    assert bench.client.events(bench.id) == ("Error", {"compute_start_instance": "KeyError"})


def test_finish_migration_fails_then_hard_reboot(bench):
    failed_finish(bench)
    bench.act("reboot", {"type": "HARD"})
    assert (bench.status(), bench.fault()["message"]) == ("ERROR", "KeyError")


def test_finish_migration_fails_then_restart_of_the_source(bench):
    failed_finish(bench)
    before = bench.cloud.server_state(bench.id)
    bench.cloud.restart_compute("gpu-a")
    for _ in range(4):
        bench.cloud.audit()
    assert bench.cloud.server_state(bench.id) == before


@pytest.mark.parametrize(
    "recipe", [("os-resetState", "os-stop", "os-start"), ("reboot",)], ids=["stop-start", "reboot"]
)
def test_finish_migration_fails_then_update_and_audit(bench, recipe):
    failed_finish(bench)
    bench.update()
    assert bench.hosts_of_rows() == ["gpu-b"]
    for name in recipe:
        bench.act(name, {"os-resetState": {"state": "active"}, "reboot": {"type": "HARD"}}.get(name))
    [(_, address)] = bench.cloud.rows(bench.id)
    assert (bench.status(), bench.cloud.hosts["gpu-b"].domains[bench.id].hostdevs) == ("ACTIVE", (address,))
    assert (bench.folders("gpu-a"), bench.domain("gpu-a")) == (["X_resize"], False)
    assert len(bench.cards_in_placement()) == (2 if bench.cloud.tracking else 0)


def failed_ssh(bench):
    bench.cloud.inject("gpu-a", "ssh")
    bench.migrate()


def test_ssh_fails(bench):
    failed_ssh(bench)
    bench.cloud.audit()
    assert (bench.status(), bench.fault(), bench.domain("gpu-a")) == ("ACTIVE", {}, True)
    assert (bench.hosts_of_rows(), bench.records()) == (["gpu-a", "gpu-b"], [("error", "gpu-a", "gpu-b")])
    assert bench.roots() == ["gpu-a"]
    assert bench.cards_in_placement() == (["gpu-a_0000:04:00.0"] if bench.cloud.tracking else [])


def test_ssh_fails_then_hard_reboot_destroys_the_guest(bench):
    failed_ssh(bench)
    bench.act("reboot", {"type": "HARD"})
    assert (bench.status(), bench.fault()["message"], bench.domain("gpu-a")) == ("ERROR", "KeyError", None)
    assert bench.cloud.happened.destroyed == [bench.id]


def test_ssh_fails_then_update_audit_hard_reboot(bench):
    failed_ssh(bench)
    bench.update()
    bench.act("reboot", {"type": "HARD"})
    assert (bench.status(), bench.cloud.broken()) == ("ACTIVE", [])


def test_ssh_fails_then_retry_to_the_same_host(bench):
    failed_ssh(bench)
    bench.migrate()
    bench.act("confirmResize")
    assert (bench.status(), bench.hosts_of_rows(), len(bench.cloud.hosts["gpu-b"].domains[bench.id].hostdevs)) == (
        "ACTIVE",
        ["gpu-b"] * 2,
        1,
    )
    assert bench.cloud.happened.leaky == [bench.id]
    bench.update()  # too late: the server is tracked here
    assert bench.hosts_of_rows() == ["gpu-b"] * 2
    bench.act("shelve")
    assert bench.hosts_of_rows() == []
    bench.act("unshelve", {"host": "gpu-b"})
    assert (bench.status(), bench.hosts_of_rows(), bench.cloud.broken()) == ("ACTIVE", ["gpu-b"], [])


def test_disk_copy_fails(bench):
    bench.cloud.inject("gpu-a", "disk_copy")
    bench.migrate()
    shown = bench.client.server(bench.id)
    assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"], bench.domain("gpu-a")) == ("ERROR", "gpu-a", False)
    assert (bench.hosts_of_rows(), bench.roots(), bench.folders("gpu-a")) == (["gpu-a", "gpu-b"], ["gpu-a"], ["X"])
    bench.update()
    bench.act("reboot", {"type": "HARD"})
    assert (bench.status(), bench.cloud.broken()) == ("ACTIVE", [])


def test_confirm_migration_fails(bench):
    bench.cloud.inject("gpu-a", "confirm_migration")
    bench.migrate()
    assert bench.act("confirmResize")[0] == 204
    shown = bench.client.server(bench.id)
    assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"], bench.domain("gpu-b"), bench.folders("gpu-a")) == (
        "ERROR",
        "gpu-b",
        True,
        ["X_resize"],
    )
    bench.cloud.audit()
    assert (bench.hosts_of_rows(), bench.records()) == (["gpu-a", "gpu-b"], [("error", "gpu-a", "gpu-b")])
    bench.act("os-resetState", {"state": "active"})
    assert (bench.status(), bench.hosts_of_rows()) == ("ACTIVE", ["gpu-a", "gpu-b"])


def test_finish_revert_migration_fails(bench):
    bench.cloud.inject("gpu-a", "finish_revert_migration")
    bench.migrate()
    bench.act("revertResize")
    shown = bench.client.server(bench.id)
    assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"], bench.hosts_of_rows()) == ("ERROR", "gpu-a", ["gpu-a"])
    assert bench.records() == [("error", "gpu-a", "gpu-b")]
    bench.act("reboot", {"type": "HARD"})
    assert (bench.status(), bench.cloud.broken()) == ("ACTIVE", [])


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


def fill(bench, host="gpu-b"):
    for n in range(3):
        bench.cloud.boot(f"other-{n}", host)


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


def test_reset_state_in_verify_resize(bench):
    bench.migrate()
    bench.act("os-resetState", {"state": "active"})
    assert (bench.status(), bench.records(), bench.hosts_of_rows()) == (
        "ACTIVE",
        [("finished", "gpu-a", "gpu-b")],
        ["gpu-a", "gpu-b"],
    )
    assert f"Cannot 'confirmResize' instance {bench.id} while it is in vm_state active" in bench.refusal(
        "confirmResize"
    )
    assert bench.refusal("confirmResize").startswith("409")
    assert bench.roots(bench.cloud.migrations[0].uuid) == ["gpu-a"]


def test_reset_state_in_verify_resize_then_delete(bench):
    bench.migrate()
    bench.act("os-resetState", {"state": "active"})
    bench.client.call("compute", "DELETE", f"/servers/{bench.id}")
    bench.cloud.settle()
    bench.cloud.audit()
    assert (bench.cloud.rows(bench.id), bench.folders("gpu-a"), bench.domain("gpu-a")) == ([], ["X_resize"], False)
    record = bench.cloud.migrations[0].uuid
    bench.cloud.restart_compute("gpu-a")
    bench.cloud.audit()
    assert bench.cards_in_placement(record) == (["gpu-a_0000:04:00.0"] if bench.cloud.tracking else [])
    assert (bench.folders("gpu-a"), bench.domain("gpu-a")) == ([], None)
    assert any("holds" in line for line in bench.cloud.broken())


def force_down(bench, down, host="gpu-a"):
    service = bench.cloud.hosts[host].service
    return bench.client.call("compute", "PUT", f"/os-services/{service}", {"forced_down": down})[1]["service"]


def evacuated(bench):
    bench.cloud.stop_compute("gpu-a", machine=True)
    force_down(bench, True)
    assert bench.act("evacuate", {"host": "gpu-b"})[0] == 200


def test_evacuate(bench):
    evacuated(bench)
    assert (bench.status(), bench.hosts_of_rows(), bench.records()) == (
        "SHUTOFF",
        ["gpu-a", "gpu-b"],
        [("done", "gpu-a", "gpu-b")],
    )
    assert (bench.domain("gpu-a"), bench.domain("gpu-b"), bench.folders("gpu-a"), bench.folders("gpu-b")) == (
        False,
        False,
        ["X"],
        ["X"],
    )
    assert bench.roots() == ["gpu-a", "gpu-b"]
    if bench.cloud.tracking:
        assert [name[:5] for name in bench.cards_in_placement()] == ["gpu-a", "gpu-b", "gpu-b"]


def test_evacuate_then_start(bench):
    evacuated(bench)
    bench.act("os-start")
    assert (bench.status(), bench.fault(), bench.domain("gpu-b")) == ("SHUTOFF", {}, None)
    assert bench.client.events(bench.id) == ("Error", {"compute_start_instance": "KeyError"})


def test_evacuate_then_the_old_host_returns(bench):
    evacuated(bench)
    with pytest.raises(Refused, match=r"400.*Unable to force up host gpu-a as `done` evacuation"):
        force_down(bench, False)
    bench.cloud.start_compute("gpu-a")
    assert bench.client.get("/os-services?host=gpu-a")["services"][0]["state"] == "down"
    assert force_down(bench, False)["state"] == "up"
    assert (bench.records(), bench.hosts_of_rows(), bench.domain("gpu-a"), bench.folders("gpu-a")) == (
        [("completed", "gpu-a", "gpu-b")],
        ["gpu-b"],
        None,
        [],
    )
    bench.act("os-start")
    assert (bench.status(), len(bench.cards_in_placement())) == ("ACTIVE", 2 if bench.cloud.tracking else 0)
    assert len(bench.cloud.broken()) == (1 if bench.cloud.tracking else 0)


def test_cold_migrate_where_the_alias_is_missing(bench):
    bench.cloud.hosts["gpu-b"].aliases.discard("gtx1080")
    bench.migrate()
    assert (
        bench.status(),
        bench.client.server(bench.id)["OS-EXT-SRV-ATTR:host"],
        bench.domain("gpu-a"),
        bench.hosts_of_rows(),
    ) == ("ERROR", "gpu-a", True, ["gpu-a"])
    assert bench.client.events(bench.id)[1]["compute_prep_resize"] == "PCI alias gtx1080 is not defined"
    bench.act("os-resetState", {"state": "active"})
    assert bench.cloud.broken() == []


# ---------------------------------------------------------------- sections 4 and 5


def test_states_on_the_way(off):
    off.cloud.freeze()
    off.client.act(off.id, "migrate", {"host": "gpu-b"})
    seen = []
    while off.one.task_state:
        shown = off.client.server(off.id)
        record = off.cloud.migrations[0].status
        seen.append(
            (
                shown["status"],
                shown["OS-EXT-STS:task_state"],
                shown["OS-EXT-SRV-ATTR:host"],
                record,
                len(off.cloud.rows(off.id)),
            )
        )
        off.cloud.advance(0.001)
    assert list(dict.fromkeys(seen)) == [
        ("RESIZE", "resize_prep", "gpu-a", "pre-migrating", 1),
        ("RESIZE", "resize_migrating", "gpu-a", "migrating", 2),
        ("RESIZE", "resize_migrated", "gpu-b", "post-migrating", 2),
        ("RESIZE", "resize_finish", "gpu-b", "post-migrating", 2),
    ]
    assert off.status() == "VERIFY_RESIZE"


def test_a_server_that_is_off_stays_off(off):
    off.act("os-stop")
    off.migrate()
    assert off.status() == "VERIFY_RESIZE"
    off.act("confirmResize")
    assert (off.status(), off.cloud.broken()) == ("SHUTOFF", [])


def test_no_free_card_on_the_other_host(off):
    fill(off)
    for said in (None, {"host": "gpu-b"}):
        assert off.act("migrate", said)[0] == 202
        assert (off.status(), off.fault()) == ("ACTIVE", {})
        text = "No valid host was found. No valid host found for cold migrate"
        assert off.client.events(off.id) == ("Error", {"cold_migrate": text, "conductor_migrate_server": text})
    assert off.records() == [("error", "gpu-a", None)] * 2
    assert off.cloud.broken() == []


def test_a_disabled_target_is_no_valid_host(off):
    off.client.call(
        "compute",
        "PUT",
        f"/os-services/{off.cloud.hosts['gpu-b'].service}",
        {"status": "disabled", "disabled_reason": "drained"},
    )
    off.migrate()
    assert (off.status(), off.records()) == ("ACTIVE", [("error", "gpu-a", None)])


def test_refusals_of_a_running_server(off):
    assert "400: " in off.refusal("migrate", {"host": "gpu-a"})
    assert "Cannot migrate to the host where the server exists." in off.refusal("migrate", {"host": "gpu-a"})
    assert "Compute host nosuch could not be found." in off.refusal("migrate", {"host": "nosuch"})
    assert off.refusal("os-start").startswith("409")
    assert "400" in off.refusal("migrate", {"host": "gpu-b"}, version="2.55")
    force_down(off, True)
    assert (
        off.refusal("migrate", {"host": "gpu-b"})
        == '409: {"conflictingRequest": {"code": 409, "message": "Service is unavailable at this time."}}'
    )


def test_refusals_of_a_stopped_server(off):
    off.act("os-stop")
    assert f"Cannot 'stop' instance {off.id} while it is in vm_state stopped" in off.refusal("os-stop")


def test_a_busy_server_takes_nothing_else(off):
    off.cloud.freeze()
    off.client.act(off.id, "migrate", None)
    for name in ("migrate", "os-stop", "shelve"):
        assert "while it is in task_state resize_prep" in off.refusal(name)
    assert len(off.cloud.migrations) == 1


@pytest.mark.parametrize("name", ["confirmResize", "revertResize", "os-start", "migrate", "shelve"])
def test_what_error_refuses(off, name):
    failed_finish(off)
    assert off.refusal(name).startswith("409")


def test_a_migration_back_takes_a_second_card_after_a_leak(off):
    failed_finish(off)
    off.act("os-resetState", {"state": "active"})
    off.migrate("gpu-a")
    assert off.hosts_of_rows() == ["gpu-a", "gpu-a", "gpu-b"]


def test_delete_frees_the_leaked_card_at_the_next_audit(off):
    failed_finish(off)
    off.client.call("compute", "DELETE", f"/servers/{off.id}")
    off.cloud.settle()
    assert off.cloud.rows(off.id) == [("gpu-a", "0000:04:00.0")]
    off.cloud.audit()
    assert off.cloud.rows(off.id) == []
    with pytest.raises(Refused, match="404"):
        off.client.server(off.id)


def test_start_on_a_card_that_another_guest_has(off):
    off.act("os-stop")
    off.cloud.occupy("gpu-a", "0000:04:00.0")
    off.act("os-start")
    assert (off.status(), off.fault(), off.domain("gpu-a")) == ("SHUTOFF", {}, None)
    assert off.client.events(off.id) == ("Error", {"compute_start_instance": "libvirtError"})
    off.cloud.vacate("gpu-a", "0000:04:00.0")
    off.act("os-start")
    assert (off.status(), off.cloud.broken()) == ("ACTIVE", [])


def test_confirm_takes_the_old_record_after_a_reset_state_too_early(off):
    off.migrate()
    off.act("os-resetState", {"state": "active"})
    off.migrate("gpu-a")
    assert off.cloud.happened.overlaps == [off.id]
    off.act("confirmResize")
    assert off.records() == [("confirmed", "gpu-a", "gpu-b"), ("finished", "gpu-b", "gpu-a")]
    assert off.roots(off.cloud.migrations[1].uuid) == ["gpu-b"]
    assert (off.folders("gpu-b"), off.domain("gpu-b")) == (["X_resize"], False)
    assert "gpu-b" in off.hosts_of_rows()
    assert off.cloud.happened.confirmed_unproven[0]["why"][-2:] == [
        "a newer migration is open",
        "nobody looked at it since it is VERIFY_RESIZE",
    ]
    off.client.call("compute", "DELETE", f"/servers/{off.id}")
    off.cloud.settle()
    off.cloud.audit()
    assert off.cloud.rows(off.id) == []


# ---------------------------------------------------------------- section 6


def test_evacuate_needs_a_dead_host(off):
    assert "Compute service of gpu-a is still in use." in off.refusal("evacuate", {"host": "gpu-b"})


def test_evacuate_below_2_95_starts_the_guest(off):
    off.cloud.stop_compute("gpu-a", machine=True)
    assert off.act("evacuate", {"host": "gpu-b"}, version="2.94")[0] == 200
    assert (off.status(), off.domain("gpu-b")) == ("ACTIVE", True)


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


def test_a_server_that_was_only_shelved_starts_where_it_is(off):
    off.cloud.configure(shelved_offload_time=-1)
    off.act("shelve")
    assert off.status() == "SHELVED"
    assert off.refusal("unshelve", {"host": "gpu-b"}).startswith("409")
    off.act("unshelve")
    assert (off.status(), off.cloud.broken()) == ("ACTIVE", [])


def test_a_server_that_found_no_host_at_birth(off):
    fill(off)
    off.cloud.add("gpu", specs={"pci_passthrough:alias": "gtx1080:3"})
    wish = {"server": {"name": "new", "flavorRef": "id-gpu", "networks": "none"}}
    made = off.client.call("compute", "POST", "/servers", wish)[1]["server"]["id"]
    off.cloud.settle()
    assert (
        off.client.server(made)["fault"]["message"] == "No valid host was found. There are not enough hosts available."
    )
    with pytest.raises(Refused, match="409"):
        off.client.act(made, "os-stop")


# ---------------------------------------------------------------- other releases (nova.md 4.5)


def test_25_gives_the_guest_both_cards():
    with of_release(25) as cloud:
        bench = Bench(cloud)
        bench.cloud.boot("in the way", "gpu-b")  # so that the addresses differ
        failed_finish(bench)
        for name, said in (("os-resetState", {"state": "active"}), ("os-stop", None), ("os-start", None)):
            bench.act(name, said)
        # The source's address is another guest's card here: libvirt refuses. Once it is nobody's, the guest gets both.
        assert (bench.one.vm_state, bench.client.events(bench.id)[0]) == ("stopped", "Error")
        assert "domain instance-00000002" in cloud.actions[bench.id][0].events[0].traceback
        cloud.hosts["gpu-b"].domains.clear()
        bench.act("os-start")
        assert bench.one.vm_state == "active"
        assert cloud.hosts["gpu-b"].domains[bench.id].hostdevs == ("0000:04:00.0", "0000:05:00.0")


def test_21_heals_and_the_recipe_of_2016_is_right():
    with of_release(21) as cloud:
        bench = Bench(cloud)
        failed_finish(bench)
        assert bench.hosts_of_rows() == ["gpu-a", "gpu-b"]
        cloud.audit()
        assert bench.hosts_of_rows() == ["gpu-b"]
        for name, said in (("os-resetState", {"state": "active"}), ("os-stop", None), ("os-start", None)):
            bench.act(name, said)
        cloud.hosts["gpu-a"].folders.clear()
        cloud.hosts["gpu-a"].domains.clear()  # what `rm -r <uuid>_resize` forgets
        assert cloud.broken() == []


def test_13_starts_the_guest_with_the_sources_address():
    with of_release(13) as cloud:
        bench = Bench(cloud)
        cloud.boot("in the way", "gpu-b")
        bench.act("migrate", None)
        assert bench.one.vm_state == "error"
        assert "0000:04:00.0 is in use by driver QEMU, domain instance-00000002" in bench.one.fault["details"]


def test_an_old_resize_is_confirmed_or_after_a_reset_state_given_up(off):
    off.cloud.configure(resize_confirm_window=60)
    off.migrate()
    off.cloud.advance(1)
    off.cloud.audit()
    off.cloud.settle()
    assert (off.status(), off.cloud.broken()) == ("ACTIVE", [])
    off.migrate("gpu-a")
    off.act("os-resetState", {"state": "active"})
    off.cloud.advance(1)
    off.cloud.audit()
    assert off.records()[1][0] == "error"
    assert off.hosts_of_rows() == ["gpu-a", "gpu-b"]


@pytest.mark.parametrize(("double", "held"), [(0.0, 1), (1.0, 2)])
def test_the_double_allocation_is_a_setting_and_takes_a_card_away(double, held):
    with MovesSim(tracking=True, double=double) as cloud:
        cloud.add_host("gpu-a", ["h100"] * 2)
        cloud.add_host("gpu-b", ["h100"] * 2)
        one = cloud.boot("guest", "gpu-a", "h100:1")
        client = Client(cloud.url)
        client.act(one.id, "migrate", {"host": "gpu-b"})
        cloud.settle()
        client.server(one.id)
        client.act(one.id, "confirmResize")
        cloud.settle()
        assert len(cloud.placement.providers_of(one.id, "CUSTOM_PCI")) == held
        two = cloud.boot("second", "gpu-a", "h100:1")
        client.act(two.id, "migrate", {"host": "gpu-b"})
        cloud.settle()
        assert (cloud.migrations[-1].status == "error") == (held == 2)
        assert cloud.happened.confirmed_unproven == []


# ---------------------------------------------------------------- the rest of the API


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


# ---------------------------------------------------------------- faults of HTTP


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


# ---------------------------------------------------------------- of the simulator


@pytest.mark.parametrize("release", [15, 34])
def test_services_are_named_by_host_until_2_52_and_by_uuid_since(release):
    with of_release(release) as cloud:
        bench = Bench(cloud)
        [service] = bench.client.get("/os-services?binary=nova-compute&host=gpu-b")["services"]
        assert isinstance(service["id"], int) == (release == 15)
        who = {"host": "gpu-b", "binary": "nova-compute", "disabled_reason": "drained"}
        if release == 15:
            bench.client.call("compute", "PUT", "/os-services/disable-log-reason", who)
            bench.client.call("compute", "PUT", "/os-services/force-down", {**who, "forced_down": True})
        else:
            said = {"status": "disabled", "disabled_reason": "drained", "forced_down": True}
            bench.client.call("compute", "PUT", f"/os-services/{service['id']}", said)
        host = cloud.hosts["gpu-b"]
        assert (host.disabled, host.disabled_reason, host.state) == (True, "drained", "down")


def test_audits_come_by_themselves_if_told(off):
    off.cloud.configure(audit_every=60)
    failed_finish(off)
    off.client.call("compute", "DELETE", f"/servers/{off.id}")
    off.cloud.settle()
    assert len(off.cloud.rows(off.id)) == 1
    off.cloud.advance(61)
    assert off.cloud.rows(off.id) == []


def test_truth_finds_what_is_wrong(off):
    off.cloud.boot("other", "gpu-a")
    assert off.cloud.broken() == []
    card = off.cloud.hosts["gpu-a"].cards[2]
    card.take(off.id, None)
    off.cloud.hosts["gpu-b"].folders.add(f"{off.id}_resize")
    off.cloud.hosts["gpu-a"].domains[off.id].hostdevs = ("0000:05:00.0",)
    found = "\n".join(off.cloud.broken())
    for part in (
        "asks for 1 cards",
        "_resize on gpu-b",
        "has the host devices",
        "gpu-a/0000:05:00.0 is in 2 running guests",
    ):
        assert part in found
    assert len(off.cloud.owners()["gpu-a/0000:05:00.0"]["domains"]) == 2


def test_reset_is_a_new_cloud_at_the_same_address(off):
    failed_finish(off)
    url = off.cloud.url
    off.cloud.reset(tracking=True)
    assert (off.cloud.url, off.cloud.servers, off.cloud.migrations, off.cloud.broken()) == (url, {}, [], [])
    bench = Bench(off.cloud)
    bench.migrate()
    assert bench.status() == "VERIFY_RESIZE"


def test_two_runs_of_a_seed_are_the_same():
    ids = []
    for _ in range(2):
        with MovesSim(seed=7) as cloud:
            ids.append([one.id for one in cloud.populate(2, 8, stopped=0.5, volumes=0.5, plain=1)])
            assert cloud.broken() == []
    assert ids[0] == ids[1]


def test_thirty_two_moves_at_once():
    with MovesSim() as cloud:
        servers = cloud.populate(9, 32, empty=5, per_host=8)
        client = Client(cloud.url)
        for one in servers:
            client.act(one.id, "migrate", None)
        cloud.settle()
        for one in servers:
            if client.server(one.id)["status"] == "VERIFY_RESIZE":
                client.act(one.id, "confirmResize")
        cloud.settle()
        moved = [one for one in cloud.migrations if one.status == "confirmed"]
        assert len(moved) >= 24  # some lose the race for a card, as in Nova
        assert cloud.happened.confirmed_unproven == []


def test_a_cloud_in_another_process(tmp_path):
    root = Path(__file__).resolve().parents[2]
    words = [sys.executable, "-m", "tests.sim.cloud", "--hosts", "2", "--servers", "3", "--folder", str(tmp_path)]
    process = subprocess.Popen(words, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        said = json.loads(process.stdout.readline())
        remote = RemoteSim(said["url"])
        assert json.loads(Path(said["clouds_yaml"]).read_text())["clouds"]["sim"]
        one = remote.server_state("vm-0001")
        remote.inject(one["host"], "ssh")
        Client(said["url"]).act(one["id"], "migrate")
        remote.settle()
        assert len(remote.rows(one["id"])) == 2
        assert len(remote.broken()) == 1
        with pytest.raises(Refused, match="404"):
            remote.nonsense()
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def test_another_clouds_clouds_yaml_is_left_alone(tmp_path):
    file = tmp_path / "clouds.yaml"
    file.write_text("somebody's")
    words = [sys.executable, "-m", "tests.sim.cloud", "--folder", str(tmp_path)]
    done = subprocess.run(
        words,
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, file.read_text()) == (2, "somebody's")
    assert "has a clouds.yaml already" in done.stderr


def test_real_time_moves_it_without_any_help():
    with MovesSim(pace=0.001) as cloud:
        bench = Bench(cloud)
        bench.client.act(bench.id, "migrate", None)
        deadline = time.monotonic() + 30
        while bench.status() != "VERIFY_RESIZE":
            assert time.monotonic() < deadline
