"""The guest as its host shows it: the domain, and its cards beside Nova's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.model import Books, Domain, Finding, HostView
from gpuctl.moves.proof.findings import Say, why_unseen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl.moves.move import Track


def guest(track: Track, books: Books, dest: str) -> Iterator[Finding]:
    """Yield what the destination itself shows: the domain, and its cards beside Nova's rows."""
    move = track.move
    say = Say(move.server.id)
    view = books.hosts.get(dest)
    if view is None or view.domains is None:
        yield say.skip("moved-guest", f"{dest} was not looked at", why_unseen(books, dest))
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


def _cards_of(say: Say, track: Track, books: Books, view: HostView, domain: Domain) -> Finding:
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
