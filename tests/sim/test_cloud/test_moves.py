"""Section 9 of facts/openstack-lab.md, row by row: what goes well, and a reset-state in between."""

from __future__ import annotations


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
