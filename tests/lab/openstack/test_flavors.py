"""`gpuctl flavor` on a real Nova: applied, drifted and repaired, replaced, pruned; servers boot with each kind of alias.

Slow (about two minutes, one lab for the whole module), and skipped where the packages cannot be had.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("click")

from gpuctl.cli.main import main
from tests.lab.openstack import Lab, Unavailable

pytestmark = [pytest.mark.lab_openstack, pytest.mark.timeout(900)]

CATALOGUE = """
schema: gpuctl.flavor.catalogue/1
catalogue: farm
defaults: {vcpus: 2, ram: 2 GiB, disk: 10, hide_kvm: true}
flavors:
  - {name: gtx.1, gpus: [{alias: gtx1080, count: 1}], access: [admin]}
  - {name: a100.2, gpus: [{alias: a100, count: 2}], hide_kvm: false}
  - {name: both, gpus: [{alias: gtx1080, count: 1}, {alias: a100, count: 1}], description: "one of each"}
  - {name: big, gpus: [{alias: a100, count: 1}], address_bits: 46, numa: {nodes: 1, gpu_affinity: preferred}, traits: {CUSTOM_X: required}}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab of its own for this module."""
    one = Lab(tmp_path_factory.mktemp("lab-flavors"))
    try:
        one.up()
    except Unavailable as error:
        pytest.skip(str(error))
    yield one
    one.down(purge=True)


@pytest.fixture(autouse=True)
def _clean(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The lab is the cloud that is meant, and each test leaves it empty."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(lab.layout.clouds_yaml))
    monkeypatch.setenv("OS_CLOUD", "gpuctl-lab")
    yield
    lab.reset()


@pytest.fixture
def gpuctl(lab: Lab, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command line; return (exit code, stdout, stderr). Libvirt is in reach: the lab's domains are."""

    def domain(host: str, name: str) -> str | None:
        return next((one.xml for one in lab.domains(host) if one.name == name), None)

    def run(*words: object) -> tuple[int, str, str]:
        code = main(["flavor", *map(str, words)], obj={"domain_reader": domain})
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def apply(gpuctl: Any, tmp_path: Path) -> Any:
    """Apply a catalogue's text; return (exit code, document or message)."""

    def run(text: str, *words: str) -> tuple[int, Any]:
        (tmp_path / "c.yaml").write_text(text)
        code, out, err = gpuctl("apply", tmp_path / "c.yaml", "--yes", "-f", "json", *words)
        return code, json.loads(out) if out else err

    return run


def stored(lab: Lab) -> dict[str, dict[str, Any]]:
    """Every flavor of the cloud, by name."""
    found = lab.rest.call("compute", "GET", "/flavors/detail?is_public=None")["flavors"]
    return {one["name"]: one for one in found}


def row(document: Any, name: str) -> dict[str, Any]:
    """A flavor's row of a result."""
    return next(one for one in document["flavors"] if one["name"] == name)


def test_from_nothing_and_again(lab: Lab, apply: Any) -> None:
    code, document = apply(CATALOGUE)
    assert code == 0, document
    found = stored(lab)
    assert found["big"]["extra_specs"] == {
        "gpuctl:catalogue": "farm",
        "pci_passthrough:alias": "a100:1",
        "hw:hide_hypervisor_id": "true",
        "hw:maxphysaddr_mode": "emulate",
        "hw:maxphysaddr_bits": "46",
        "hw:numa_nodes": "1",
        "hw:pci_numa_affinity_policy": "preferred",
        "trait:CUSTOM_X": "required",
    }
    assert found["both"]["description"] == "one of each"
    assert not any(one["os-flavor-access:is_public"] for one in found.values())
    code, document = apply(CATALOGUE)
    assert (code, document["changed"]) == (0, False)


def test_drifted_by_hand_and_repaired(lab: Lab, apply: Any) -> None:
    apply(CATALOGUE)
    ids = {name: one["id"] for name, one in stored(lab).items()}
    call = lab.rest.call
    call(
        "compute",
        "POST",
        f"/flavors/{ids['gtx.1']}/os-extra_specs",
        {"extra_specs": {"pci_passthrough:alias": "a100:1", "foo:bar": "1"}},
    )
    lab.rest.delete("compute", f"/flavors/{ids['gtx.1']}/os-extra_specs/hw:hide_hypervisor_id")
    call("compute", "PUT", f"/flavors/{ids['both']}", {"flavor": {"description": "somebody was here"}})
    lab.rest.delete("compute", f"/flavors/{ids['a100.2']}")
    before = stored(lab)
    code, document = apply(CATALOGUE, "--dry-run")
    assert (code, document["changed"]) == (0, True)
    assert stored(lab) == before
    code, document = apply(CATALOGUE)
    assert code == 0, document
    assert [one["action"] for one in document["flavors"]] == ["repair", "create", "repair", "none"]
    found = stored(lab)
    assert found["gtx.1"]["extra_specs"] == {
        "gpuctl:catalogue": "farm",
        "pci_passthrough:alias": "gtx1080:1",
        "hw:hide_hypervisor_id": "true",
    }
    assert found["both"]["description"] == "one of each"
    assert apply(CATALOGUE)[1]["changed"] is False


def test_replaced_and_pruned(lab: Lab, apply: Any) -> None:
    apply(CATALOGUE)
    before = stored(lab)
    changed = CATALOGUE.replace("vcpus: 2", "vcpus: 3").replace("  - {name: both", "  #")
    code, document = apply(changed)
    assert (code, row(document, "gtx.1")["state"], row(document, "gtx.1")["servers"]) == (1, "waiting", 0)
    code, document = apply(changed, "--replace", "--prune")
    assert code == 0, document
    after = stored(lab)
    assert set(after) == {"gtx.1", "a100.2", "big"}
    assert (after["gtx.1"]["vcpus"], after["gtx.1"]["id"]) == (3, before["gtx.1"]["id"])
    assert lab.rest.call("compute", "GET", f"/flavors/{after['gtx.1']['id']}/os-flavor-access")["flavor_access"]
    assert apply("schema: gpuctl.flavor.catalogue/1\ncatalogue: farm\nflavors: []\n", "--prune")[0] == 0
    assert stored(lab) == {}


def test_exported_and_applied_changes_nothing(lab: Lab, gpuctl: Any, apply: Any) -> None:
    apply(CATALOGUE)
    make = {"id": "by-hand", "name": "by hand", "vcpus": 1, "ram": 1000, "disk": 0, "swap": 64}
    lab.rest.call("compute", "POST", "/flavors", {"flavor": make})
    lab.rest.call(
        "compute", "POST", "/flavors/by-hand/os-extra_specs", {"extra_specs": {"pci_passthrough:alias": "x:1, y:2"}}
    )
    code, out, err = gpuctl("export", "--all")
    assert (code, err) == (0, "")
    code, document = apply(out)
    assert (code, document["changed"], len(document["flavors"])) == (0, False, 5)


def test_bad_specs_are_refused_by_us_and_by_nova(lab: Lab, apply: Any) -> None:
    head = "schema: gpuctl.flavor.catalogue/1\nflavors: [{name: bad, vcpus: 1, ram: 1024, disk: 1, "
    for ours in (
        'extra_specs: {"hw:hide_hypervisor": true}',
        'extra_specs: {"pci_passthrough:alias": nvidia}',
        "gpus: [{alias: x, count: 0}]",
    ):
        code, err = apply(head + ours + "}]\n")
        assert code == 2, err
    for novas in ('"hw:cpu_policy": weird', '"resources:CUSTOM_GPU": x', '"hw:pci_numa_affinity_policy": bad'):
        code, document = apply(head + "extra_specs: {" + novas + "}}]\n")
        assert (code, row(document, "bad")["state"]) == (1, "failed")
        assert "Validation failed" in row(document, "bad")["error"]["details"]
    assert stored(lab) == {}


@pytest.mark.parametrize(("name", "cards", "hidden"), [("gtx.1", 1, True), ("a100.2", 2, False), ("both", 2, True)])
def test_a_server_boots_with_each_kind_of_alias(
    lab: Lab, gpuctl: Any, apply: Any, name: str, cards: int, hidden: bool
) -> None:
    apply(CATALOGUE)
    code, out, err = gpuctl("verify", name, "-f", "json")
    assert code == 0, out + err
    proof = json.loads(out)
    assert (proof["good"], proof["status"], proof["kvm_hidden"]) == (True, "ACTIVE", hidden)
    assert {one["by"]: one["count"] for one in proof["gpus"]["seen"]} == {"nova": cards, "libvirt": cards}
    assert [one["step"] for one in proof["steps"]] == ["create", "boot", "look", "delete"]
    assert lab.rest.call("compute", "GET", "/servers?all_tenants=1")["servers"] == []


def test_an_alias_that_no_host_has_is_shown_by_a_boot(lab: Lab, gpuctl: Any, apply: Any) -> None:
    apply(CATALOGUE.replace("alias: a100, count: 2", "alias: nosuch, count: 2"))
    code, out, err = gpuctl("verify", "a100.2")
    assert code == 1
    assert "PCI alias nosuch is not defined" in out + err


def test_too_many_cards_are_told_and_the_server_is_gone(lab: Lab, gpuctl: Any, apply: Any) -> None:
    apply(CATALOGUE.replace("alias: a100, count: 2", "alias: a100, count: 9"))
    code, out, _ = gpuctl("verify", "a100.2", "-f", "json")
    proof = json.loads(out)
    assert (code, proof["status"], proof["good"]) == (1, "ERROR", False)
    assert "No valid host" in proof["error"]["details"]
    assert lab.rest.call("compute", "GET", "/servers?all_tenants=1")["servers"] == []


def test_a_server_that_fails_to_start_is_deleted_too(lab: Lab, gpuctl: Any, apply: Any) -> None:
    apply(CATALOGUE)
    lab.inject("gpu-a", "spawn", times=3)
    code, out, _ = gpuctl("verify", "gtx.1", "--host", "gpu-a", "-f", "json")
    assert (code, json.loads(out)["status"]) == (1, "ERROR")
    assert lab.rest.call("compute", "GET", "/servers?all_tenants=1")["servers"] == []


def test_placement_counts_where_devices_are_tracked(lab: Lab, gpuctl: Any, apply: Any) -> None:
    lab.track_in_placement(on=True)
    apply(CATALOGUE)
    began = time.monotonic()
    while True:
        code, out, _ = gpuctl("verify", "a100.2", "-f", "json")
        proof = json.loads(out)
        if code == 0 or time.monotonic() - began > 60:  # the computes report their devices a moment after their start
            break
    assert {one["by"]: one["count"] for one in proof["gpus"]["seen"]} == {"nova": 2, "placement": 2, "libvirt": 2}
