"""Sections 4, 5 and 6 of facts/openstack-lab.md: the states on the way, what is refused in them, and who gets which card."""

from __future__ import annotations

import pytest

from tests.sim.cloud.client import Refused
from tests.sim.test_cloud.bench import failed_finish, fill, force_down


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
