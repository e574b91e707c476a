"""Whether all books agree after a move (facts/nova.md 4.11): only then is it done."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gpuctl.moves.model import AWAITS, BROKEN, Books, Finding, Server
from gpuctl.moves.move import LEGACY, Track
from gpuctl.moves.proof.allocation import cards_held, elsewhere, host_of, provider_name, right_addresses
from gpuctl.moves.proof.findings import Say, why_unseen
from gpuctl.moves.proof.guest import guest

if TYPE_CHECKING:
    from collections.abc import Iterator


def check(track: Track, books: Books) -> tuple[Finding, ...]:
    """Return the findings of 4.11 after a move: only where none fails is it done."""
    server = books.servers.get(track.move.server.id)
    say = Say(track.move.server.id)
    if server is None:
        return (say.fail("moved-state", "the server is gone", "GET /servers"),)
    dest = server.host or ""
    return (
        _server(say, track, server),
        *_records(say, track, books),
        *_placement(say, track, books, dest),
        *_rows(say, track, books, dest),
        *guest(track, books, dest),
        *_source(say, track, books),
    )


def _server(say: Say, track: Track, server: Server) -> Finding:
    move = track.move
    where = f"{server.status} on {server.host}, task {server.task_state or 'none'}; {move.server.status} before"
    if server.host == move.source or server.host is None:
        return say.fail("moved-state", f"it is on {server.host or 'no host'}", where)
    if move.to is not None and server.host != move.to:
        return say.fail("moved-state", f"it is on {server.host}, not on {move.to}", where)
    if server.vm_state != move.server.vm_state or server.task_state is not None:
        return say.fail("moved-state", f"it is {server.status}, not {move.server.status} as before", where)
    if server.fault is not None:
        return say.fail("moved-state", "it has a fault", server.fault.message)
    return say.good("moved-state", "on its new host, as before", where)


def _records(say: Say, track: Track, books: Books) -> Iterator[Finding]:
    legacy = track.move.strategy == LEGACY
    for one in books.migrations_of(track.move.server.id):
        if one.id in track.known:
            continue
        evidence = f"migration {one.id} ({one.kind}) {one.source} -> {one.dest}: {one.status}"
        if one.open or one.status == AWAITS or (one.status == BROKEN and not legacy):
            yield say.fail("moved-migration", f"migration {one.id} is {one.status}", evidence)
        else:
            yield say.good("moved-migration", f"migration {one.id} is {one.status}", evidence)
        held = (books.allocations or {}).get(one.uuid or "")
        if held is not None and held.holds:
            names = ", ".join(provider_name(books, uuid) for uuid in held.holds)
            yield say.fail("moved-consumer", f"migration {one.id} still holds an allocation", f"{one.uuid}: {names}")


def _placement(say: Say, track: Track, books: Books, dest: str) -> Iterator[Finding]:
    if not books.tracked:
        if books.tracked is None:
            yield say.skip("moved-allocation", "Placement was not read", why_unseen(books, "placement"))
        return
    held = cards_held(books, track.move.server.id)
    wanted = track.move.server.cards
    evidence = f"holds {', '.join(sorted(provider_name(books, uuid) for uuid in held)) or 'no card'}, asks for {wanted}"
    if any(host_of(books, uuid) != dest for uuid in held):
        yield say.fail("moved-allocation", "it holds a card of another host in Placement", evidence)
    elif other := elsewhere(books, track.move.server.id, dest):
        names = ", ".join(sorted(provider_name(books, uuid) for uuid in other))
        yield say.fail("moved-allocation", "it holds resources of another host in Placement", f"{names}; {evidence}")
    elif sum(held.values()) != wanted:
        title = f"it holds {sum(held.values())} cards in Placement, not {wanted}"
        yield say.fail("moved-allocation", title, evidence)
    else:
        right = right_addresses(track, books, dest)
        addresses = Counter({(books.providers or {})[uuid].address: count for uuid, count in held.items()})
        if right is not None and addresses != right:
            really = sorted(right.elements())
            yield say.fail(
                "moved-allocation", "it holds another card in Placement than it has", f"{evidence}; has {really}"
            )
        else:
            yield say.good("moved-allocation", "Placement has its cards", evidence)


def _rows(say: Say, track: Track, books: Books, dest: str) -> Iterator[Finding]:
    rows = books.rows_of(track.move.server.id)
    if rows is None:
        yield say.skip("moved-rows", "Nova's PCI rows were not read", "--nova-db shows them")
        return
    evidence = ", ".join(f"{one.host} {one.address} {one.status}" for one in rows) or "no rows"
    elsewhere = [one for one in rows if one.host != dest]
    if elsewhere and track.move.strategy != LEGACY:
        yield say.fail("moved-rows", f"Nova still gives it {len(elsewhere)} cards of another host", evidence)
    elif len(rows) - len(elsewhere) < track.move.server.cards:
        yield say.fail("moved-rows", "Nova gives it fewer cards than it asks for", evidence)
    else:
        yield say.good("moved-rows", "Nova's rows are those of its host", evidence)


def _source(say: Say, track: Track, books: Books) -> Iterator[Finding]:
    """Yield what the source still has: its domain, and the `_resize` folder."""
    source, server = track.move.source, track.move.server.id
    view = books.hosts.get(source)
    if view is None or view.domains is None:
        yield say.skip("moved-source", f"{source} was not looked at", why_unseen(books, source))
        return
    domain = next((one for one in view.domains if one.uuid == server), None)
    folders = [one.name for one in view.folders or () if one.uuid == server and not view.shared]
    if domain is None and not folders:
        yield say.good("moved-source", f"nothing of it is left on {source}", f"{len(view.domains)} domains there")
        return
    left = [f"domain {domain.name} ({domain.state})"] if domain else []
    evidence = ", ".join([*left, *folders])
    title, fix = f"{source} still has {evidence}", f"gpuctl instance leftovers list {server}"
    if track.move.strategy == LEGACY and (domain is None or not domain.runs):
        yield Finding("moved-source", "warn", server, title, evidence, fix)
    else:
        yield Finding("moved-source", "fail", server, title, evidence, fix)
