"""Which cards are meant, per host: the prepared ones, or those that the operator named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.nova.config.wishes import Wishes
from gpuctl.nova.hosts import Card, Host
from gpuctl.nova.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

_ADDRESS = re.compile(r"(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


@dataclass(frozen=True, slots=True)
class Meant:
    """One host's cards, divided.

    Attributes:
        host: the host.
        cards: to be given to guests.
        left: the others, each with why.
    """

    host: Host
    cards: tuple[Card, ...]
    left: tuple[tuple[Card, str], ...]

    @property
    def partial_ids(self) -> frozenset[str]:
        """The ids of this host's cards, and other devices, that must not be taken."""
        return frozenset(card.ids for card, _ in self.left) | frozenset(item.ids for item in self.host.others)


def choose(hosts: tuple[Host, ...], wishes: Wishes) -> tuple[tuple[Meant, ...], tuple[str, ...]]:
    """Return each host's cards, and what is to be said about those that were left out.

    Raises:
        Problem: a named host or address does not exist, or no card at all is meant.
    """
    unknown = sorted(set(wishes.gpus) - {host.name for host in hosts})
    if unknown:
        raise Problem(
            f"--gpu names hosts without facts: {', '.join(unknown)}",
            details="facts are of: " + ", ".join(host.name for host in hosts),
            resolution="give that host's facts with --facts, or correct its name",
        )
    meant = tuple(_of_host(host, wishes) for host in hosts)
    notes = [
        f"{one.host.name} {card.address} ({card.what}) is left out: {reason}"
        for one in meant
        for card, reason in one.left
    ]
    notes += [
        f"{one.host.name} {card.address} ({card.what}) is in although {_driver(card)}: prepare it before nova-compute "
        "restarts there"
        for one in meant
        for card in one.cards
        if not card.prepared
    ]
    if not any(one.cards for one in meant):
        raise Problem(
            "no GPU of these hosts is ready to be given to a guest",
            details="\n".join(notes) or "the facts name no GPU",
            resolution="run `gpuctl host prepare` there and take the facts anew; or name cards with --gpu "
            "HOST=ADDRESS, or take all as they are with --unprepared",
            exit_code=1,
        )
    return meant, tuple(notes)


def _of_host(host: Host, wishes: Wishes) -> Meant:
    named = wishes.gpus.get(host.name)
    wanted = None if named is None else frozenset(_find(host, address).address for address in named)
    cards: list[Card] = []
    left: list[tuple[Card, str]] = []
    for card in host.cards:
        reason = _why_not(card, host, wanted, wishes)
        if reason:
            left.append((card, reason))
        else:
            cards.append(card)
    return Meant(host, tuple(cards), tuple(left))


def _find(host: Host, word: str) -> Card:
    if _ADDRESS.fullmatch(word.lower()):
        # A short one does where only one card has it.
        found = [card for card in host.cards if f":{card.address}".endswith(f":{word.lower()}")]
        if len(found) == 1:
            return found[0]
    raise Problem(
        f"{host.name} has no GPU, or more than one, at {word}",
        details="its GPUs: " + (", ".join(card.address for card in host.cards) or "none"),
        resolution="give a GPU's address as --gpu HOST=0000:42:00.0",
    )


def _why_not(card: Card, host: Host, wanted: frozenset[str] | None, wishes: Wishes) -> str:
    if card.domain_too_high:
        return "Nova skips devices of a PCI domain above ffff"
    if wanted is not None and card.address not in wanted:
        return "--gpu does not name it"
    # Nova would refuse the card as long as guests can have its functions (PlacementPciDependentDeviceException).
    functions = card.numvfs or sum(other.physfn == card.address for other in host.cards)
    if functions:
        return f"{functions} virtual functions are enabled on it: switch them off (sriov_numvfs) to give the whole card"
    return "" if card.prepared or wishes.unprepared or wanted is not None else _driver(card)


def _driver(card: Card) -> str:
    return f"{card.driver} has it, not vfio-pci" if card.driver else "no driver has it, vfio-pci neither"


def parse_gpus(words: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return host -> addresses of ``--gpu HOST=ADDRESS`` words.

    Raises:
        Problem: a word is not of that form.
    """
    found: dict[str, set[str]] = {}
    for word in words:
        host, sign, address = word.partition("=")
        if not (host and sign and address):
            raise Problem(
                f"--gpu {word}: not HOST=ADDRESS", resolution="name the host as its facts do: --gpu gpu17=0000:42:00.0"
            )
        found.setdefault(host, set()).update(part.strip() for part in address.split(",") if part.strip())
    return {host: frozenset(addresses) for host, addresses in found.items()}
