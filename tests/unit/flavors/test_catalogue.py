"""Catalogues: the schema, the ready ones, and one message a mistake."""

from __future__ import annotations

import json

import pytest

jsonschema = pytest.importorskip("jsonschema")

from gpuctl.flavors.catalogue import load, load_file, mib  # noqa: E402
from gpuctl.flavors.data import ready, schema_file  # noqa: E402
from gpuctl.flavors.devices import devices, find  # noqa: E402
from gpuctl.flavors.errors import BadCatalogue  # noqa: E402
from gpuctl.flavors.model import Gpus  # noqa: E402
from gpuctl.flavors.specs import extra_specs  # noqa: E402

HEAD = "schema: gpuctl.flavor.catalogue/1\ncatalogue: c\nflavors:\n"
GOOD = "  - {name: a, vcpus: 1, ram: 1024, disk: 1"


def one(tmp_path, text):
    file = tmp_path / "c.yaml"
    file.write_text(HEAD + text)
    return load_file(file)


def wrong(tmp_path, text):
    with pytest.raises(BadCatalogue) as caught:
        one(tmp_path, text)
    return f"{caught.value.brief}\n{caught.value.details}\n{caught.value.resolution}"


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_file().read_text()))


MODELS = [
    "1b80",
    "17c2",
    "2684",
    "2b85",
    "1eb8",
    "1db6",
    "2236",
    "20b2",
    "20b5",
    "27b8",
    "26b9",
    "2330",
    "2335",
    "2901",
    "740f",
    "74a1",
]


def test_every_card_that_people_have_is_in_a_ready_catalogue():
    asked = {gpu.alias for entry in load(ready()) for gpu in entry.gpus}
    for model in MODELS:
        device = find(f"10de:{model}") or find(f"1002:{model}")
        assert device.alias in asked, model


@pytest.mark.parametrize("file", ready(), ids=lambda file: file.stem)
def test_a_ready_catalogue_is_valid_and_its_name_is_its_file(file):
    entries = load_file(file)
    assert {entry.catalogue for entry in entries} == {file.stem}
    for entry in entries:
        specs, notes = extra_specs(entry, (2, 104))
        assert specs["pci_passthrough:alias"]
        assert not notes
        consumer = {"10de:1b80", "10de:17c2", "10de:1b00", "10de:2684", "10de:2b85"}
        assert entry.hide_kvm == (find(entry.gpus[0].alias).id in consumer)
        if find(entry.gpus[0].alias).address_bits:
            assert entry.address_bits == "host"


def test_devices_are_told_apart_by_id_and_by_alias():
    ids, aliases = [one.id for one in devices()], [one.alias for one in devices()]
    assert len(set(ids)) == len(ids)
    assert len(set(aliases)) == len(aliases)
    assert find("GEFORCE gtx 1080").id == find("10de:1b80").id == find("gtx1080").id == "10de:1b80"
    assert find("10de:ffff") is None


def test_a_flavors_own_words_win_over_the_defaults(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "schema: gpuctl.flavor.catalogue/1\ndefaults: {vcpus: 2, disk: 3, extra_specs: {a: 1, b: true}, numa: {nodes: 2}}\n"
        "flavors: [{name: x, vcpus: 4, ram: 0.5 TiB, extra_specs: {a: 5}, gpus: [{model: L4, count: 1}], numa: {gpu_affinity: socket}}]\n"
    )
    (entry,) = load_file(file)
    assert (entry.vcpus, entry.disk, entry.ram, entry.catalogue) == (4, 3, 524288, None)
    assert dict(entry.extra_specs) == {"a": "5", "b": "true"}
    assert entry.gpus == (Gpus("l4", 1),)
    assert (entry.numa.nodes, entry.numa.gpu_affinity) == (2, "socket")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  - {name: a, vcpus: 1, ram: 1024}\n", "disk missing"),
        (GOOD + ", vcpu: 2}\n", "unknown: vcpu (is vcpus meant?)"),
        (GOOD + ", gpus: [{alias: x, count: 0}]}\n", "flavors[0].gpus[0].count: 0 is less than the minimum of 1"),
        (GOOD + ", gpus: [{alias: 'x:1', count: 1}]}\n", "gpus[0].alias"),
        (GOOD + ", gpus: [{count: 1}]}\n", "either alias or model"),
        (GOOD + ", gpus: [{model: Voodoo2, count: 1}]}\n", "no such model: Voodoo2"),
        (GOOD + ", gpus: [{alias: x, count: 1}, {alias: x, count: 2}]}\n", "twice"),
        (GOOD + ", cpu: {policy: pinned}}\n", "allowed: shared, dedicated, mixed"),
        (GOOD + ", address_bits: 99}\n", "99 is greater than the maximum of 57"),
        (GOOD + ", extra_specs: {'hw:hide_hypervisor': true}}\n", "is hw:hide_hypervisor_id meant?"),
        (GOOD + ", extra_specs: {'pci_passthrough:aliases': x}}\n", "is pci_passthrough:alias meant?"),
        (GOOD + ", extra_specs: {'pci_passthrough:alias': 'x:0'}}\n", "must be name:count"),
        (GOOD + ", extra_specs: {'pci_passthrough:alias': nvidia}}\n", "must be name:count"),
        (GOOD + ", extra_specs: {'pci_passthrough:alias': 'x:1'}, gpus: [{alias: x, count: 1}]}\n", "beside gpus"),
        (GOOD + ", extra_specs: {'gpuctl:catalogue': d}}\n", "written by gpuctl"),
        (GOOD + ", extra_specs: {'bad key!': d}}\n", "bad key!"),
        (GOOD + ", numa: {gpu_affinity: required}}\n", "without gpus"),
        (GOOD + ", public: true, access: [x]}\n", "exclude each other"),
        (GOOD + ", name: b}\n", "name is there twice"),
        (GOOD + "}\n" + GOOD + "}\n", "name a is taken by"),
        ("  - {vcpus: 1, ram: 1024, disk: 1}\n", "fits none"),
        ("  - {name: a, vcpus: 1, ram: 1 GB, disk: 1}\n", "ram"),
        ("  - {name: SCS-4-16, vcpus: 1, ram: 1024, disk: 1}\n", "no name of SCS 0100"),
        ("  - [\n", "not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path, text, said):
    file = tmp_path / "c.yaml"
    file.write_text(HEAD + text)
    with pytest.raises(BadCatalogue) as caught:
        load([file])
    told = f"{caught.value.brief}\n{caught.value.details}"
    assert said in told
    assert "c.yaml:" in told
    assert caught.value.exit_code == 2


def test_every_mistake_of_a_file_is_told_at_once(tmp_path):
    told = wrong(tmp_path, GOOD + ", vcpu: 2}\n" + GOOD.replace("name: a", "name: b") + ", address_bits: 1}\n")
    assert "c.yaml:4: flavors[0]" in told
    assert "c.yaml:5: flavors[1].address_bits" in told
    assert told.startswith("2 mistakes")


@pytest.mark.parametrize(
    ("size", "is_"), [(1024, 1024), ("1 GiB", 1024), ("1.5GiB", 1536), ("2 TiB", 2097152), ("512 MiB", 512)]
)
def test_sizes_are_mebibytes(size, is_):
    assert mib(size) == is_


SCS = "  - {scs: {cpu: C, disk: s}, vcpus: 16, ram: 64 GiB, disk: 500, gpus: [{model: %s, count: %d}]}\n"


def test_scs_names_are_made_where_the_grammar_can_say_it(tmp_path):
    assert one(tmp_path, SCS % ("A100 PCIe 40GB", 1))[0].name == "SCS-16C-64-500s_GNa"
    assert one(tmp_path, SCS % ("Instinct MI210", 1))[0].name == "SCS-16C-64-500s_GA2"
    assert one(tmp_path, "  - {scs: {}, vcpus: 1, ram: 512 MiB, disk: 0}\n")[0].name == "SCS-1V-0.5"


@pytest.mark.parametrize(
    ("model", "count", "why"), [("A10", 2, "how many GPUs"), ("H100 PCIe", 1, "no letter"), ("B200", 1, "no letter")]
)
def test_scs_says_why_it_has_no_name(tmp_path, model, count, why):
    assert why in wrong(tmp_path, SCS % (model, count))
