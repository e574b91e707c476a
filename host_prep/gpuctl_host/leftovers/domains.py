"""All domains of a host, running and defined: from libvirt itself, and from its files.

The two are put together: kolla's libvirtd has its own folders in its container, and a library on the host may reach
another libvirtd than the one that runs the guests.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gpuctl_host.data import changed, frozen
from gpuctl_host.errors import ToolError
from gpuctl_host.leftovers.domain_xml import XML_MAX, Domain, parse_domain
from gpuctl_host.leftovers.names import is_uuid
from gpuctl_host.tools import virsh

if TYPE_CHECKING:
    from gpuctl_host.host import Host

LIBVIRT, FILES = "libvirt", "files"
_STATUS, _CONFIG = "run/libvirt/qemu", "etc/libvirt/qemu"
_DAEMONS = ("libvirtd", "virtqemud")
_DEADLINE = 15.0  # seconds for the library; virsh has its own
# libvirt's virDomainState, in virsh's words
_STATES = ("no state", "running", "idle", "paused", "in shutdown", "shut off", "crashed", "pmsuspended")


@frozen
class Domains:
    """The domains of a host.

    Attributes:
        all: None: it cannot be known which there are.
        source: "libvirt" or "files"; None with all.
        unknown: what could not be read or understood; while there is any, no domain is proven absent.
    """

    all: tuple[Domain, ...] | None
    source: str | None
    unknown: tuple[str, ...] = ()

    def of(self, uuid: str) -> Domain | None:
        """Return the domain of a server."""
        return next((domain for domain in self.all or () if domain.uuid == uuid), None)


def read_domains(host: Host) -> Domains:
    """Return every domain that libvirt has on this host."""
    unknown: list[str] = []
    told = _from_library(host, unknown)
    if told is None:
        told = _from_virsh(host, unknown)
    filed = _from_files(host, unknown)
    if told is None and filed is None:
        return Domains(None, None, tuple(unknown))
    both = {domain.uuid: domain for domain in filed or ()}
    both.update({domain.uuid: _with_folders(domain, both.get(domain.uuid)) for domain in told or ()})
    return Domains(tuple(both.values()), FILES if told is None else LIBVIRT, tuple(unknown))


def _with_folders(domain: Domain, other: Domain | None) -> Domain:
    """The domain, with the files that its other form (running or defined) names."""
    return changed(domain, folders=tuple(dict.fromkeys((*domain.folders, *(other.folders if other else ())))))


# ---------------------------------------------------------------- libvirt itself


def _from_library(host: Host, unknown: list[str]) -> tuple[Domain, ...] | None:
    if not host.live or host.root != "/":
        return None
    try:
        import libvirt
    except ImportError:
        return None
    import threading

    answer: list[tuple[str, str, bool]] = []
    ended: list[bool] = []
    worker = threading.Thread(target=_ask, args=(libvirt, answer, ended), daemon=True)
    worker.start()
    worker.join(_DEADLINE)
    return _parsed(answer, unknown) if ended == [True] else None


def _ask(libvirt: Any, answer: list[tuple[str, str, bool]], ended: list[bool]) -> None:  # noqa: ANN401 - untyped module
    try:
        libvirt.registerErrorHandler(lambda _context, _error: None, None)  # it would write to stderr
        connection = libvirt.openReadOnly("qemu:///system")
        for domain in connection.listAllDomains(0):
            number = domain.state()[0]
            word = _STATES[number] if 0 <= number < len(_STATES) else f"state {number}"
            answer.append((domain.XMLDesc(0), word, bool(domain.isPersistent())))
        connection.close()
        ended.append(True)
    except libvirt.libvirtError:
        ended.append(False)


def _from_virsh(host: Host, unknown: list[str]) -> tuple[Domain, ...] | None:
    if not host.live or host.which("virsh") is None:
        return None
    try:
        listed, defined = virsh.uuids(host, persistent=False), set(virsh.uuids(host, persistent=True))
    except ToolError:
        return None
    found = []
    for uuid in listed:
        if not is_uuid(uuid):
            unknown.append(f"virsh names a domain {uuid!r}")
            continue
        try:
            found.append((virsh.xml(host, uuid), virsh.state(host, uuid), uuid in defined))
        except ToolError as error:  # it may have ended meanwhile; that is not known
            unknown.append(error.brief)
    return _parsed(found, unknown)


def _parsed(answers: list[tuple[str, str, bool]], unknown: list[str]) -> tuple[Domain, ...]:
    found = []
    for text, state, persistent in answers:
        domain = parse_domain(text, state=state, persistent=persistent)
        if domain is None:
            unknown.append("libvirt gave an XML that is none of a domain")
        else:
            found.append(domain)
    return tuple(found)


# ---------------------------------------------------------------- its files


def _from_files(host: Host, unknown: list[str]) -> tuple[Domain, ...] | None:
    """The domains of every libvirtd's own folders: the host's, and those that a container's libvirtd sees as such."""
    found: dict[str, Domain] = {}
    seen: set[tuple[int, int]] = set()
    any_read = False
    for root in ("/", *_container_roots(host)):
        for folder, persistent in ((root + _CONFIG, True), (root + _STATUS, False)):
            state = host.stat(folder)
            if state is None or (state.st_dev, state.st_ino) in seen:
                continue
            seen.add((state.st_dev, state.st_ino))
            any_read = any_read or persistent
            try:
                names = sorted(os.listdir(host.real(folder)))
            except OSError as error:
                unknown.append(f"{folder} cannot be read: {error.strerror}")
                continue
            for name in names:
                if name.endswith(".xml"):
                    _file(host, f"{folder}/{name}", found, unknown, persistent=persistent)
    return tuple(found.values()) if any_read else None


def _file(host: Host, path: str, found: dict[str, Domain], unknown: list[str], *, persistent: bool) -> None:
    text = host.read(path, XML_MAX + 1)
    domain = parse_domain(text, persistent=persistent) if text is not None else None
    if domain is None:
        if host.exists(path):
            unknown.append(f"{path} cannot be read as a domain's XML")
        return
    other = found.get(domain.uuid)
    if other is not None:  # defined and running: the state of the one that runs
        live = other if domain.is_off else domain
        domain = changed(_with_folders(live, other if live is domain else domain), persistent=True)
    found[domain.uuid] = domain


def _container_roots(host: Host) -> list[str]:
    """The root folders of libvirt's daemons that are not the host's own (kolla: nova_libvirt)."""
    if not host.live:
        return []
    own = host.stat("/")
    found = []
    for pid in host.names("/proc"):
        if pid.isdigit() and host.word(f"/proc/{pid}/comm") in _DAEMONS:
            root = host.stat(f"/proc/{pid}/root/")
            if root is not None and own is not None and not os.path.samestat(root, own):
                found.append(f"/proc/{pid}/root/")
    return found
