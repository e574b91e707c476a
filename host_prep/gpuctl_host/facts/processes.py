"""Who a process is to a person: its service, its container, its virtual machine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.facts.model import Holder

if TYPE_CHECKING:
    from gpuctl_host.host import Host

_MACHINE = re.compile(r"/machine-qemu(?:\\x2d|-)\d+(?:\\x2d|-)([^/]+)\.scope")
_SERVICE = re.compile(r"/([^/]+\.service)(?:/|$)")
_CONTAINER = re.compile(r"(?:docker|crio|cri-containerd|libpod|kubepods)[^/]*?[-/]([0-9a-f]{12})[0-9a-f]{20,}")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def describe(host: Host, pid: int) -> Holder:
    """Return the process as a holder, by its control group: a domain, a service, or just a process."""
    name = host.word(f"/proc/{pid}/comm") or "?"
    group = host.read(f"/proc/{pid}/cgroup", 65536) or ""
    machine = _MACHINE.search(group)
    if machine:
        domain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), machine[1])
        return Holder("domain", f"{domain} ({name}, pid {pid})", pid)
    container = _CONTAINER.search(group)
    if container:
        return Holder("process", f"{name} (pid {pid}, container {container[1]})", pid)
    service = next((found[1] for found in _SERVICE.finditer(group) if not found[1].startswith("user@")), None)
    if service:
        return Holder("service", f"{service} ({name}, pid {pid})", pid)
    return Holder("process", f"{name} (pid {pid})", pid)


def running(host: Host, name: str) -> int | None:
    """Return the pid of a process of that name (the kernel keeps 15 characters), or None."""
    for entry in host.names("/proc"):
        if entry.isdigit() and host.word(f"/proc/{entry}/comm") == name[:15]:
            return int(entry)
    return None
