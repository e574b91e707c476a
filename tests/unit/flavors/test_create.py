"""`gpuctl flavor create`, `list`, `show` and `export`, as a user meets them, on a cloud in memory."""

from __future__ import annotations

import json

import pytest

from tests.unit.flavors.test_apply import R

CREATE = ("create", "gpu.h", "--gpus", "2", "--vcpus", "4", "--ram", "16GiB", "--disk", "20", "--yes")


def test_create_makes_one_hidden_private_flavor(gpuctl, cloud):
    code, out, err = gpuctl(*CREATE, "--alias", "h100x", "--project", "research", "--property", "a=b", "-f", "json")
    assert code == 0, err
    assert json.loads(out)["flavors"][0]["state"] == "done"
    flavor = cloud.named("gpu.h")[0]
    assert flavor.specs == {"pci_passthrough:alias": "h100x:2", "hw:hide_hypervisor_id": "true", "a": "b"}
    assert (flavor.body["ram"], flavor.body["disk"], flavor.public, flavor.access) == (16384, 20, False, {R})
    assert gpuctl(*CREATE, "--alias", "h100x", "--project", "research", "--property", "a=b")[0] == 0


def test_create_leaves_another_flavor_of_that_name_alone_and_finishes_half_made_ones(gpuctl, cloud):
    cloud.add("gpu.h", vcpus=4, ram=16384, disk=20, specs={"somebodys": "own"})
    before = cloud.snapshot()
    code, _, err = gpuctl(*CREATE)
    assert (code, cloud.snapshot()) == (3, before)
    assert "extra_specs.somebodys: is own, not None" in err
    cloud.flavors.clear()
    cloud.add("gpu.h", vcpus=4, ram=16384, disk=20)
    assert gpuctl(*CREATE)[0] == 0
    assert cloud.named("gpu.h")[0].specs["pci_passthrough:alias"] == "nvidia:2"


def test_create_by_model_takes_what_the_card_needs(gpuctl, cloud):
    assert gpuctl(*CREATE, "--model", "10de:2330")[0] == 0
    assert cloud.named("gpu.h")[0].specs == {
        "pci_passthrough:alias": "h100-sxm:2",
        "hw:maxphysaddr_mode": "passthrough",
    }


@pytest.mark.parametrize(
    "more",
    [
        ("--alias", "a:b"),
        ("--alias", "a", "--model", "L4"),
        ("--model", "nosuch"),
        ("--property", "a"),
        ("--ram", "16GB?"),
    ],
)
def test_create_refuses_bad_words(gpuctl, cloud, more):
    code, _, err = gpuctl(*CREATE, *more)
    assert code == 2, err
    assert cloud.flavors == {}


def test_list_and_show(gpuctl, apply, cloud, catalogue):
    apply(catalogue)
    cloud.add("plain")
    code, out, _ = gpuctl("list", "-f", "json")
    assert [row["name"] for row in json.loads(out)["flavors"]] == ["gpu.1", "gpu.2", "gpu.4"]
    assert "plain" in gpuctl("list", "--all")[1]
    code, out, _ = gpuctl("show", "gpu.1", "-f", "json")
    assert (code, json.loads(out)["access"]) == (0, [R])
    code, _, err = gpuctl("show", "nosuch")
    assert code == 1
    assert "no flavor nosuch" in err


def test_export_and_apply_changes_nothing(gpuctl, apply, cloud, catalogue, tmp_path):
    apply(catalogue)
    cloud.add(
        "odd",
        specs={
            "pci_passthrough:alias": "a:1, b:2",
            "hw:cpu_policy": "weird",
            "hw:numa_nodes": "x",
            "hw:hide_hypervisor_id": "yes",
        },
    )
    cloud.add(
        "old", specs={"pci_passthrough:alias": "a:1", "hide_hypervisor_id": "true", "trait:X": "required"}, ram=1000
    )
    cloud.add("plain", **{"os-flavor-access:is_public": True, "swap": 512, "description": "for: all"})
    code, out, err = gpuctl("export", "--all")
    assert (code, err) == (0, "")
    cloud.asked.clear()
    code, document = apply(out)
    assert (code, document["changed"], cloud.writes()) == (0, False, [])
    assert len(document["flavors"]) == 6


def test_export_of_one_catalogue_keeps_its_name(gpuctl, apply, cloud, catalogue):
    apply(catalogue)
    cloud.add("by-hand", specs={"pci_passthrough:alias": "x:1"})
    code, out, _ = gpuctl("export", "--catalogue", "farm")
    assert code == 0
    assert "catalogue: farm" in out
    assert "by-hand" not in out
    assert apply(out, "--prune")[1]["changed"] is False


def test_export_says_what_no_catalogue_can_hold(gpuctl, cloud):
    cloud.add("bad", specs={"pci_passthrough:alias": "nvidia"})
    code, _, err = gpuctl("export")
    assert code == 5
    assert "left out: bad" in err
