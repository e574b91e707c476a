"""One server's views compared: what they say of each other, as findings. Pure; what was not seen says nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gpuctl.moves.books.holdings import (
    Place,
    as_provided,
    at_rest,
    explained,
    holdings,
    own_domain,
    ports,
)
from gpuctl.moves.books.kinds import found, recover

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl.moves.model import Books, Finding, Server


def compare(books: Books, server: str) -> tuple[Finding, ...]:
    """Return where a server's cards in Placement, in Nova's rows and in its domain are not what they should be.

    A server that somebody is at work on is left alone: its books are expected to disagree for a while.
    """
    one = books.servers[server]
    if not at_rest(books, one):
        return ()
    return (*placement(books, one), *rows(books, one), *domains(books, one))


def placement(books: Books, server: Server) -> Iterator[Finding]:
    """Compare what Placement has for a server with what it asks for and where it is."""
    allocation = (books.allocations or {}).get(server.id)
    if allocation is None or books.providers is None:
        return
    held = holdings(books, server.id).placement or ()
    there = [one for one in held if one.host == server.host]
    said = f"Placement allocates {_listed(there)} to it; its flavor asks for {server.cards}"
    if len(there) > server.cards:
        yield found("allocation-double", "fail", server.id, said, recover(server.id))
    elif server.host is not None and books.reports(server.host) and len(there) < server.cards:
        yield found("allocation-missing", "fail", server.id, said, recover(server.id))
    hosts = {one.host for uuid in allocation.holds if (one := books.providers.get(uuid)) is not None and one.host}
    for host in sorted(hosts - {server.host}):
        if not explained(books, server, host):
            cards = [one for one in held if one.host == host]
            what = _listed(cards) if cards else f"memory and CPUs of {host}"
            evidence = f"Placement allocates {what} to it; Nova has it on {server.host or 'no host'}"
            yield found("allocation-elsewhere", "fail", server.id, evidence, recover(server.id))


def rows(books: Books, server: Server) -> Iterator[Finding]:
    """Compare Nova's PCI rows with what a server asks for and where it is."""
    held = holdings(books, server.id).rows
    if held is None:
        return
    there = [one for one in held if one.host == server.host]
    said = f"pci_devices has {_listed(there)} allocated to it; its flavor asks for {server.cards}"
    if len(set(there) - ports(books, server.id)) > server.cards:
        yield found("row-double", "fail", server.id, said, recover(server.id))
    elif server.host is not None and len(there) < server.cards:
        yield found("row-missing", "fail", server.id, said, recover(server.id))
    elsewhere = [one for one in held if one.host != server.host and not explained(books, server, one.host)]
    if elsewhere:
        evidence = (
            f"pci_devices has {_listed(elsewhere)} allocated to it; Nova has it on {server.host or 'no host'}"
            f"{_blamed(books, server, elsewhere)}"
        )
        yield found("row-elsewhere", "fail", server.id, evidence, recover(server.id))


def _blamed(books: Books, server: Server, places: list[Place]) -> str:
    """Return the failed migrations that hold these rows, in words."""
    hosts = {one.host for one in places}
    blamed = [
        f"{one.id} ({one.kind} {one.source} -> {one.dest})"
        for one in books.migrations_of(server.id)
        if one.status == "error" and {one.source, one.dest} & hosts
    ]
    return f"; held by the migration in `error` {', '.join(blamed)}" if blamed else ""


def domains(books: Books, server: Server) -> Iterator[Finding]:
    """Compare the domains that the hosts show with what the books say of a server."""
    for domain in books.domains_of(server.id):
        if domain.host == server.host or explained(books, server, domain.host):
            continue
        has = f"{domain.host} has the domain {domain.name} of it, {domain.state}"
        where = f"{has}; Nova has it on {server.host or 'no host'}"
        if domain.runs:
            yield found("domain-elsewhere", "fail", server.id, where, recover(server.id))
        else:
            fix = f"gpuctl instance leftovers list {domain.host}"
            yield found("domain-stale", "warn", server.id, f"{where}{_of(domain.hostdevs)}", fix)
    view = books.hosts.get(server.host or "")
    if view is None or view.domains is None:
        return
    running = own_domain(books, server)
    if running is None:
        if server.vm_state == "active":
            said = f"Nova calls it active; {server.host} runs no domain of it"
            yield found("domain-missing", "fail", server.id, said, recover(server.id))
        return
    yield from _hostdevs(books, server, running.hostdevs)


def _hostdevs(books: Books, server: Server, hostdevs: tuple[str, ...]) -> Iterator[Finding]:
    """Compare a running guest's devices with the books; where these have a wrong number, that is said already."""
    has = set(hostdevs)
    held = holdings(books, server.id)
    network = {one.address for one in ports(books, server.id)}
    for name, view in (("pci_devices", held.rows), ("Placement", held.placement)):
        if view is None or (name == "Placement" and not books.reports(server.host)):
            continue
        booked = Counter(one.address for one in view if one.host == server.host)
        shown = Counter(has) if name != "Placement" else as_provided(books, server.host, has - network)
        if shown is None:
            continue
        own = Counter({address: count for address, count in booked.items() if address not in network})
        if (shown - booked or own - shown) and own.total() == server.cards:
            evidence = f"its domain on {server.host} has {_plain(has)}; {name} has {_plain(set(booked))}"
            yield found("hostdev-mismatch", "fail", server.id, evidence, recover(server.id))
            return
    if len(has) != server.cards and not network:
        evidence = f"its domain on {server.host} has {_plain(has)}; its flavor asks for {server.cards} cards"
        yield found("hostdev-mismatch", "fail", server.id, evidence, recover(server.id))


def _listed(places: list[Place]) -> str:
    return ", ".join(map(str, places)) if places else "no card"


def _plain(addresses: set[str]) -> str:
    return ", ".join(sorted(addresses)) or "no device"


def _of(hostdevs: tuple[str, ...]) -> str:
    return f"; it names the host devices {', '.join(hostdevs)}" if hostdevs else ""
