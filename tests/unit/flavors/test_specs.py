"""Extra specs in the words of each release."""

from __future__ import annotations

import pytest

from gpuctl.flavors.model import Cpu, Entry, Gpus, Numa
from gpuctl.flavors.specs import batches, extra_specs, hide_kvm

ENTRY = Entry("g", 4, 1024, 10, catalogue="c", gpus=(Gpus("a", 1), Gpus("b", 2)), hide_kvm=True)


@pytest.mark.parametrize(
    ("newest", "key", "note"),
    [
        ((2, 104), "hw:hide_hypervisor_id", ""),
        ((2, 88), "hw:hide_hypervisor_id", ""),
        ((2, 87), "hide_hypervisor_id", "AggregateInstanceExtraSpecsFilter"),  # 21 or 22: 21.0 knows the old one alone
        ((2, 65), "hide_hypervisor_id", "AggregateInstanceExtraSpecsFilter"),
        ((2, 60), None, "img_hide_hypervisor_id"),
        ((2, 38), None, "cannot hide"),
    ],
)
def test_kvm_is_hidden_as_the_release_does_it(newest, key, note):
    specs, said = hide_kvm(newest)
    assert list(specs) == ([key] if key else [])
    assert note in said


def test_everything_has_its_extra_spec():
    entry = Entry(
        "g", 4, 1024, 10, gpus=ENTRY.gpus, numa=Numa(2, "required"), cpu=Cpu("dedicated", "require", "isolate"), page_size="1GB",
        locked_memory=True, address_bits=46, secure_boot="required", traits=(("CUSTOM_X", "required"),), aggregates=(("gpu", "h100"),),
        extra_specs=(("quota:x", "1"),),
    )  # fmt: skip
    assert extra_specs(entry, (2, 104)) == (
        {
            "pci_passthrough:alias": "a:1,b:2",
            "hw:numa_nodes": "2",
            "hw:pci_numa_affinity_policy": "required",
            "hw:cpu_policy": "dedicated",
            "hw:cpu_thread_policy": "require",
            "hw:emulator_threads_policy": "isolate",
            "hw:mem_page_size": "1GB",
            "hw:locked_memory": "true",
            "hw:maxphysaddr_mode": "emulate",
            "hw:maxphysaddr_bits": "46",
            "os:secure_boot": "required",
            "trait:CUSTOM_X": "required",
            "aggregate_instance_extra_specs:gpu": "h100",
            "quota:x": "1",
        },
        (),
    )


def test_what_a_release_does_not_know_is_left_out_and_said():
    entry = Entry("g", 4, 1024, 10, gpus=ENTRY.gpus, numa=Numa(1, "socket"), cpu=Cpu("mixed"), address_bits="host")
    specs, notes = extra_specs(entry, (2, 87))
    assert set(specs) == {"pci_passthrough:alias", "hw:numa_nodes"}
    assert len(notes) == 3


def test_only_what_validation_refuses_goes_round_it():
    specs = {"hw:maxphysaddr_mode": "passthrough", "a": "b"}
    assert batches(specs, (2, 104)) == [({"a": "b"}, (2, 86)), ({"hw:maxphysaddr_mode": "passthrough"}, (2, 85))]
    assert batches({"a": "b"}, (2, 90)) == [({"a": "b"}, (2, 86))]
    assert batches({"a": "b"}, (2, 79)) == [({"a": "b"}, (2, 79))]
    assert batches({}, (2, 90)) == []
