"""Who uses a card: on a simulated kernel, and this process on this machine's own kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpuctl_host.facts.domains import parse_domain
from gpuctl_host.facts.nodes import device_nodes
from gpuctl_host.facts.processes import describe
from gpuctl_host.facts.reader import read_facts
from gpuctl_host.host import Host
from tests.unit.facts.trees import Tree, gtx1080

HOSTDEV = """<domstatus state='running' pid='4242'><domain type='kvm'><name>instance-0000001a</name><devices>
<hostdev mode='subsystem' type='pci' managed='yes'><driver name='vfio'/>
<source><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source>
<address type='pci' domain='0x0000' bus='0x00' slot='0x05' function='0x0'/></hostdev></devices></domain></domstatus>"""


def live(tree: Tree) -> Host:
    return Host(tree.root, live=True)


def process(tree: Tree, pid: int, name: str, group: str, *nodes: str) -> None:
    tree.write(f"/proc/{pid}/comm", name + "\n").write(f"/proc/{pid}/cgroup", f"0::{group}\n")
    tree.folder(f"/proc/{pid}/fd")
    for number, node in enumerate(nodes):
        os.symlink(node, f"{tree.root}/proc/{pid}/fd/{number}")


def names(tree: Tree) -> list[tuple[str, str]]:
    (gpu,) = read_facts(live(tree), ("10de",)).gpus
    return [(holder.kind, holder.name) for holder in gpu.holders or ()]


def test_a_captured_tree_does_not_know(tree: Tree) -> None:
    gtx1080(tree)
    assert tree.facts().gpus[0].holders is None


def test_nobody(tree: Tree) -> None:
    gtx1080(tree, driver="vfio-pci")
    assert names(tree) == []


def test_services_processes_and_machines(tree: Tree) -> None:
    path = gtx1080(tree, driver="nvidia")
    tree.write("/dev/vfio/1", "").write(f"{path}/drm/card1/dev", "226:1\n").write(
        "/proc/modules", "nvidia 1 9 - Live 0x0\n"
    )
    tree.write("/proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: x\nDevice Minor: \t 0\n")
    tree.write("/proc/1/comm", "systemd\n").folder("/proc/1/fd")
    process(tree, 812, "nvidia-persiste", "/system.slice/nvidia-persistenced.service", "/dev/null")
    process(tree, 900, "python3", "/user.slice/session-3.scope", "/dev/nvidia0", "/dev/nvidia0")
    process(tree, 901, "python3", "/user.slice/session-3.scope", "/dev/nvidia1", "socket:[1]")
    process(tree, 902, "Xorg", "/user.slice/session-3.scope", "/dev/dri/card1")
    process(
        tree, 903, "qemu-system-x86", "/machine.slice/machine-qemu\\x2d3\\x2dvm\\x2done.scope/emulator", "/dev/vfio/1"
    )
    process(tree, 904, "qemu-system-x86", "/", "/dev/vfio/1")
    assert names(tree) == [
        ("service", "nvidia-persistenced.service (nvidia-persiste, pid 812)"),
        ("process", "python3 (pid 900)"),
        ("process", "Xorg (pid 902)"),
        ("domain", "vm-one (qemu-system-x86, pid 903)"),
        ("vfio", "qemu-system-x86 (pid 904)"),
    ]


def test_references_that_nobody_explains(tree: Tree) -> None:
    gtx1080(tree, driver="nvidia")
    tree.write("/proc/modules", "nvidia 1 3 nvidia_uvm,nvidia_drm, Live 0x0\n").folder("/proc/1/fd")
    assert names(tree) == [("process", "somebody unseen: 1 uses of the nvidia module")]


def test_a_domain_by_libvirts_own_status(tree: Tree) -> None:
    gtx1080(tree, driver="vfio-pci")
    tree.write("/run/libvirt/qemu/instance-0000001a.xml", HOSTDEV).write("/dev/vfio/1", "")
    process(tree, 4242, "qemu-system-x86", "/", "/dev/vfio/1")
    assert names(tree) == [("domain", "instance-0000001a")]


@pytest.mark.parametrize(
    "text", ["", "<hostdev>", HOSTDEV[:-80], "<hostdev><source><address bus='0xzz'/></source></hostdev>", "\0" * 99]
)
def test_a_broken_status_is_nobody_or_the_domain(text: str) -> None:
    assert set(parse_domain(text)) <= {"0000:01:00.0"}


def test_a_container_is_named(tree: Tree) -> None:
    process(tree, 7, "python3", f"/system.slice/docker-{'ab12' * 16}.scope")
    assert describe(live(tree), 7).name == "python3 (pid 7, container ab12ab12ab12)"


def test_mediated_devices_hang_on_their_card(tree: Tree) -> None:
    path = gtx1080(tree)
    child = f"{path}/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
    tree.folder(child).link("/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", child)
    assert [holder.kind for holder in tree.facts().gpus[0].holders or ()] == ["mdev"]


@pytest.mark.machine
def test_a_real_process_is_found_by_number_and_not_by_name(tmp_path: Path) -> None:
    zero = os.stat("/dev/zero").st_rdev
    with open("/dev/zero", "rb"):
        found = Host().open_devices({"/dev/some-other-name": zero})
    if found is None:
        pytest.skip("other users' processes are not to be seen")
    assert (os.getpid(), "/dev/some-other-name") in found


def test_nodes_without_numbers_are_still_listed(tree: Tree) -> None:
    path = gtx1080(tree, driver="amdgpu")
    tree.write(f"{path}/drm/card0/dev", "junk").write("/sys/class/kfd/kfd/dev", "234:0")
    assert device_nodes(tree.host(), tree.facts().gpus[0]) == {"/dev/dri/card0": None, "/dev/kfd": os.makedev(234, 0)}
