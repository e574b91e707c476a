"""Checks of what belongs to no server: allocations, rows, domains, folders, cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.books.holdings import OWNED, explained, holdings
from gpuctl.moves.books.kinds import found, recover
from gpuctl.moves.model import AWAITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl.moves.audit.sight import Sight
    from gpuctl.moves.model import Finding, Folder, HostView


def allocations(sight: Sight) -> Iterator[Finding]:
    """Look for consumers in Placement that are nobody."""
    books = sight.books
    for consumer in sorted(books.gone):
        allocation = (books.allocations or {}).get(consumer)
        if allocation is None or not allocation.holds:
            continue
        providers = [one for uuid in allocation.holds if (one := (books.providers or {}).get(uuid)) is not None]
        hosts = sorted({one.host or one.name for one in providers})
        if not any(map(sight.means, hosts)):
            continue
        cards = holdings(books, consumer).placement or ()
        what = ", ".join(map(str, cards)) or f"memory and CPUs of {', '.join(hosts)}"
        record = next((one for one in books.migrations if one.uuid == consumer), None)
        if record is None:
            # Perhaps some other service's: nothing that holds no card is called wrong.
            said = f"Placement allocates {what} to {consumer}, which Nova knows neither as a server nor as a migration"
            fix = f"openstack resource provider allocation show {consumer}"
            status = "fail" if cards else "warn"
        else:
            there = "it" if record.server in books.servers else f"the deleted server {record.server}"
            said = f"Placement allocates {what} to migration {record.id} of {there}, which is `{record.status}`"
            fix, status = recover(record.server), "fail"
        subject = str(cards[0]) if cards else f"{hosts[0]}/{consumer}"
        if record is not None and record.server in books.servers:
            subject = record.server
        yield found("allocation-orphan", status, subject, said, fix)


def rows(sight: Sight) -> Iterator[Finding]:
    """Look for PCI rows of deleted servers."""
    for one in sight.books.rows or ():
        if one.owner in sight.books.gone and one.status in OWNED and sight.means(one.host):
            said = f"pci_devices row {one.id} is {one.status} to {one.owner}, which is no server (any more)"
            fix = f"on {one.host}: systemctl restart nova-compute"
            yield found("row-orphan", "fail", f"{one.host}/{one.address}", said, fix)


def folders(sight: Sight) -> Iterator[Finding]:
    """Look for `_resize` folders that no revert needs any more; one a server, however many hosts show it."""
    said: set[str] = set()
    for view in sight.books.hosts.values():
        for folder in view.folders or ():
            if folder.kind == "resize" and folder.uuid not in said and not _needed(sight, view, folder):
                said.add(folder.uuid)
                yield _left(sight, view, folder)


def _needed(sight: Sight, view: HostView, folder: Folder) -> bool:
    """Say whether a `_resize` folder may still be needed, as far as the books tell."""
    books = sight.books
    server = books.servers.get(folder.uuid)
    if server is None:
        # A server without cards is none of ours, and of a server that was not read nothing is known.
        return folder.uuid in books.others or not books.whole
    if view.shared:
        return any(one.open or one.status == AWAITS for one in books.migrations_of(server.id))
    return explained(books, server, folder.host) or server.task_state is not None


def _left(sight: Sight, view: HostView, folder: Folder) -> Finding:
    server = sight.books.servers.get(folder.uuid)
    where = f"{folder.host} has {folder.name}{', on shared storage' if view.shared else ''}"
    who = f"the server is {server.status} on {server.host}" if server else "Nova has no such server"
    subject = folder.uuid if server else f"{folder.host}/{folder.name}"
    fix = f"gpuctl instance leftovers list {folder.host}"
    return found("resize-leftover", "warn", subject, f"{where}; {who}, and no migration of it waits or is at work", fix)


def domains(sight: Sight) -> Iterator[Finding]:
    """Look for domains of no server."""
    books = sight.books
    if not books.whole:
        return
    known = books.servers.keys() | books.others.keys()
    for view in books.hosts.values():
        for one in view.domains or ():
            if one.uuid in known or not (one.hostdevs or one.name.startswith("instance-")):
                continue
            status = "fail" if one.runs and one.hostdevs else "warn"
            devices = f" with the host devices {', '.join(one.hostdevs)}" if one.hostdevs else ""
            said = f"{view.host} has the domain {one.name} ({one.uuid}), {one.state}{devices}; Nova has no such server"
            fix = f"on {view.host}: virsh dumpxml {one.uuid}"
            yield found("domain-unknown", status, f"{view.host}/{one.name}", said, fix)


def cards(sight: Sight) -> Iterator[Finding]:
    """Compare the GPUs on vfio-pci with those that Nova has; network cards and sound functions are none."""
    for view in sight.books.hosts.values():
        booked = _booked(sight, view.host)
        if view.vfio is None or booked is None:
            continue
        known = booked.keys() | (view.vfio if _virtual(sight, view.host) else ())
        for address in sorted((set(view.vfio) & view.lspci.keys()) - known):
            said = f"{address} ({view.lspci[address]}) is on vfio-pci on {view.host}; no row and no provider has it"
            yield found("card-unbooked", "warn", f"{view.host}/{address}", said, "gpuctl nova check nova.conf")
        for address in sorted((booked.keys() & view.lspci.keys()) - set(view.vfio)):
            owner = booked[address]
            if owner is None:
                continue
            said = f"{address} is not on vfio-pci on {view.host}; Nova has it {'allocated' if owner else 'available'}"
            fix = f"on {view.host}: gpuctl host check"
            yield found("card-not-vfio", "fail" if owner else "warn", f"{view.host}/{address}", said, fix)


def _booked(sight: Sight, host: str) -> dict[str, bool | None] | None:
    """Return address -> whether it is allocated, of Nova's cards on a host; None where no view has them.

    None for a card that is `unavailable`: while one of its virtual functions has an owner it is on its own driver.
    """
    books = sight.books
    if books.rows is not None:
        own = [one for one in books.rows if one.host == host and one.status != "removed"]
        return {one.address: None if one.status == "unavailable" else one.status in OWNED for one in own}
    there = [one for one in (books.providers or {}).values() if one.host == host and one.address]
    if not there:
        return None
    return {one.address or "": any((one.usages or {}).values()) for one in there if not one.virtual}


def _virtual(sight: Sight, host: str) -> bool:
    """Say whether a host has virtual cards, and no view their addresses."""
    providers = (sight.books.providers or {}).values()
    return sight.books.rows is None and any(one.host == host and one.virtual for one in providers)


def unseen(sight: Sight) -> Iterator[Finding]:
    """Say what could not be looked at."""
    for one in sight.books.unseen:
        host = one.view.split(" ")[1] if one.view.startswith("host ") else "cloud"
        yield found("not-seen", "skip", host, f"{one.view}: {one.why}", "")
    if sight.aliases is None:
        why = "no API shows them; --nova-conf FILE reads them from a nova.conf"
        yield found("not-seen", "skip", "cloud", f"aliases: {why}", "")
