"""NUMA nodes: how many processors and how much memory each has, for flavors that fill a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.facts.model import Node

if TYPE_CHECKING:
    from gpuctl_host.host import Host

_NODES = "/sys/devices/system/node"


def read_nodes(host: Host) -> tuple[Node, ...] | None:
    """Return every node with processors or memory, or None if the kernel does not show them."""
    found = []
    for name in host.names(_NODES):
        if not (name.startswith("node") and name[4:].isdecimal()):
            continue
        cpus = _count(host.word(f"{_NODES}/{name}/cpulist") or "")
        memory = _memory(host.read(f"{_NODES}/{name}/meminfo", 65536) or "")
        if cpus is None or memory is None:
            return None
        found.append(Node(int(name[4:]), cpus, memory))
    return tuple(sorted(found, key=lambda node: node.number)) or None


def _count(cpulist: str) -> int | None:
    """How many processors "0-15,32-47" are; None: not a list."""
    total = 0
    for part in filter(None, cpulist.split(",")):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 15:
            return None
        total += int(last) - int(first) + 1 if dash else 1
    return max(total, 0)


def _memory(meminfo: str) -> int | None:
    """MiB of "Node 0 MemTotal:  131072000 kB"; None: not said."""
    for line in meminfo.splitlines():
        words = line.split()
        if len(words) >= 4 and words[2] == "MemTotal:" and words[3].isdecimal() and len(words[3]) < 20:
            return int(words[3]) // 1024
    return None
