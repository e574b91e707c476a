"""Who has which card: Nova's rows, Placement's providers and allocations, the hosts' own view."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Nova's `pci_devices`: what the claims believe. Only --nova-db shows it.

    Attributes:
        network: it is a network card, which a server may own because of a port, not of its flavor.
        parent: of a virtual function, the address of its physical one.
    """

    host: str
    address: str
    vendor_id: str
    product_id: str
    kind: str  # dev_type: type-PCI, type-PF, type-VF
    status: str  # available, claimed, allocated, removed, unavailable, deleted
    owner: str | None
    request: str | None = None
    id: int | None = None
    network: bool = False
    parent: str | None = None

    @property
    def provided_by(self) -> str:
        """The address by which Placement calls it: a virtual function is counted at its physical one."""
        return self.parent if self.kind == "type-VF" and self.parent else self.address


@dataclass(frozen=True, slots=True)
class Provider:
    """One resource provider of Placement: a compute node (``parent`` None) or one of its PCI devices.

    Attributes:
        host: the compute host in Nova's books; its tree's root's name, until somebody knows better.
        address: of a PCI device, in lower case; None for what is none.
        inventories: class -> what may be allocated; empty where it was not read.
        usages: class -> what is allocated; None where it was not read.
    """

    uuid: str
    name: str
    host: str | None
    parent: str | None
    generation: int
    address: str | None = None
    inventories: Mapping[str, int] = field(default_factory=dict)
    usages: Mapping[str, int] | None = None
    traits: frozenset[str] = frozenset()

    @property
    def virtual(self) -> bool:
        """Whether it counts the virtual functions of its card: then their addresses are not in Placement."""
        return self.address is not None and sum(self.inventories.values()) > 1


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one consumer holds: provider uuid -> class -> amount. ``generation`` guards a PUT (1.28)."""

    consumer: str
    holds: Mapping[str, Mapping[str, int]]
    generation: int | None = None
    project: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """One libvirt domain of a host; ``state`` is libvirt's word: running, shut off, paused, ..."""

    host: str
    uuid: str
    name: str
    state: str
    hostdevs: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether it holds its devices."""
        return self.state not in {"shut off", "crashed"}


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder of a host's instances_path; ``kind`` is instance or resize, ``uuid`` the server's."""

    host: str
    name: str
    uuid: str
    kind: str


@dataclass(frozen=True, slots=True)
class HostView:
    """What a host itself shows (the host's half, `instances`); a part is None where it could not be seen."""

    host: str
    domains: tuple[Domain, ...] | None
    folders: tuple[Folder, ...] | None
    shared: bool | None  # the instances_path lies on storage that other hosts share
    vfio: tuple[str, ...] | None = None  # addresses of cards bound to vfio-pci
    lspci: Mapping[str, str] = field(default_factory=dict)  # address -> vendor:product of GPUs
