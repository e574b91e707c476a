"""Each rule of safety, by the attack or the accident that it is there for. A canary outside must never change."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress

import pytest

from gpuctl_host.apply import quarantine as writer
from gpuctl_host.apply.folder_disk import FolderDisk
from gpuctl_host.apply.outcome import site_of
from gpuctl_host.apply.removal import remove_tree
from gpuctl_host.leftovers.backing import parse_header
from gpuctl_host.leftovers.domain_xml import parse_domain
from gpuctl_host.leftovers.folder import INSTANCES, OPEN_FOLDER, open_place
from gpuctl_host.leftovers.proof import Verdict
from gpuctl_host.leftovers.quarantined import read_quarantine
from gpuctl_host.leftovers.survey import read_entries
from gpuctl_host.leftovers.users import _look
from tests.unit.leftovers.kit import (
    CARD,
    MOUNTINFO,
    ONE,
    QUARANTINE,
    THREE,
    TWO,
    ComputeHost,
    ask,
    domain,
    instance,
    make_root,
    plan,
    process,
    proof,
    qcow2,
    quarantine,
    read,
    rules,
    shelf,
    tree,
    write,
)

RESIZE = f"{INSTANCES}/{ONE}_resize"


@pytest.fixture
def root(tmp_path):
    write(tmp_path, "/canary/precious", "alive\n")
    return make_root(tmp_path / "root")


@pytest.fixture
def host(root):
    return ComputeHost(root)


@pytest.fixture
def refused(root, host):
    """Check that the plan names the rule, and that quarantine then changes nothing."""

    def check(rule, kind="resize", **request):
        document = plan(host, **request)
        assert rule in rules(document, kind), document["leftovers"]
        before = tree(root)
        answer, code = quarantine(host, kinds=[kind], **request)
        assert (code, answer["results"]) == (3, [])
        assert tree(root) == before
        return next(
            reason["text"] for item in document["leftovers"] for reason in item["reasons"] if reason["rule"] == rule
        )

    return check


# ---------------------------------------------------------------- where the server is


@pytest.mark.parametrize(
    "status", ["ERROR", "VERIFY_RESIZE", "RESIZE", "BUILD", "REBUILD", "MIGRATING", "UNKNOWN", "deleted", ""]
)
def test_a_server_that_is_not_whole_keeps_its_leftover(refused, status):
    refused("status", proof=proof(ONE, status=status))


@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF", "ERROR"])
def test_a_server_on_no_host_must_be_deleted_or_offloaded(refused, status):
    refused("status", proof=proof(ONE, host=None, status=status))


@pytest.mark.parametrize("status", ["SHELVED_OFFLOADED", "DELETED"])
def test_a_server_that_needs_no_disk_lets_go(host, status):
    assert rules(plan(host, proof=proof(ONE, host=None, status=status))) == []


@pytest.mark.parametrize("name", ["gpu-a", "GPU-A", "gpu-a.example.org", "gpu-a."])
def test_a_server_that_came_back_to_this_host_keeps_it(refused, name):
    refused("server-here", proof=proof(ONE, host=name))


def test_the_name_that_nova_has_for_this_host_counts(refused):
    refused("server-here", proof=proof(ONE, host="rack1-node7"), nova_host="rack1-node7")


def test_hosts_of_one_short_name_in_two_domains_are_two(host):
    document = plan(host, proof=proof(ONE, host="n1.b.example"), nova_host="n1.a.example")
    assert rules(document) == []


def test_a_host_without_a_name_proves_nothing(root, refused):
    os.unlink(f"{root}/proc/sys/kernel/hostname")
    refused("server-here")


def test_an_open_migration_keeps_it(refused):
    assert "17" in refused("open-migration", proof=proof(ONE, migrations=["17"]))


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_guest_of_that_uuid_on_this_host_keeps_it(root, refused, state):
    domain(root, ONE, running=True, state=state)
    refused("runs-here")


# ---------------------------------------------------------------- storage that others see


@pytest.mark.parametrize(
    "kind", ["nfs4", "ceph", "fuse.glusterfs", "lustre", "cifs", "gfs2", "ocfs2", "fuse.unheard-of", "zzfs"]
)
def test_a_share_is_never_cleaned_from_the_source(root, refused, kind):
    write(
        root,
        "/proc/self/mountinfo",
        MOUNTINFO.format(type="ext4") + f"30 22 0:40 / /var/lib/nova {'rw'} - {kind} srv:/nova rw\n",
    )
    for shares in ({}, {ONE: None}, {ONE: True}):
        refused("shared", destination_shares=shares)


def test_a_share_that_the_destination_is_proven_not_to_have_is_its_own(root, host):
    write(root, "/proc/self/mountinfo", MOUNTINFO.format(type="nfs4"))
    assert rules(plan(host, destination_shares={ONE: False})) == []


def test_a_local_disk_that_the_destination_is_proven_to_share_is_a_share(refused):
    refused("shared", destination_shares={ONE: True})


def test_a_local_disk_that_this_host_exports_is_a_share(root, refused):
    write(root, "/var/lib/nfs/etab", "/var/lib/nova\t10.0.0.0/8(rw,sync)\n")
    assert "exports" in refused("shared")


def test_mounts_that_cannot_be_seen_are_no_private_disk(root, refused):
    os.unlink(f"{root}/proc/self/mountinfo")
    refused("shared")


# ---------------------------------------------------------------- the folder itself


def test_a_link_in_its_place_is_not_followed(root, refused, tmp_path):
    shutil.rmtree(f"{root}{RESIZE}")
    os.symlink(tmp_path / "canary", f"{root}{RESIZE}")
    assert "link" in refused("folder")


def test_a_file_in_its_place_is_left(root, refused):
    shutil.rmtree(f"{root}{RESIZE}")
    write(root, RESIZE, "x")
    refused("folder")


def test_a_folder_of_somebody_else_is_left(root, refused):
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(f"{root}{RESIZE}", 4242, 4242)
    refused("folder")


def test_a_folder_of_kollas_nova_may_go(root, host):
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(f"{root}{RESIZE}", 42436, 42436)
    assert rules(plan(host)) == []


def test_a_tree_that_is_too_deep_is_left(root, refused):
    os.makedirs(f"{root}{RESIZE}/" + "/".join("d" * 20))
    assert "deeper" in refused("folder")


def test_a_mount_in_it_is_seen_in_mountinfo(root, refused):
    line = f"31 22 8:1 /x {RESIZE}/sub rw - ext4 /dev/sda1 rw\n"
    write(root, "/proc/self/mountinfo", MOUNTINFO.format(type="ext4") + line)
    refused("mount")


def test_a_mount_in_another_namespace_is_seen_whatever_it_is_called_there(root, refused):
    line = f"9 1 8:1 / /nova/instances/{ONE}_resize/sub rw - ext4 /dev/sda1 rw\n"
    process(root, 900, comm="nova-compute", mountinfo=line)
    assert "nova-compute" in refused("in-use")


@pytest.mark.machine
@pytest.mark.parametrize("way", ["bind", "tmpfs"])
def test_a_mount_is_neither_moved_nor_entered(root, tmp_path, way):
    """A bind mount of the same file system has its parent's st_dev: only its mount id tells. Real mounts, in a namespace."""
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    code = f"""
import subprocess, sys
from tests.unit.leftovers.kit import *
host = ComputeHost({root!r})
sub = {root!r} + {RESIZE!r} + "/sub"
os.mkdir(sub)
mount = ["mount", "--bind", {str(tmp_path / "canary")!r}, sub] if {way!r} == "bind" else ["mount", "-t", "tmpfs", "none", sub]
subprocess.run(mount, check=True)
assert "folder" in rules(plan(host)), plan(host)
subprocess.run(["umount", sub], check=True)
document, code = quarantine(host)
assert code == 0, document
(run,) = shelf(host.root)
sub = f"{{host.root}}{INSTANCES}/{{QUARANTINE}}/{{run}}/{{ONE}}_resize/sub"
mount[-1] = sub
subprocess.run(mount, check=True)
open(sub + "/inside", "w").close()
document, code = ask(host, phase="purge", older_than_s=0)
assert code == 1 and "mount" in document["results"][0]["detail"], document
sub = sub.replace("_resize", "_resize.purge")
assert os.path.exists(sub + "/inside")
subprocess.run(["umount", sub], check=True)
document, code = ask(host, phase="purge", older_than_s=0)
assert code == 0, document
"""
    ran = subprocess.run(["unshare", "-m", sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert read(tmp_path / "canary/precious") == "alive\n"
    assert (tmp_path / "canary/inside").exists() == (way == "bind")


# ---------------------------------------------------------------- the way there


def test_a_link_of_another_user_on_the_way_is_refused(root, host):
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.symlink("/var/lib/nova", f"{root}/var/lib/elsewhere")
    document, code = ask(host, phase="plan", instances_path="/var/lib/elsewhere/instances")
    assert (code, document["instances_path"]) == (0, INSTANCES)  # root's own link is taken
    os.lchown(f"{root}/var/lib/elsewhere", 4242, 4242)
    document, code = ask(host, phase="plan", instances_path="/var/lib/elsewhere/instances")
    assert (document["code"], code) == ("refused", 3)


def test_a_relative_link_of_another_user_on_the_way_is_refused(root, host):
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.symlink("nova", f"{root}/var/lib/elsewhere")
    assert ask(host, phase="plan", instances_path="/var/lib/elsewhere/instances")[1] == 0
    os.lchown(f"{root}/var/lib/elsewhere", 4242, 4242)
    document, code = ask(host, phase="plan", instances_path="/var/lib/elsewhere/instances")
    assert (document["code"], code) == ("refused", 3)


def test_links_that_run_in_a_circle_end(root, host):
    os.symlink("/var/lib/b", f"{root}/var/lib/a")
    os.symlink("/var/lib/a", f"{root}/var/lib/b")
    document, code = ask(host, phase="plan", instances_path="/var/lib/a/instances")
    assert (document["code"], code) == ("refused", 3)


def test_a_folder_that_everybody_may_write_is_refused(root, host):
    os.chmod(f"{root}/var/lib/nova", 0o777)
    document, code = ask(host, phase="plan")
    assert (document["code"], code) == ("refused", 3)
    os.chmod(f"{root}/var/lib/nova", 0o1777)
    assert ask(host, phase="plan")[1] == 0


def test_instances_of_another_user_are_refused(root, host):
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(f"{root}{INSTANCES}", 4242, 4242)
    assert ask(host, phase="plan")[0]["code"] == "refused"
    write(root, "/etc/passwd", "root:x:0:0::/:/bin/sh\nnova:x:4242:4242::/var/lib/nova:/bin/false\n")
    assert ask(host, phase="plan")[1] == 0


@pytest.mark.parametrize("trap", ["link", "mode", "owner", "file"])
def test_a_quarantine_that_somebody_laid_out_is_refused(root, host, tmp_path, trap):
    place = f"{root}{INSTANCES}/{QUARANTINE}"
    if trap == "link":
        os.symlink(tmp_path / "canary", place)
    elif trap == "file":
        write("", place, "x")
    else:
        os.mkdir(place, 0o700)
        if trap == "mode":
            os.chmod(place, 0o770)
        elif os.geteuid() == 0:
            os.chown(place, 4242, 4242)
        else:
            pytest.skip("only root can give files away")
    before = tree(root)
    for phase in ("plan", "purge"):
        document, code = ask(host, phase=phase, older_than_s=0)
        assert (document["code"], code) == ("refused", 3)
    assert tree(root) == before
    assert read(tmp_path / "canary/precious") == "alive\n"


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


# ---------------------------------------------------------------- the stale domain


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


# ---------------------------------------------------------------- links, hard links, files that will not go


def test_links_in_it_are_deleted_and_not_followed(root, host, tmp_path):
    os.symlink(tmp_path / "canary", f"{root}{RESIZE}/canary")
    os.symlink("/", f"{root}{RESIZE}/rootdir")
    os.symlink(f"../{TWO}", f"{root}{RESIZE}/neighbour")
    before = {path: value for path, value in tree(root).items() if f"{ONE}_resize" not in path}
    quarantine(host)
    _, code = ask(host, phase="purge", older_than_s=0)
    assert code == 0
    assert tree(root) == before
    assert read(tmp_path / "canary/precious") == "alive\n"


def test_a_link_that_took_a_folders_place_before_it_is_deleted_is_not_entered(tmp_path):
    """The look says folder, the open meets a link: O_NOFOLLOW is what stands between."""
    write(tmp_path, "/canary/precious", "alive\n")
    os.mkdir(tmp_path / "run")
    os.symlink("../canary", tmp_path / "run/doomed")
    parent = os.open(tmp_path / "run", os.O_RDONLY)
    try:
        assert remove_tree(FolderDisk(), parent, "doomed")
        with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
            os.close(os.open("doomed", OPEN_FOLDER, dir_fd=parent))
    finally:
        os.close(parent)
    assert read(tmp_path / "canary/precious") == "alive\n"


def test_a_hard_link_in_it_leaves_the_other_name_alone(root, host, tmp_path):
    os.link(tmp_path / "canary/precious", f"{root}{RESIZE}/innocent")
    before = os.stat(tmp_path / "canary/precious")
    assert "hard link" in plan(host)["leftovers"][0]["notes"][0]
    quarantine(host)
    ask(host, phase="purge", older_than_s=0)
    after = os.stat(tmp_path / "canary/precious")
    assert (after.st_mode, after.st_uid, after.st_nlink, after.st_size) == (
        before.st_mode,
        before.st_uid,
        1,
        before.st_size,
    )


def test_an_immutable_file_is_named_and_the_next_purge_ends_it(root, host):
    quarantine(host)

    class Immutable(FolderDisk):
        def unlink_at(self, folder, name):
            if name == "disk.info":
                raise PermissionError(1, "Operation not permitted")
            super().unlink_at(folder, name)

    document, code = ask(host, Immutable(), phase="purge", older_than_s=0)
    assert (code, document["results"][0]["state"]) == (1, "failed")
    assert "disk.info" in document["results"][0]["detail"] and "lsattr" in document["results"][0]["detail"]
    assert document["quarantine"][0]["state"] == "purging"
    assert ask(host, phase="restore", uuids=[ONE])[1] == 3  # half deleted: nothing to give back
    document, code = ask(host, phase="purge")  # it had begun: its age no longer counts
    assert (code, document["results"][0]["state"], shelf(root)) == (0, "purged", {})


def test_no_room_for_the_record_means_no_move(root, host):
    before = tree(root)

    class Full(FolderDisk):
        def create_at(self, folder, name):
            raise OSError(28, "No space left on device")

    agreed = plan(host)["fingerprint"]
    document, code = ask(host, Full(), phase="quarantine", uuids=[ONE], proof=proof(ONE), fingerprint=agreed)
    assert (code, document["results"][0]["state"]) == (1, "failed")
    assert tree(root) == before


def test_a_thing_in_quarantine_that_no_run_of_ours_left_is_left(root, host):
    quarantine(host)
    (run,) = shelf(root)
    instance(root, f"{QUARANTINE}/{run}/{THREE}_resize")
    instance(root, f"{QUARANTINE}/not-a-run/{THREE}_resize")
    document, _ = ask(host, phase="purge", older_than_s=0)
    assert [result["uuid"] for result in document["results"]] == [ONE]
    assert document["kept"][0]["why"] == "it is strange"
    assert os.path.isdir(f"{root}{INSTANCES}/{QUARANTINE}/not-a-run/{THREE}_resize")


# ---------------------------------------------------------------- exchanged under us


@pytest.mark.parametrize("trap", ["link", "folder", "gone"])
def test_renamed_under_us_between_the_look_and_the_move(root, host, tmp_path, trap):
    class Exchanged(FolderDisk):
        def rename_at(self, folder, old, to, new):
            if old == ONE + "_resize":
                os.rename(f"{root}{RESIZE}", f"{root}{INSTANCES}/away")
                if trap == "link":
                    os.symlink(tmp_path / "canary", f"{root}{RESIZE}")
                elif trap == "folder":
                    instance(root, ONE + "_resize", files=("another",))
            super().rename_at(folder, old, to, new)

    agreed = plan(host)["fingerprint"]
    with pytest.MonkeyPatch.context() as patch:
        # The keeper's own way back is the same call: only the first is exchanged.
        patch.setattr(writer.Keeper, "put_back", _once(writer.Keeper.put_back, Exchanged))
        document, code = ask(host, Exchanged(), phase="quarantine", uuids=[ONE], proof=proof(ONE), fingerprint=agreed)
    assert (code, document["results"][0]["state"]) == (1, "failed")
    assert shelf(root) == {}
    assert read(f"{root}{INSTANCES}/away/disk")
    assert read(tmp_path / "canary/precious") == "alive\n"
    if trap == "folder":
        assert read(f"{root}{RESIZE}/another")
    assert os.path.islink(f"{root}{RESIZE}") == (trap == "link")


def _once(original, exchanged):
    def put_back(self, fd, name):
        exchanged.rename_at = FolderDisk.rename_at
        return original(self, fd, name)

    return put_back


def test_a_link_swapped_in_a_loop_by_another_thread_catches_nothing(root, host, tmp_path):
    """The folder and a link to the canary change places as fast as they can, while it is looked at, moved and deleted."""
    stop = threading.Event()
    real, away, trap = f"{root}{RESIZE}", f"{root}{INSTANCES}/away", f"{root}{INSTANCES}/trap"

    def swap():
        while not stop.is_set():
            for act in (
                lambda: os.rename(real, away),
                lambda: os.symlink(tmp_path / "canary", trap),
                lambda: os.rename(trap, real),
                lambda: os.unlink(real),
                lambda: os.rename(away, real),
            ):
                with suppress(OSError):
                    act()
            time.sleep(chance.random() / 500)  # long enough for a whole look and move, now and then

    chance = random.Random(1)
    came = Counter()
    site, disk = site_of(host, FolderDisk()), FolderDisk()
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(4000):
            if came["quarantined"] >= 20 and came["failed"] >= 5:
                break
            with open_place(host, INSTANCES) as place:
                keeper = writer.Keeper(site, place, disk)
                entry = next((one for one in read_entries(place, []) if one.name == ONE + "_resize"), None)
                if entry is None or entry.problem:
                    came["seen through"] += 1
                    continue
                with keeper.begin() as (run, fd):
                    result = keeper.put_in(run, fd, Verdict(ONE, "resize", entry.name, entry, None, ()), {"at": "now"})
                came[result.state] += 1
                for record in read_quarantine(place):
                    state = (keeper.purge if came["quarantined"] % 2 else keeper.restore)(record).state
                    came[state + " from quarantine"] += 1
                if not any(os.path.isdir(path) and not os.path.islink(path) for path in (real, away)):
                    with suppress(OSError):  # it was deleted: another takes its place
                        instance(root, "fresh")
                        os.rename(f"{root}{INSTANCES}/fresh", away)
    finally:
        stop.set()
        thread.join()
    assert came["quarantined"] >= 20 and came["failed"] >= 5, came
    assert os.listdir(tmp_path / "canary") == ["precious"], came
    assert read(tmp_path / "canary/precious") == "alive\n"
    assert read(f"{root}{INSTANCES}/{TWO}/disk")
    assert not any(files for _, _, files in os.walk(f"{root}{INSTANCES}/{QUARANTINE}") if "precious" in files)
