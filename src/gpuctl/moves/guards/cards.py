"""Guards about the cards: is there a free one, is its alias known there, may it be given back."""

from __future__ import annotations

from gpuctl.moves.guards.say import fail, good, skip, warn
from gpuctl.moves.guards.services import others
from gpuctl.moves.guards.situation import Situation
from gpuctl.moves.guards.supply import ONE_TIME_USE, enough
from gpuctl.moves.model import Finding
from gpuctl.moves.move import SHELVE


def free_card(at: Situation) -> Finding:
    """The destination, or some host, has a free card of its kind in every view that can be had."""
    name = "move-free-card"
    if not at.server.cards:
        return good(name, at, "it needs none")
    if at.to is not None:
        found, said = enough(at.books, at.server, at.to, less=at.busy.get(at.to, 0))
        if found is False:
            fix = "gpuctl instance list shows where cards are; gpuctl instance audit whether some are held for nobody"
            return fail(name, at, f"{at.to} has no free card for it", said, fix)
        if found is None:
            return skip(name, at, f"whether {at.to} has a free card is not seen", said, "--nova-db or --ssh show it")
        return good(name, at, f"{at.to} has a free card", f"{said}{_unreserved(at)}")
    seen = [(host, *enough(at.books, at.server, host, less=at.busy.get(host, 0))) for host in others(at)]
    able = [(host, said) for host, found, said in seen if found]
    if able:
        return good(name, at, f"{able[0][0]} has a free card", able[0][1])
    if seen and all(found is False for _, found, _ in seen):
        return fail(
            name,
            at,
            "no other host has a free card for it",
            "; ".join(said for _, _, said in seen[:8]),
            "free one first",
        )
    return skip(
        name,
        at,
        "where a free card is, is not seen: Nova chooses",
        "no view shows all cards",
        "--nova-db or --ssh show it",
    )


def _unreserved(at: Situation) -> str:
    return "; nobody keeps it for the server while that is shelved" if at.strategy == SHELVE else ""


def alias(at: Situation) -> Finding:
    """The destination's nova.conf has the aliases: a cold migration there ends in ERROR else (4.4)."""
    name = "move-alias"
    if not at.server.wishes:
        return good(name, at, "its flavor asks for none")
    said = ", ".join(one.alias for one in at.server.wishes)
    if at.strategy == SHELVE:
        return good(name, at, "an unshelve does not look aliases up on its host", said)
    title = f"whether {at.to or 'the destination'} has its aliases is shown by no API"
    fix = "gpuctl nova check on that host's nova.conf; without them the server ends in ERROR, its guest still running"
    return skip(name, at, title, said, fix)


def one_time_use(at: Situation) -> Finding:
    """Its present card can be used again after it has gone (32 and newer can forbid that)."""
    name = "move-one-time-use"
    allocation = (at.books.allocations or {}).get(at.server.id)
    providers = at.books.providers or {}
    marked = [
        providers[uuid].name
        for uuid in (allocation.holds if allocation else {})
        if uuid in providers and ONE_TIME_USE in providers[uuid].traits
    ]
    if marked:
        title = "its card is for one use: once the server has left it stays reserved until somebody frees it"
        return warn(name, at, title, ", ".join(marked), "openstack resource provider inventory shows it as reserved")
    return good(name, at, "no card of it is known to be for one use")
