"""What the books hold: cards, hosts, servers, migrations, actions. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class Failed(Exception):
    """A step on a server's way failed, as Nova would have raised it: the class's name and the text."""

    def __init__(self, kind: str, text: str, *, nova: bool = False) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.nova = nova

    @property
    def message(self) -> str:
        """What faults and events show: Nova's own exceptions speak, all others are a class's name."""
        return self.text if self.nova else self.kind

    @property
    def traceback(self) -> str:
        return f'Traceback (most recent call last):\n  File "/nova/compute/manager.py", line 1, in simulated\n{self.kind}: {self.text}\n'


def no_valid_host(reason: str = "There are not enough hosts available.") -> Failed:
    """The scheduler found nothing."""
    return Failed("nova.exception.NoValidHost", f"No valid host was found. {reason}", nova=True)


@dataclass(frozen=True)
class GpuClass:
    """A kind of card and the alias that asks for it."""

    alias: str
    product_id: str
    vendor_id: str = "10de"
    dev_type: str = "type-PCI"
    live_migratable: bool = False

    @property
    def resource(self) -> str:
        return f"CUSTOM_PCI_{self.vendor_id}_{self.product_id}".upper()


GTX = GpuClass("gtx1080", "1b80")
H100 = GpuClass("h100", "2330", dev_type="type-PF")
L40 = GpuClass("l40", "26b9", dev_type="type-PF", live_migratable=True)
A16 = GpuClass("a16", "25b7", dev_type="type-VF")
CLASSES = {one.alias: one for one in (GTX, H100, L40, A16)}


@dataclass
class Card:
    """One card in a host: its row in pci_devices."""

    id: int
    address: str
    kind: GpuClass
    status: str = "available"
    instance_uuid: str | None = None
    request_id: str | None = None
    numa_node: int = 0
    parent: str | None = None  # of a virtual function: its physical one's address

    @property
    def provided_by(self) -> str:
        """The address in the name of its resource provider (pci_placement_translator._ensure_rp_for_dev)."""
        return self.parent or self.address

    def free(self) -> None:
        """Nobody has it."""
        self.status, self.instance_uuid, self.request_id = "available", None, None

    def take(self, server: str, request: str | None) -> None:
        """The server has it."""
        self.status, self.instance_uuid, self.request_id = "allocated", server, request


@dataclass
class Domain:
    """One of libvirt's domains."""

    name: str
    uuid: str
    running: bool
    hostdevs: tuple[str, ...]


@dataclass
class Host:
    """One compute: what Nova knows of it, and what is really there."""

    name: str
    id: int
    uuid: str
    service: str
    cards: list[Card] = field(default_factory=list)
    zone: str = "nova"
    cell: int = 1  # whose database has it
    vcpus: int = 128
    ram: int = 2_000_000
    disk: int = 20_000
    ip: str = "127.0.0.10"
    up: bool = True  # nova-compute runs
    forced_down: bool = False
    disabled: bool = False
    disabled_reason: str | None = None
    seen: float = 0.0  # when it last reported, once it is down
    wrote: float = 0.0  # when somebody changed its service's record
    aliases: set[str] = field(default_factory=set)  # in this host's nova.conf
    domains: dict[str, Domain] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    tracked: set[str] = field(default_factory=set)  # ResourceTracker.tracked_instances
    held: dict[str, str] = field(default_factory=dict)  # address -> the foreign domain that has it
    parked: list[Any] = field(default_factory=list)  # messages that wait for nova-compute

    @property
    def state(self) -> str:
        return "up" if self.up and not self.forced_down else "down"

    @property
    def schedulable(self) -> bool:
        return self.state == "up" and not self.disabled

    def card(self, address: str) -> Card:
        """The card at an address."""
        return next(one for one in self.cards if one.address == address)

    def of(self, server: str) -> list[Card]:
        """The cards that the books give to the server."""
        return [one for one in self.cards if one.instance_uuid == server]


@dataclass
class Event:
    """A part of an instance action."""

    event: str
    host: str | None
    start: float
    finish: float | None = None
    result: str | None = None
    details: str | None = None
    traceback: str | None = None


@dataclass
class Action:
    """What was asked of a server, and how far it got."""

    action: str
    server: str
    request_id: str
    start: float
    message: str | None = None
    events: list[Event] = field(default_factory=list)
    updated: float = 0.0


@dataclass
class Migration:
    """A record in the migrations table."""

    id: int
    uuid: str
    server: str
    type: str
    status: str
    source: str
    dest: str | None
    created: float
    updated: float
    finished: float | None = None


@dataclass
class Server:
    """One server."""

    id: str
    number: int
    name: str
    flavor: dict[str, Any]  # a copy, extra_specs and all
    created: float
    updated: float
    project: str
    host: str | None = None
    vm_state: str = "building"
    task_state: str | None = None
    power_state: int = 0
    old_state: str = "active"  # before a move
    zone: str = ""
    pinned_zone: str | None = None
    locked: bool = False
    locked_reason: str | None = None
    fault: dict[str, Any] | None = None
    image: str | None = "image-1"
    volumes: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str | None, str]] = field(default_factory=list)  # (request id, alias), one a card
    wishes: list[tuple[str | None, str]] = field(default_factory=list)  # those of a move under way
    config_drive: bool = False
    trusted_certificates: list[str] | None = None
    snapshot: str | None = None  # the image that a shelve made
    launched: float | None = None
    terminated: float | None = None
    deleted: bool = False
    seen_resized: bool = False  # since it is: a client saw it in VERIFY_RESIZE

    @property
    def instance_name(self) -> str:
        return f"instance-{self.number:08x}"

    @property
    def volume_backed(self) -> bool:
        return self.image is None
