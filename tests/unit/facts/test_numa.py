"""NUMA nodes of a host, as flavors that fill it need them."""

from __future__ import annotations

import pytest

from gpuctl_host.facts.numa import read_nodes
from gpuctl_host.host import Host

NODE = "sys/devices/system/node"


def write(root, number, cpulist, meminfo):
    folder = root / NODE / f"node{number}"
    folder.mkdir(parents=True)
    (folder / "cpulist").write_text(cpulist + "\n")
    (folder / "meminfo").write_text(meminfo)


def test_each_node_has_its_processors_and_memory(tmp_path):
    write(tmp_path, 10, "16-31,48-63", "Node 10 MemTotal:  131072000 kB\nNode 10 MemFree: 1 kB\n")
    write(tmp_path, 0, "0-15,32", "Node 0 MemTotal:  1024 kB\n")
    (tmp_path / NODE / "possible").write_text("0-1\n")
    found = read_nodes(Host(str(tmp_path)))
    assert found is not None
    assert [(node.number, node.cpus, node.memory_mib) for node in found] == [(0, 17, 1), (10, 32, 128000)]


def test_a_node_without_processors_has_none(tmp_path):
    write(tmp_path, 1, "", "Node 1 MemTotal:  2048 kB\n")
    found = read_nodes(Host(str(tmp_path)))
    assert found is not None
    assert found[0].cpus == 0


@pytest.mark.parametrize(
    ("cpulist", "meminfo"), [("x", "Node 0 MemTotal: 1 kB\n"), ("0-1", "junk"), ("0-" + "9" * 400, "")]
)
def test_what_cannot_be_understood_is_unknown(tmp_path, cpulist, meminfo):
    write(tmp_path, 0, cpulist, meminfo)
    assert read_nodes(Host(str(tmp_path))) is None


def test_without_the_folder_it_is_unknown(tmp_path):
    assert read_nodes(Host(str(tmp_path))) is None
