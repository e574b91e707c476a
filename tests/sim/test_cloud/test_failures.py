"""Section 9 of facts/openstack-lab.md, row by row: a move that fails, and what is tried then."""

from __future__ import annotations

import pytest

from tests.sim.test_cloud.bench import BUSY, failed_finish


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
