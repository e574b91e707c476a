"""The lab tests itself: what it promises in README.md is so.

Slow (about two minutes, one lab for the whole module), and skipped where the packages cannot be had.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.openstack import Lab, Unavailable, layout, process

pytestmark = [pytest.mark.lab_openstack, pytest.mark.timeout(900)]

GTX, A100 = "gtx1080:1", "a100:1"
SOON_S = 120.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab of its own for this module."""
    one = Lab(tmp_path_factory.mktemp("lab-openstack"))
    try:
        one.up()
    except Unavailable as error:
        pytest.skip(str(error))
    try:
        yield one
    finally:
        # The logs of a failure are worth their space.
        one.down(purge=not request.session.testsfailed)


@pytest.fixture(autouse=True)
def _clean(lab: Lab) -> Iterator[None]:
    """Each test leaves an empty cloud."""
    yield
    if lab.status()["mariadb"]:
        lab.reset()


def until(condition: Callable[[], Any], what: str) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + SOON_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {SOON_S:.0f} s: {what}"
        time.sleep(0.2)
    return value


def make_flavor(lab: Lab, name: str, specs: dict[str, str]) -> None:
    """A flavor with these extra specs, whose id is its name."""
    wish = {"id": name, "name": name, "vcpus": 2, "ram": 2048, "disk": 10}
    lab.rest.call("compute", "POST", "/flavors", {"flavor": wish})
    lab.rest.call("compute", "POST", f"/flavors/{name}/os-extra_specs", {"extra_specs": specs})


def boot(lab: Lab, alias: str, host: str, **specs: str) -> str:
    """The id of a server that runs on the host with the alias's device."""
    name = f"gpu-{alias.replace(':', '-')}"
    make_flavor(lab, name, {"pci_passthrough:alias": alias, **specs})
    wish = {"name": "guest", "flavorRef": name, "imageRef": lab.image_id(), "networks": "none", "host": host}
    server = lab.rest.call("compute", "POST", "/servers", {"server": wish})["server"]["id"]
    assert until(lambda: settled(lab, server), "boot")["status"] == "ACTIVE", show(lab, server)
    return str(server)


def show(lab: Lab, server: str) -> dict[str, Any]:
    """The server as the API shows it."""
    found: dict[str, Any] = lab.rest.call("compute", "GET", f"/servers/{server}")["server"]
    return found


def settled(lab: Lab, server: str) -> dict[str, Any] | None:
    """The server, once nothing is being done to it."""
    found = show(lab, server)
    return found if found["OS-EXT-STS:task_state"] is None and found["status"] != "BUILD" else None


def action(lab: Lab, server: str, body: dict[str, Any]) -> None:
    """The API took the request."""
    lab.rest.call("compute", "POST", f"/servers/{server}/action", body)


def rows_of(lab: Lab, server: str) -> list[tuple[str, str, str]]:
    """Host, address and status of the devices that Nova's books give to the server."""
    return [(r["host"], r["address"], r["status"]) for r in lab.pci_rows() if r["instance_uuid"] == server]


def test_both_computes_are_up_and_their_cards_are_known(lab: Lab) -> None:
    assert len(lab.rest.token()) > 20
    services = lab.rest.call("compute", "GET", "/os-services?binary=nova-compute")["services"]
    assert {(s["host"], s["state"]) for s in services} == {("gpu-a", "up"), ("gpu-b", "up")}
    kinds = [(r["host"], r["product_id"], r["dev_type"]) for r in lab.pci_rows()]
    for host in ("gpu-a", "gpu-b"):
        assert kinds.count((host, "1b80", "type-PCI")) == 3
        assert kinds.count((host, "20b0", "type-PF")) == 2
    # The audio functions and the NIC match no device_spec.
    assert len(kinds) == 10


@pytest.mark.parametrize(("alias", "product"), [(GTX, "1b80"), (A100, "20b0")])
def test_a_server_gets_its_device_and_gives_it_back(lab: Lab, alias: str, product: str) -> None:
    server = boot(lab, alias, "gpu-a", **{"hw:hide_hypervisor_id": "true"})
    [(host, address, status)] = rows_of(lab, server)
    assert (host, status) == ("gpu-a", "allocated")
    assert {r["product_id"] for r in lab.pci_rows() if r["address"] == address} == {product}
    [domain] = lab.domains("gpu-a")
    assert (domain.uuid, domain.running, domain.hostdevs, domain.hides_kvm) == (server, True, (address,), True)
    assert list(lab.allocations(server)) == ["gpu-a"]
    lab.rest.delete("compute", f"/servers/{server}")
    until(lambda: not lab.domains("gpu-a"), "the domain's end")
    until(lambda: not rows_of(lab, server), "the device's freedom")
    assert {r["status"] for r in lab.pci_rows()} == {"available"}


def test_a_cold_migration_moves_the_device(lab: Lab) -> None:
    server = boot(lab, GTX, "gpu-a")
    action(lab, server, {"migrate": None})
    assert until(lambda: settled(lab, server), "migration")["status"] == "VERIFY_RESIZE", show(lab, server)
    assert sorted(host for host, _, _ in rows_of(lab, server)) == ["gpu-a", "gpu-b"]
    assert lab.instance_folders("gpu-a") == [f"{server}_resize"]
    action(lab, server, {"confirmResize": None})
    until(lambda: show(lab, server)["status"] == "ACTIVE" and not lab.domains("gpu-a"), "confirmation")
    [(host, address, _)] = until(lambda: len(rows_of(lab, server)) == 1 and rows_of(lab, server), "one row")
    assert host == "gpu-b"
    assert [d.hostdevs for d in lab.domains("gpu-b")] == [(address,)]
    assert lab.instance_folders("gpu-a") == []


def test_the_scripted_fault_ends_a_migration_in_error_and_leaks(lab: Lab) -> None:
    server = boot(lab, GTX, "gpu-a")
    lab.inject("gpu-b", "finish_migration")
    action(lab, server, {"migrate": {"host": "gpu-b"}})
    found = until(lambda: settled(lab, server), "migration")
    assert found["status"] == "ERROR"
    assert "is in use by driver QEMU" in found["fault"]["details"]
    assert [m["status"] for m in lab.migrations(server)] == ["error"]
    assert [e["step"] for e in lab.faults("gpu-b").events()] == ["domain_create"]
    lab.audit()
    # This is what today's Nova leaves behind, and why gpuctl has a recover command.
    assert sorted(host for host, _, _ in rows_of(lab, server)) == ["gpu-a", "gpu-b"]


def test_a_failed_ssh_leaves_the_server_running_and_leaks(lab: Lab) -> None:
    server = boot(lab, GTX, "gpu-a")
    lab.inject("gpu-a", "ssh")
    action(lab, server, {"migrate": {"host": "gpu-b"}})
    until(lambda: [m["status"] for m in lab.migrations(server)] == ["error"], "the migration's failure")
    assert until(lambda: settled(lab, server), "rollback")["status"] == "ACTIVE"
    assert sorted(host for host, _, _ in rows_of(lab, server)) == ["gpu-a", "gpu-b"]


def test_a_step_can_be_held(lab: Lab) -> None:
    server = boot(lab, GTX, "gpu-a")
    hold = lab.hold("gpu-b", "finish_migration.enter")
    action(lab, server, {"migrate": None})
    hold.wait_reached()
    assert show(lab, server)["OS-EXT-STS:task_state"] == "resize_finish"
    hold.release()
    assert until(lambda: settled(lab, server), "migration")["status"] == "VERIFY_RESIZE"


def test_a_shelved_server_comes_back_on_the_other_host(lab: Lab) -> None:
    server = boot(lab, A100, "gpu-a")
    action(lab, server, {"shelve": None})
    until(lambda: show(lab, server)["status"] == "SHELVED_OFFLOADED", "shelving")
    until(lambda: not rows_of(lab, server), "the device's freedom")
    action(lab, server, {"unshelve": {"host": "gpu-b"}})
    until(lambda: show(lab, server)["status"] == "ACTIVE", "unshelving")
    [(host, address, _)] = rows_of(lab, server)
    assert (host, [d.hostdevs for d in lab.domains("gpu-b")]) == ("gpu-b", [(address,)])


def test_a_compute_that_was_killed_comes_back_with_its_guests(lab: Lab) -> None:
    server = boot(lab, GTX, "gpu-b")
    lab.stop_compute("gpu-b")
    assert lab.status()["compute-gpu-b"] == []
    lab.up()
    assert [(d.uuid, d.running) for d in lab.domains("gpu-b")] == [(server, True)]
    assert show(lab, server)["status"] == "ACTIVE"


def test_aliases_can_be_changed(lab: Lab) -> None:
    alias = '{"name": "nvidia", "vendor_id": "10de", "product_id": "1b80", "device_type": "type-PCI"}'
    lab.restart("nova", {"pci": {"alias": [alias]}})
    assert rows_of(lab, boot(lab, "nvidia:1", "gpu-b"))[0][0] == "gpu-b"
    lab.reset()
    lab.restart("nova", replace=True)


def test_placement_can_track_the_devices_and_be_turned_back(lab: Lab) -> None:
    lab.track_in_placement(on=True)
    server = boot(lab, GTX, "gpu-a")
    [(_, address, _)] = rows_of(lab, server)
    assert lab.allocations(server)[f"gpu-a_{address}"] == {"CUSTOM_PCI_10DE_1B80": 1}
    lab.reset()
    lab.track_in_placement(on=False)
    assert list(lab.allocations(boot(lab, GTX, "gpu-a"))) == ["gpu-a"]


def test_down_leaves_no_process_and_no_port(lab: Lab) -> None:
    ports = lab.layout.ports()
    pids = [pid for some in process.find(lab.layout.state).values() for pid in some]
    assert len(pids) >= len(lab.status())
    lab.down()
    assert process.find(lab.layout.state) == {}
    assert [pid for pid in pids if (Path("/proc") / str(pid) / "cmdline").exists() and not _is_zombie(pid)] == []
    assert all(layout.is_free(getattr(ports, name)) for name in layout.Ports.__dataclass_fields__)


def test_a_killed_up_is_finished_by_the_next(lab: Lab) -> None:
    lab.down()
    command = [sys.executable, "-m", "tests.lab.openstack", "up", "--state", str(lab.layout.state)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.DEVNULL) as up:
        until(lambda: "rabbitmq" in process.find(lab.layout.state), "the broker's start")
        up.kill()
    before = process.find(lab.layout.state)
    lab.up()
    after = process.find(lab.layout.state)
    assert all(lab.status().values())
    assert after["mariadb"] == before["mariadb"]


def _is_zombie(pid: int) -> bool:
    """The process has ended; only its parent has not asked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
