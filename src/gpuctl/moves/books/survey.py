"""Placement, read within a budget: two requests for the cloud, one a compute, and more where it does not add up.

Placement has no request for "who holds which card": it is one a consumer, or one a card. So totals are compared first.
The candidates for one MiB of memory come with a summary of every provider of every tree that has it, used and all
(1.29); what a host's cards have in use must be what its servers' flavors ask for. Where it is not, or where a host's
compute node has a consumer that has no business there, that host is read consumer by consumer, and card by card.
What cancels out within one host (a server with a card too many beside one with a card too few) is not seen that way;
``deep`` reads every server.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gpuctl.moves.books.together import together
from gpuctl.moves.model import AWAITS, Allocation, Migration, Provider, Server
from gpuctl.moves.placement_api import PlacementApi

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

# What a compute node always has, the least likely to be exhausted first; a tree without room is in no answer.
_ASKED = ("MEMORY_MB", "VCPU", "DISK_GB")


@dataclass
class Survey:
    """What is known of Placement so far.

    Attributes:
        api: whom to ask.
        providers: by uuid.
        allocations: consumer -> all that it holds; those that were asked for.
        tenants: compute host -> consumers of its compute node.
    """

    api: PlacementApi
    providers: dict[str, Provider]
    allocations: dict[str, Allocation] = field(default_factory=dict)
    tenants: dict[str, frozenset[str]] = field(default_factory=dict)
    _of_host: dict[str, list[Provider]] = field(default_factory=dict)

    @classmethod
    def of(cls, api: PlacementApi) -> Survey:
        """Return every provider with its inventories and usages: two requests, four where hosts are full."""
        providers = api.providers()
        for resource in _ASKED:
            _, summaries = api.candidates({"resources": f"{resource}:1"})
            for uuid, said in summaries.items():
                one = providers.get(uuid)
                if one is not None:
                    providers[uuid] = replace(
                        one,
                        inventories={name: of["capacity"] for name, of in said["resources"].items()},
                        usages={name: of["used"] for name, of in said["resources"].items()},
                        traits=frozenset(said.get("traits") or ()),
                    )
            if all(one.usages is not None for one in providers.values() if one.address):
                break
        return cls(api, providers)

    @property
    def tracked(self) -> bool:
        """Whether any host reports its cards."""
        return any(one.address for one in self.providers.values())

    def rename(self, hosts: Mapping[str, str]) -> None:
        """The providers are known by Nova's names of the hosts.

        Args:
            hosts: compute node's name -> compute host's.
        """
        self.providers = {
            uuid: replace(one, host=hosts.get(one.host or "", one.host)) for uuid, one in self.providers.items()
        }
        self._of_host = {}
        for one in self.providers.values():
            self._of_host.setdefault(one.host or "", []).append(one)

    def root(self, host: str) -> Provider | None:
        """Return a host's compute node."""
        return next((one for one in self._of_host.get(host, ()) if one.parent is None), None)

    def cards(self, host: str) -> list[Provider]:
        """Return the providers of a host's cards."""
        return [one for one in self._of_host.get(host, ()) if one.address]

    # ------------------------------------------------------------ who holds what

    def read_consumers(self, consumers: Iterable[str]) -> None:
        """The allocations of these consumers are known: one request each, unless they were before."""
        wanted = sorted({*consumers} - self.allocations.keys())
        self.allocations.update(zip(wanted, together(self.api.allocation, wanted), strict=True))

    def read_tenants(self, hosts: Collection[str], told: Callable[[str, int, int], None]) -> None:
        """It is known who holds something of these hosts' compute nodes: one request a host."""
        roots = {host: root for host in sorted(hosts) if (root := self.root(host)) is not None}
        told("reading who is on each host", 0, len(roots))
        found = together(lambda one: self.api.consumers(one.uuid), list(roots.values()))
        self.tenants.update((host, frozenset(one)) for host, one in zip(roots, found, strict=True))

    def read_disagreeing(
        self,
        hosts: Collection[str],
        servers: Mapping[str, Server],
        others: Collection[str],
        records: Iterable[Migration],
    ) -> None:
        """The consumers on every host whose totals are not what its servers explain are known.

        Args:
            hosts: the compute hosts to judge.
            servers: those with cards.
            others: the ids of those without.
            records: migrations, which hold the source's share until they are confirmed.
        """
        known_others = frozenset(others)
        known = servers.keys() | known_others
        waiting = {one.uuid: one for one in records if one.uuid and one.server in known and at_work(one)}
        there: dict[str, list[Server]] = {}
        for server in servers.values():
            there.setdefault(server.host or "", []).append(server)
        expected = Counter({host: sum(one.cards for one in there.get(host, ())) for host in hosts})
        for one in waiting.values():
            if one.source and one.server in servers:
                expected[one.source] += servers[one.server].cards
        suspects: set[str] = set()
        for host in sorted(hosts):
            own = {one.id for one in there.get(host, ())}
            strangers = self.tenants.get(host, frozenset()) - own - known_others - waiting.keys()
            if strangers or (self.cards(host) and self.held(host) != expected[host]):
                suspects.add(host)
                moving = {uuid for uuid, one in waiting.items() if host in {one.source, one.dest}}
                self.read_consumers({*own, *strangers, *(moving & self.tenants.get(host, frozenset()))})
        self._read_unexplained(suspects)

    def held(self, host: str) -> int | None:
        """Return how many of a host's cards are in use; None where Placement did not say."""
        said = [one.usages for one in self.cards(host)]
        return sum(sum(one.values()) for one in said if one is not None) if None not in said else None

    def _read_unexplained(self, hosts: Collection[str]) -> None:
        """Whoever holds a card that the consumers known so far do not is known too: one request a card."""
        explained = Counter(
            {
                uuid: sum(sum(one.holds.get(uuid, {}).values()) for one in self.allocations.values())
                for uuid in self.providers
            }
        )
        cards = [
            card
            for host in sorted(hosts)
            for card in self.cards(host)
            if card.usages is None or sum(card.usages.values()) != explained[card.uuid]
        ]
        for consumers in together(lambda one: self.api.consumers(one.uuid), cards):
            self.read_consumers(consumers)


def at_work(record: Migration) -> bool:
    """Say whether a migration rightly holds something in its own name, as long as its server is there."""
    return record.open or record.status == AWAITS
