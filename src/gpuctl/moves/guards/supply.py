"""Free cards of the kind that a server has, on one host, as each view counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from gpuctl.moves.model import Books, Provider, Server

Need = Mapping[str, int]
ONE_TIME_USE = "HW_PCI_ONE_TIME_USE"


@dataclass(frozen=True, slots=True)
class Supply:
    """What one host has free for one server; a view that does not say is None.

    Attributes:
        placement: class, and what traits its device_spec gave it -> free.
        rows: vendor:product -> free.
        host: vendor:product (or "card" where the model is not seen) -> on vfio-pci and in no running domain.
    """

    placement: Mapping[str, int] | None
    rows: Mapping[str, int] | None
    host: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """The kinds of card that a server has, as the views that show its present ones name them; None: not known."""

    classes: Need | None
    models: Need | None


def wanted(books: Books, server: Server) -> Wanted:
    """Return what the server needs, told by the cards that it holds now: no API says what an alias stands for."""
    held: Counter[str] = Counter()
    blind = False
    allocation = (books.allocations or {}).get(server.id)
    for uuid, amounts in (allocation.holds if allocation else {}).items():
        provider = (books.providers or {}).get(uuid)
        if provider is not None and provider.address is not None and provider.host == server.host:
            held.update({_kind(provider, name): count for name, count in amounts.items()})
            blind |= provider.usages is None and any(_traits(one) for one in (books.providers or {}).values())
    models = Counter(
        f"{one.vendor_id}:{one.product_id}"
        for one in books.rows_of(server.id) or ()
        if one.host == server.host and not one.network
    )
    view = books.hosts.get(server.host or "")
    if not models and view is not None:
        mine = [one for one in view.domains or () if one.uuid == server.id]
        models = Counter(view.lspci[address] for one in mine for address in one.hostdevs if address in view.lspci)
    return Wanted(None if blind else _exact(held, server.cards), _exact(models, server.cards))


def _kind(card: Provider, resource: str) -> str:
    """Return what a card is to Placement: an alias may ask for traits, which no API shows, so all of them count."""
    traits = _traits(card)
    return f"{resource} with {', '.join(traits)}" if traits else resource


def _traits(card: Provider) -> list[str]:
    """Return the traits of a card that an alias may have asked for."""
    own = {one for one in card.traits if not one.startswith("COMPUTE_")} if card.address is not None else set()
    return sorted(own - {ONE_TIME_USE})


def _exact(found: Counter[str], cards: int) -> Need | None:
    """Return kind -> count for so many cards; None where what is held does not tell."""
    if not found:
        return None
    if len(found) == 1:  # a doubled allocation has too many, of the right kind
        return {next(iter(found)): cards}
    return dict(found) if sum(found.values()) == cards else None


def supply(books: Books, host: str) -> Supply:
    """Return what a host has free."""
    cards = [one for one in (books.providers or {}).values() if one.host == host and one.address is not None]
    known = [one for one in cards if one.usages is not None]
    placement: Counter[str] | None = None
    if books.tracked and cards and len(known) == len(cards):
        placement = Counter()
        for card in known:
            for name, total in card.inventories.items():
                placement[_kind(card, name)] += max(total - (card.usages or {}).get(name, 0), 0)
    rows: Counter[str] | None = None
    if books.rows is not None:
        rows = Counter(
            f"{one.vendor_id}:{one.product_id}" for one in books.rows if one.host == host and one.status == "available"
        )
    view = books.hosts.get(host)
    there: Counter[str] | None = None
    if view is not None and view.vfio is not None and view.domains is not None:
        taken = {address for one in view.domains if one.runs for address in one.hostdevs}
        there = Counter(view.lspci.get(address, "card") for address in view.vfio if address not in taken)
    return Supply(placement, rows, there)


def enough(books: Books, server: Server, host: str, *, less: int = 0) -> tuple[bool | None, str]:
    """Return ``(whether the host has a free card for the server in every view, what was seen)``; None: no view says.

    Args:
        books: as read.
        server: with its present cards.
        host: where it would go.
        less: cards of that host that others of the same run will take.
    """
    need, have = wanted(books, server), supply(books, host)
    judged: list[bool] = []
    said: list[str] = []
    for name, kinds, free in (
        ("Placement", need.classes, have.placement),
        ("Nova's rows", need.models, have.rows),
        ("the host", need.models, have.host),
    ):
        if free is None:
            continue
        if kinds is None or "card" in free:
            total = sum(free.values()) - less
            # Of another kind, perhaps: too few is an answer, enough is none.
            if total < server.cards:
                judged.append(False)
            said.append(f"{name}: {total} free of any kind")
            continue
        judged.append(all(free.get(kind, 0) - less >= count for kind, count in kinds.items()))
        said.append(
            f"{name}: "
            + ", ".join(f"{free.get(kind, 0)} free of {kind}, {count} needed" for kind, count in kinds.items())
        )
    evidence = f"{host}: {'; '.join(said) or 'no view shows its cards'}"
    return (all(judged) if judged else None), evidence
