"""A host is divided: a share goes with each card, a flavor is whole shares; a mix that uses all cards uses the host up.

Where every NUMA node has as many cards as the others, a share is cut from one node: guests are pinned to it and get
cards of it. Where not, cutting by node would strand nodes without cards: shares are cut from the whole host, unpinned.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any

from gpuctl.flavors.catalogue import SCHEMA
from gpuctl.flavors.devices import find
from gpuctl.flavors.errors import BadCatalogue
from gpuctl.flavors.hosts import Host

if TYPE_CHECKING:
    from collections.abc import Sequence

CPU_STEP = 2  # threads: a share is whole cores
RAM_STEP = 1024  # MiB: and whole huge pages of 1 GiB


@dataclass(frozen=True, slots=True)
class Share:
    """What goes with one card. ``local``: it is cut from one NUMA node."""

    cpus: int
    ram: int
    local: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """A flavor of ``count`` shares with cards of one model, over ``nodes`` NUMA nodes (0: anywhere)."""

    model: str
    count: int
    share: Share
    nodes: int

    @property
    def cpus(self) -> int:
        """Threads."""
        return self.count * self.share.cpus

    @property
    def ram(self) -> int:
        """MiB."""
        return self.count * self.share.ram


def share_of(host: Host) -> Share:
    """Return the share of one card of a host.

    Raises:
        BadCatalogue: a share would have no whole core, or less than a GiB.
    """
    per_node = {node.cards for node in host.nodes}
    local = len(per_node) == 1
    if local:
        cpus = min(node.cpus // node.cards for node in host.nodes)
        ram = min(node.ram // node.cards for node in host.nodes)
    else:
        cpus, ram = host.total("cpus") // host.cards, host.total("ram") // host.cards
    share = Share(cpus - cpus % CPU_STEP, ram - ram % RAM_STEP, local)
    if not share.cpus or not share.ram:
        raise BadCatalogue(f"{host.name}: too small for {host.cards} cards: {cpus} threads and {ram} MiB each")
    return share


def divide(hosts: Sequence[Host]) -> tuple[Piece, ...]:
    """Return the flavors that fill these hosts; what several have in common is as large as the smallest allows."""
    pieces = []
    for model in sorted({model for host in hosts for model in host.models}):
        having = [host for host in hosts if model in host.models]
        shares = [share_of(host) for host in having]
        local = all(share.local for share in shares)
        share = Share(min(one.cpus for one in shares), min(one.ram for one in shares), local)
        pieces += _pieces(model, having, share)
    return tuple(pieces)


def _pieces(model: str, hosts: Sequence[Host], share: Share) -> list[Piece]:
    """Return one flavor a size that divides the cards of every node, and of every host, without a rest."""
    by_host = gcd(*(sum(node.of(model) for node in host.nodes) for host in hosts))
    if not share.local:
        return [Piece(model, count, share, 0) for count in _sizes(by_host)]
    by_node = gcd(*(node.of(model) for host in hosts for node in host.nodes if node.of(model)))
    pieces = [Piece(model, count, share, 1) for count in _sizes(by_node)]
    spans = [len(host.nodes) for host in hosts]
    alike = all(node.of(model) == by_node for host in hosts for node in host.nodes)
    if alike:
        pieces += [Piece(model, by_node * nodes, share, nodes) for nodes in _sizes(gcd(*spans)) if nodes > 1]
    return pieces


def _sizes(cards: int) -> list[int]:
    """Return the powers of two that divide ``cards``, and ``cards``."""
    return sorted({size for size in (1, 2, 4, 8, 16, 32) if size <= cards and not cards % size} | {cards})


def left_over(host: Host, share: Share) -> list[tuple[int, int]]:
    """Return the threads and MiB of each node that no flavor uses; one pair for the host where shares are not local."""
    if share.local:
        return [(node.cpus - node.cards * share.cpus, node.ram - node.cards * share.ram) for node in host.nodes]
    return [(host.total("cpus") - host.cards * share.cpus, host.total("ram") - host.cards * share.ram)]


def catalogue(pieces: Sequence[Piece], *, name: str, prefix: str, disk: int, aliases: dict[str, str]) -> dict[str, Any]:
    """Return a catalogue of these flavors.

    Args:
        pieces: what `divide` found.
        name: the catalogue's.
        prefix: of the flavors' names.
        disk: GiB that goes with one card.
        aliases: of models that are called otherwise than in the device table.
    """
    flavors = []
    for piece in pieces:
        device = find(piece.model)
        alias = aliases.get(piece.model) or (device.alias if device else piece.model.replace(":", "-"))
        said: dict[str, Any] = {
            "name": f"{prefix}{alias}.{piece.count}",
            "vcpus": piece.cpus,
            "ram": f"{piece.ram // 1024} GiB",
            "disk": disk * piece.count,
            "gpus": [{"alias": alias, "count": piece.count}],
        }
        if piece.share.local:
            said["numa"] = {"nodes": piece.nodes, "gpu_affinity": "required"}
            said["cpu"] = {"policy": "dedicated"}
            said["page_size"] = "large"
        if device and device.hide_kvm:
            said["hide_kvm"] = True
        if device and device.address_bits:
            said["address_bits"] = device.address_bits
        flavors.append(said)
    return {"schema": SCHEMA, "catalogue": name, "flavors": flavors}
