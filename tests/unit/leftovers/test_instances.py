"""What `host instances` shows: folders, domains and cards."""

from __future__ import annotations

import os

from tests.unit.leftovers.kit import CARD, ONE, TWO, ComputeHost, ask, domain, process


def test_instances_shows_folders_domains_and_cards(root, host):
    domain(root, TWO, name="instance-00000002", running=True)
    process(root, 77, fd=[f"/var/lib/nova/instances/{TWO}/disk"])
    os.makedirs(f"{root}/sys/bus/pci/drivers/vfio-pci/{CARD}")
    document, code = ask(host, command="instances")
    assert (code, document["schema"]) == (0, "gpuctl.host.instances/1")
    kinds = {folder["name"]: folder["kind"] for folder in document["folders"]}
    assert kinds == {
        ONE + "_resize": "resize",
        TWO: "instance",
        "_base": "base",
        "compute_nodes": "other",
        "locks": "other",
    }
    shown = next(folder for folder in document["folders"] if folder["uuid"] == TWO)
    assert shown["holders"] == ["qemu-kvm (pid 77): open file"]
    assert shown["size"] == sum(len(f"{file} of {TWO}\n") for file in ("disk", "disk.info", "console.log"))
    (one,) = document["domains"]
    assert one == {
        "uuid": TWO,
        "name": "instance-00000002",
        "state": "running",
        "persistent": True,
        "hostdevs": [CARD],
        "nova": {"name": "guest & one", "flavor": "gpu.gtx1080"},
    }
    assert document["domains_source"] == "libvirt"
    assert document["vfio"] == [{"address": CARD, "driver": "vfio-pci", "holder_pid": None, "domain": TWO}]
    assert document["filesystem"]["shared"] is False


def test_an_empty_tree_is_unknown_and_says_so(tmp_path):
    document, code = ask(ComputeHost(tmp_path, live=False), command="instances")
    assert code == 0
    assert (document["folders"], document["domains"], document["domains_source"], document["vfio"]) == (None,) * 4
    assert len(document["unknown"]) >= 3


def test_domains_of_a_libvirtd_in_a_container_are_found(root, host):
    """kolla: nova_libvirt has /etc/libvirt of its own; the host sees it through /proc/PID/root."""
    os.unlink(f"{root}/usr/bin/virsh")
    os.rmdir(f"{root}/etc/libvirt/qemu")
    process(root, 4242, comm="libvirtd")
    os.unlink(f"{root}/proc/4242/root")
    other = f"{root}/docker/nova_libvirt"
    domain(other, TWO, name="instance-00000002")
    os.symlink("/docker/nova_libvirt", f"{root}/proc/4242/root")
    document, _ = ask(host, command="instances")
    assert [(one["uuid"], one["state"]) for one in document["domains"]] == [(TWO, "shut off")]
    assert document["domains_source"] == "files"
