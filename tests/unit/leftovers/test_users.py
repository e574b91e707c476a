"""Rules of safety, by the attack or the accident that they are there for: who uses the folder, and who stands on it."""

from __future__ import annotations

import os
import random
import shutil

import pytest

from gpuctl_host.apply.folder_disk import FolderDisk
from gpuctl_host.leftovers.backing import parse_header
from gpuctl_host.leftovers.domain_xml import parse_domain
from gpuctl_host.leftovers.folder import INSTANCES
from gpuctl_host.leftovers.users import _look
from tests.unit.leftovers.kit import (
    ONE,
    RESIZE,
    TWO,
    ask,
    domain,
    plan,
    process,
    proof,
    qcow2,
    quarantine,
    rules,
    tree,
    write,
)

# ---------------------------------------------------------------- who uses it


@pytest.mark.parametrize(
    "how",
    [
        {"fd": [f"/var/lib/nova/instances/{ONE}_resize/disk"]},
        {"fd": [f"/elsewhere/in/a/container/{ONE}_resize/disk (deleted)"]},
        {"cwd": f"/var/lib/nova/instances/{ONE}_resize"},
        {"maps": f"7f00-7f01 r--s 00000000 08:01 99 /var/lib/nova/instances/{ONE}_resize/disk\n"},
    ],
)
def test_a_process_that_has_it_open_keeps_it(root, refused, how):
    process(root, 900, comm="qemu-img", **how)
    assert "qemu-img (pid 900)" in refused("in-use")


def test_a_process_in_another_folder_keeps_nothing(root, host):
    process(root, 900, fd=[f"/var/lib/nova/instances/{ONE}/disk", "socket:[1]", f"/x/{ONE}_resize.old/disk"])
    assert rules(plan(host)) == []


def test_swap_and_loop_devices_keep_it(root, refused):
    write(root, "/proc/swaps", f"Filename Type\n{RESIZE}/disk.swap file 1 0 -2\n")
    assert "swap" in refused("in-use")
    write(root, "/proc/swaps", "Filename Type\n")
    write(root, "/sys/block/loop3/loop/backing_file", f"{RESIZE}/disk\n")
    assert "loop3" in refused("in-use")


def test_processes_that_cannot_be_seen_keep_it(host, refused, monkeypatch):
    monkeypatch.setattr("gpuctl_host.leftovers.survey.read_users", lambda *_: None)
    refused("in-use")


@pytest.mark.machine
def test_a_real_process_is_found_by_inode_under_any_name(tmp_path):
    place = tmp_path / "renamed-since"
    place.mkdir()
    (place / "disk").write_text("x")
    state = os.stat(place / "disk")
    # Only this process: on a developer's machine others may not be looked at, and then the answer is "not known".
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")
    wanted = {(state.st_dev, state.st_ino): ONE + "_resize"}
    with open(place / "disk"):
        users = _look(str(proc), str(tmp_path), wanted)
    assert any(f"(pid {os.getpid()})" in who for who in users[ONE + "_resize"])
    assert _look(str(proc), str(tmp_path), wanted) == {}


def test_one_process_that_may_not_be_looked_at_makes_it_unknown(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may look at all of them")
    (tmp_path / "proc/7/fd").mkdir(parents=True)
    (tmp_path / "proc/7/fd").chmod(0)
    assert _look(str(tmp_path / "proc"), str(tmp_path), {}) is None


def test_somebody_who_comes_between_the_look_and_the_move_gets_it_back(root, host):
    before = tree(root)

    class Late(FolderDisk):
        def rename_at(self, folder, old, to, new):
            super().rename_at(folder, old, to, new)
            if new == ONE + "_resize" and not os.path.exists(f"{root}/proc/901"):
                process(root, 901, comm="qemu-img", fd=[f"/var/lib/nova/instances/{ONE}_resize/disk"])

    agreed = plan(host)["fingerprint"]
    document, code = ask(host, Late(), phase="quarantine", uuids=[ONE], proof=proof(ONE), fingerprint=agreed)
    assert (code, document["results"][0]["state"]) == (1, "failed")
    assert "qemu-img" in document["results"][0]["detail"]
    assert tree(root) == before


def test_what_is_used_in_quarantine_is_not_deleted(root, host):
    quarantine(host)
    process(root, 900, cwd=f"/x/{ONE}_resize")
    document, code = ask(host, phase="purge", older_than_s=0)
    assert (code, document["results"]) == (0, [])
    assert "in use" in document["kept"][0]["why"]


# ---------------------------------------------------------------- who stands on it


@pytest.mark.parametrize("running", [True, False])
def test_a_domain_with_a_disk_in_it_keeps_it(root, refused, running):
    domain(root, TWO, name="instance-00000002", running=running, folder=ONE + "_resize")
    assert "instance-00000002" in refused("domain-uses")


@pytest.mark.parametrize(
    "name",
    [
        f"/var/lib/nova/instances/{ONE}_resize/disk",
        f"../{ONE}_resize/disk",
        f'json:{{"driver":"qcow2","file":{{"driver":"file","filename":"/x/{ONE}_resize/disk"}}}}',
    ],
)
@pytest.mark.parametrize("how", ["backing", "far", "data_file"])
def test_a_disk_of_another_server_that_stands_on_it_keeps_it(root, refused, name, how):
    image = qcow2(data_file=name) if how == "data_file" else qcow2(name, at=512 if how == "backing" else 80_000)
    write(root, f"{INSTANCES}/{TWO}/disk", image)
    assert TWO in refused("backing")


def test_a_disk_that_cannot_be_read_may_stand_on_it(root, refused):
    for number in range(300):
        write(root, f"{INSTANCES}/{TWO}/file{number}", "")
    assert "more than 256" in refused("backing")


def test_a_disk_on_the_image_cache_and_its_own_chain_keep_nothing(root, host):
    write(root, f"{INSTANCES}/{TWO}/disk", qcow2("/var/lib/nova/instances/_base/0a1b2c"))
    write(root, f"{INSTANCES}/{ONE}_resize/disk.snap", qcow2(f"/var/lib/nova/instances/{ONE}_resize/disk"))
    assert rules(plan(host)) == []


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"QFI\xfb",
        b"QFI\xfb" + b"\xff" * 200,
        b"QFI\xfb" + b"\0" * 96 + b"\xff" * 8,
        random.Random(1).randbytes(4096),
    ],
    ids=["empty", "magic", "ones", "long", "noise"],
)
def test_a_header_that_lies_is_read_without_harm(head):
    assert isinstance(parse_header(head, lambda at, size: b""), list)


def test_domains_that_cannot_be_seen_keep_it(root, refused):
    os.unlink(f"{root}/usr/bin/virsh")
    shutil.rmtree(f"{root}/etc/libvirt")
    refused("domains-unknown")


@pytest.mark.parametrize(
    "xml",
    [
        "<domain><name>x</name>",
        "not xml",
        "<network><name>default</name></network>",
        '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><domain><name>&b;</name></domain>',
        f'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/shadow">]><domain><name>&x;</name><uuid>{TWO}</uuid></domain>',
        f'<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><domain><name>&b;</name><uuid>{TWO}</uuid></domain>',
        "<domain><uuid>../../etc</uuid></domain>",
        "<domain>" + "<a>" * 5000,
    ],
)
def test_a_domain_file_that_cannot_be_trusted_makes_the_domains_unknown(root, refused, xml):
    assert parse_domain(xml) is None
    write(root, "/etc/libvirt/qemu/evil.xml", xml)
    os.unlink(f"{root}/usr/bin/virsh")
    refused("domains-unknown")
