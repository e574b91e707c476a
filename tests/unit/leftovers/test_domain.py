"""Rules of safety, by the attack or the accident that they are there for: the stale domain."""

from __future__ import annotations

import os
import shutil

import pytest

from gpuctl_host.leftovers.folder import INSTANCES
from tests.unit.leftovers.kit import (
    CARD,
    ONE,
    QUARANTINE,
    RESIZE,
    THREE,
    TWO,
    ask,
    domain,
    instance,
    plan,
    process,
    proof,
    quarantine,
    read,
    rules,
    shelf,
    write,
)


def test_a_domain_that_nova_did_not_make_is_left(root, refused):
    domain(root, ONE, nova=False)
    refused("not-nova", kind="domain")


def taken_by_a_process(root):
    """A QEMU that libvirt knows nothing of has the card."""
    os.makedirs(f"{root}/sys/bus/pci/drivers/vfio-pci/{CARD}", exist_ok=True)
    os.makedirs(f"{root}/sys/kernel/iommu_groups/7", exist_ok=True)
    device = f"{root}/sys/bus/pci/devices/{CARD}"
    os.makedirs(device, exist_ok=True)
    for link, target in (
        ("driver", "../../../../bus/pci/drivers/vfio-pci"),
        ("iommu_group", "../../../../kernel/iommu_groups/7"),
    ):
        if not os.path.lexists(f"{device}/{link}"):
            os.symlink(target, f"{device}/{link}")
    write(root, "/dev/vfio/7", "")
    process(root, 77, fd=("/dev/vfio/7",))


def test_a_domain_whose_card_only_a_process_has_is_left(root, refused):
    domain(root, ONE)
    taken_by_a_process(root)
    assert CARD in refused("card-in-use", kind="domain")


def test_a_domain_whose_card_was_given_to_another_guest_may_go(root, host):
    """The usual case after a repair: the card is free, and Nova gives it out again."""
    domain(root, ONE)
    domain(root, TWO, name="instance-00000002", running=True)
    taken_by_a_process(root)
    assert rules(plan(host), "domain") == []


@pytest.mark.parametrize("when", ["dumpxml", "undefine"])
def test_a_domain_that_is_started_meanwhile_stays_defined(root, host, when):
    """libvirt undefines a running domain without a word: it would be gone when the guest ends."""
    text = domain(root, ONE)
    virsh = host._virsh

    def started(verb, words, argv, stdin):
        if verb == when and "--inactive" in argv + ["--inactive"] * (when == "undefine"):
            write(root, "/run/libvirt/qemu/instance-00000001.xml", f"<domstatus state='running'>{text}</domstatus>")
        return virsh(verb, words, argv, stdin)

    agreed = plan(host)["fingerprint"]
    host._virsh = started
    document, code = ask(host, phase="quarantine", uuids=[ONE], proof=proof(ONE), fingerprint=agreed)
    assert (code, document["results"][0]["state"]) == (1, "failed"), document
    assert text in read(f"{root}/etc/libvirt/qemu/instance-00000001.xml")
    assert os.path.isdir(f"{root}{RESIZE}")
    assert shelf(root) == {}


def test_what_was_exchanged_by_a_killed_run_and_cannot_go_back_blocks_nobody(root, host):
    instance(root, THREE + "_resize")
    quarantine(host, uuids=[THREE], proof=proof(THREE))
    (run,) = shelf(root)
    place = f"{root}{INSTANCES}/{QUARANTINE}/{run}"
    os.rename(f"{place}/{THREE}_resize", f"{place}/x")
    instance(root, f"{QUARANTINE}/{run}/{THREE}_resize", files=("another",))
    shutil.rmtree(f"{place}/x")
    instance(root, THREE + "_resize", files=("in its place",))
    document, code = quarantine(host)
    assert code == 0, document
    assert "could not be put right" in document["notes"][0]
    assert sorted(record["state"] for record in document["quarantine"]) == ["exchanged", "quarantined"]
    shutil.rmtree(f"{root}{INSTANCES}/{THREE}_resize")
    document, _ = ask(host, phase="restore", uuids=[ONE])
    assert "is back there" in document["notes"][0]
    assert read(f"{root}{INSTANCES}/{THREE}_resize/another")


def test_the_files_of_a_domain_that_has_to_stay_stay_with_it(root, host):
    """Asked for both: the domain is refused, so that its folder is, too; alone the domain goes, and the folder after it."""
    domain(root, ONE)
    instance(root, ONE)
    both = {"kinds": ["domain", "instance"]}
    assert rules(plan(host, kinds=["instance"]), "instance") == ["domain-uses"]
    taken_by_a_process(root)
    document = plan(host, **both)
    assert rules(document, "domain") == ["card-in-use"]
    assert rules(document, "instance") == ["domain-uses"]
    shutil.rmtree(f"{root}/proc/77")
    document, code = quarantine(host, **both)
    assert (code, [result["kind"] for result in document["results"]]) == (0, ["domain", "instance"])


def test_a_domain_of_another_uuid_is_never_meant(root, host):
    domain(root, TWO, name="instance-00000002")
    document = plan(host)
    assert [item["kind"] for item in document["leftovers"]] == ["resize"]
