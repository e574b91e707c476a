"""Rules of safety, by the attack or the accident that they are there for: the folder itself, and whose storage it is on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from gpuctl_host.leftovers.folder import INSTANCES
from tests.unit.leftovers.kit import MOUNTINFO, ONE, RESIZE, plan, process, read, rules, write

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
