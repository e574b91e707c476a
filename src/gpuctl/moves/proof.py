"""Whether a guest is good where it is now (before a confirm), and whether all books agree (after the move)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpuctl.moves.model import AWAITS, BROKEN, Allocation, Books, Domain, Finding, HostView, Server
from gpuctl.moves.move import LEGACY, Sight, Track
from gpuctl.moves.ways.traces import action_of, ours

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNNING, SHUTDOWN = 1, 4
"""Nova's power states (nova/compute/power_state.py)."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of the guest on the destination.

    Attributes:
        good: nothing speaks against it, and everything that could be looked at was.
        by: "host" where its domain was looked at; "api" where Nova's word is all there is.
        detail: in one sentence.
        at: when, seconds since 1970 on this machine.
    """

    good: bool
    by: str
    detail: str
    at: float
    findings: tuple[Finding, ...] = ()


def prove(track: Track, sight: Sight, books: Books) -> Proof:
    """Return the proof of a guest that waits for its confirm.

    Args:
        track: the move.
        sight: a close look.
        books: read after it.
    """
    findings = (*_api_says(track, sight), *_guest(track, books, _dest(track, sight)))
    bad = [one for one in findings if one.status == "fail"]
    by = "host" if any(one.id == "moved-guest" and one.status != "skip" for one in findings) else "api"
    if bad:
        return Proof(good=False, by=by, detail="; ".join(one.title for one in bad), at=sight.now, findings=findings)
    said = (
        "its domain and its cards were looked at"
        if by == "host"
        else "by Nova's word alone: its host was not looked at"
    )
    return Proof(good=True, by=by, detail=f"good: {said}", at=sight.now, findings=findings)


def _dest(track: Track, sight: Sight) -> str:
    mine = ours(track, sight, "migration")
    return (mine[-1].dest if mine else None) or track.move.to or ""


def _api_says(track: Track, sight: Sight) -> Iterator[Finding]:
    """Yield what Nova's records say of a server in VERIFY_RESIZE."""
    move, server = track.move, sight.server
    say = _Say(move.server.id)
    mine = ours(track, sight, "migration")
    if server is None or not mine or mine[-1].status != AWAITS or server.vm_state != "resized" or server.task_state:
        yield say.fail("moved-state", "it is not in VERIFY_RESIZE any more", "GET /servers, /os-migrations")
        return
    where = f"server {server.status} on {server.host}, migration {mine[-1].id} {mine[-1].status} to {mine[-1].dest}"
    if server.host != mine[-1].dest or server.host == move.source:
        yield say.fail("moved-state", "the server is not where its migration says", where)
    elif server.fault is not None:
        yield say.fail("moved-state", "the server has a fault", server.fault.message)
    else:
        yield say.good("moved-state", "in VERIFY_RESIZE on the destination", where)
    sent = track.last("migrate")
    action = action_of(track, sent, sight) if sent else None
    events = action.events if action is not None else None
    if not events:
        yield say.fail("moved-action", "Nova shows no events of the move", "GET os-instance-actions")
    elif any(one.result != "Success" for one in events):
        odd = ", ".join(f"{one.name}: {one.result or 'not ended'}" for one in events if one.result != "Success")
        yield say.fail("moved-action", "not every step of the move succeeded", odd)
    else:
        yield say.good("moved-action", "every step of the move succeeded", ", ".join(one.name for one in events))
    yield _power(say, server, ran=move.ran)


def _power(say: _Say, server: Server, *, ran: bool) -> Finding:
    wanted = RUNNING if ran else SHUTDOWN
    evidence = f"power_state {server.power_state}, {'running' if ran else 'off'} before"
    if server.power_state == wanted or (not ran and server.power_state != RUNNING):
        return say.good("moved-power", "powered as before", evidence)
    return say.fail("moved-power", "not powered as before", evidence)


def _guest(track: Track, books: Books, dest: str) -> Iterator[Finding]:
    """Yield what the destination itself shows: the domain, and its cards beside Nova's rows."""
    move = track.move
    say = _Say(move.server.id)
    view = books.hosts.get(dest)
    if view is None or view.domains is None:
        yield say.skip("moved-guest", f"{dest} was not looked at", _why_unseen(books, dest))
        return
    domain = next((one for one in view.domains if one.uuid == move.server.id), None)
    if domain is None:
        yield say.fail("moved-guest", f"libvirt on {dest} has no domain of it", f"{len(view.domains)} domains there")
        return
    if domain.runs != move.ran:
        yield say.fail(
            "moved-guest", f"the guest is {domain.state} on {dest}", f"{'running' if move.ran else 'off'} before"
        )
        return
    if move.ran and domain.state != "running":
        yield say.fail("moved-guest", f"the guest is {domain.state} on {dest}", "running before")
        return
    yield _cards_of(say, track, books, view, domain)


def _cards_of(say: _Say, track: Track, books: Books, view: HostView, domain: Domain) -> Finding:
    cards = gpus_of(domain, view)
    wanted = track.move.server.cards
    evidence = f"{domain.name} on {view.host}: {domain.state}, {', '.join(cards) or 'no cards'}"
    rows = books.rows_of(track.move.server.id)
    there = None if rows is None else {one.address for one in rows if one.host == view.host}
    if len(cards) != wanted:
        return say.fail("moved-guest", f"the guest has {len(cards)} cards, not {wanted}", evidence)
    if there is not None and not set(cards) <= there:
        return say.fail(
            "moved-guest", "the guest has other cards than Nova's rows say", f"{evidence}; rows {sorted(there)}"
        )
    other = [
        each.name
        for each in view.domains or ()
        if each.uuid != domain.uuid and each.runs and set(each.hostdevs) & set(cards)
    ]
    if other:
        return say.fail("moved-guest", f"its cards are in {', '.join(other)} as well", evidence)
    return say.good("moved-guest", "the domain is as it should be", evidence)


def gpus_of(domain: Domain, view: HostView) -> tuple[str, ...]:
    """Return the cards among a domain's host devices: those that the host shows as GPUs, where it shows any."""
    return tuple(one for one in domain.hostdevs if not view.lspci or one in view.lspci)


# ---------------------------------------------------------------- after the move


def check(track: Track, books: Books) -> tuple[Finding, ...]:
    """Return the findings of 4.11 after a move: only where none fails is it done."""
    server = books.servers.get(track.move.server.id)
    say = _Say(track.move.server.id)
    if server is None:
        return (say.fail("moved-state", "the server is gone", "GET /servers"),)
    dest = server.host or ""
    return (
        _server(say, track, server),
        *_records(say, track, books),
        *_placement(say, track, books, dest),
        *_rows(say, track, books, dest),
        *_guest(track, books, dest),
        *_source(say, track, books),
    )


def _server(say: _Say, track: Track, server: Server) -> Finding:
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


def _records(say: _Say, track: Track, books: Books) -> Iterator[Finding]:
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
            names = ", ".join(_provider(books, uuid) for uuid in held.holds)
            yield say.fail("moved-consumer", f"migration {one.id} still holds an allocation", f"{one.uuid}: {names}")


def _placement(say: _Say, track: Track, books: Books, dest: str) -> Iterator[Finding]:
    if not books.tracked:
        if books.tracked is None:
            yield say.skip("moved-allocation", "Placement was not read", _why_unseen(books, "placement"))
        return
    held = cards_held(books, track.move.server.id)
    wanted = track.move.server.cards
    evidence = f"holds {', '.join(sorted(_provider(books, uuid) for uuid in held)) or 'no card'}, asks for {wanted}"
    if any(_host(books, uuid) != dest for uuid in held):
        yield say.fail("moved-allocation", "it holds a card of another host in Placement", evidence)
    elif sum(held.values()) != wanted:
        title = f"it holds {sum(held.values())} cards in Placement, not {wanted}"
        yield say.fail("moved-allocation", title, evidence)
    else:
        right = right_addresses(track, books, dest)
        addresses = {(books.providers or {})[uuid].address for uuid in held}
        if right is not None and addresses != right:
            yield say.fail(
                "moved-allocation", "it holds another card in Placement than it has", f"{evidence}; has {sorted(right)}"
            )
        else:
            yield say.good("moved-allocation", "Placement has its cards", evidence)


def _rows(say: _Say, track: Track, books: Books, dest: str) -> Iterator[Finding]:
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


def _source(say: _Say, track: Track, books: Books) -> Iterator[Finding]:
    """Yield what the source still has: its domain, and the `_resize` folder."""
    source, server = track.move.source, track.move.server.id
    view = books.hosts.get(source)
    if view is None or view.domains is None:
        yield say.skip("moved-source", f"{source} was not looked at", _why_unseen(books, source))
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


# ---------------------------------------------------------------- Placement put right


def right_addresses(track: Track, books: Books, dest: str) -> set[str] | None:
    """Return the addresses of the cards that the server really has on its host; None where nobody shows them."""
    server = track.move.server
    rows = books.rows_of(server.id)
    if rows is not None:
        found = {one.address for one in rows if one.host == dest}
        return found if len(found) == server.cards else None
    view = books.hosts.get(dest)
    domain = next((one for one in (view.domains or ()) if one.uuid == server.id), None) if view else None
    if view is None or domain is None:
        return None
    cards = {one.lower() for one in gpus_of(domain, view)}
    return cards if len(cards) == server.cards else None


def right_allocation(track: Track, books: Books) -> Allocation | None:
    """Return what Placement should say instead of a doubled allocation; None where it is right, or nobody can know."""
    server = books.servers.get(track.move.server.id)
    allocation = (books.allocations or {}).get(track.move.server.id)
    if (
        not books.tracked
        or server is None
        or server.host is None
        or allocation is None
        or allocation.generation is None
    ):
        return None
    held = cards_held(books, server.id)
    right = right_addresses(track, books, server.host)
    if right is None or not books.providers:
        return None
    keep = {uuid for uuid in held if _host(books, uuid) == server.host and books.providers[uuid].address in right}
    if keep == held.keys() or len(keep) != server.cards:
        return None
    holds = {uuid: amounts for uuid, amounts in allocation.holds.items() if uuid not in held or uuid in keep}
    return replace(allocation, holds=holds)


def cards_held(books: Books, consumer: str) -> dict[str, int]:
    """Return provider -> how many cards of it a consumer holds in Placement."""
    allocation = (books.allocations or {}).get(consumer)
    providers = books.providers or {}
    if allocation is None:
        return {}
    return {
        uuid: sum(amounts.values())
        for uuid, amounts in allocation.holds.items()
        if uuid in providers and providers[uuid].address is not None
    }


def _provider(books: Books, uuid: str) -> str:
    one = (books.providers or {}).get(uuid)
    return one.name if one else uuid


def _host(books: Books, uuid: str) -> str | None:
    one = (books.providers or {}).get(uuid)
    return one.host if one else None


def _why_unseen(books: Books, view: str) -> str:
    found = next((one for one in books.unseen if view in one.view or one.view == "hosts"), None)
    return found.why if found else "not read"


@dataclass(frozen=True)
class _Say:
    """Makes the findings about one server."""

    server: str

    def good(self, name: str, title: str, evidence: str) -> Finding:
        return Finding(name, "pass", self.server, title, evidence)

    def fail(self, name: str, title: str, evidence: str) -> Finding:
        return Finding(name, "fail", self.server, title, evidence, f"gpuctl instance recover {self.server}")

    def skip(self, name: str, title: str, evidence: str) -> Finding:
        return Finding(name, "skip", self.server, title, evidence)
