"""Which running libvirt domain holds which PCI device."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gpuctl_host.facts.model import Holder

if TYPE_CHECKING:
    from gpuctl_host.host import Host

_STATUS = "/run/libvirt/qemu"
_SOCKETS = ("/run/libvirt/virtqemud-sock-ro", "/run/libvirt/libvirt-sock-ro")
_FILE_MAX = 4 << 20
_DEADLINE = 3.0  # seconds
_NAME = re.compile(r"<name>([^<]{1,200})</name>")
_PID = re.compile(r"<domstatus\b[^>]*\bpid=['\"](\d{1,9})['\"]")
_HOSTDEV = re.compile(r"<hostdev\b.*?</hostdev>", re.DOTALL)
_SOURCE = re.compile(r"<source\b.*?</source>", re.DOTALL)
_ADDRESS = re.compile(r"<address\b([^>]*)>")
_FIELD = re.compile(r"\b(domain|bus|slot|function)=['\"]0x([0-9a-fA-F]{1,8})['\"]")


def read_domains(host: Host) -> dict[str, Holder]:
    """Return PCI address -> the running domain that has it.

    libvirt's own status files (root's) say it without a library; where they cannot be read, libvirt-python is asked.
    """
    texts = [host.read(f"{_STATUS}/{name}", _FILE_MAX) for name in host.names(_STATUS) if name.endswith(".xml")]
    if not texts and host.live and host.root == "/" and any(host.exists(path) for path in _SOCKETS):
        texts = _asked(host)
    found: dict[str, Holder] = {}
    for text in texts:
        if text is not None:
            found.update(parse_domain(text))
    return found


def parse_domain(text: str) -> dict[str, Holder]:
    """Return the PCI host devices of one domain's (or domain status') XML."""
    name, pid = _NAME.search(text), _PID.search(text)
    holder = Holder("domain", name[1] if name else "?", int(pid[1]) if pid else None)
    found = {}
    for device in _HOSTDEV.findall(text):
        source = _SOURCE.search(device)
        place = _ADDRESS.search(source[0]) if source else None
        if place:
            field = {key: int(value, 16) for key, value in _FIELD.findall(place[1])}
            if {"bus", "slot", "function"} <= set(field):
                address = f"{field.get('domain', 0):04x}:{field['bus']:02x}:{field['slot']:02x}.{field['function']:x}"
                found[address] = holder
    return found


def _asked(host: Host) -> list[str | None]:
    """The running domains' XML, over libvirt's read-only socket and within a deadline; nothing without the library."""
    if not any(host.writable(path) for path in _SOCKETS):
        return []
    try:
        import libvirt
    except ImportError:
        return []
    import threading

    answer: list[str | None] = []
    worker = threading.Thread(target=_ask, args=(libvirt, answer), daemon=True)
    worker.start()
    worker.join(_DEADLINE)
    return [] if worker.is_alive() else answer


def _ask(libvirt: Any, answer: list[str | None]) -> None:  # noqa: ANN401 - a module without types
    try:
        connection = libvirt.openReadOnly("qemu:///system")
        domains = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        answer.extend(domain.XMLDesc(0) for domain in domains)
        connection.close()
    except libvirt.libvirtError:
        return
