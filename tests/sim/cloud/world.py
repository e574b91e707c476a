"""The cloud itself: hosts, servers and books, and the messages between Nova's services."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Generator
from typing import Any

from tests.sim.cloud.clock import Clock
from tests.sim.cloud.placement import Placement
from tests.sim.cloud.records import (
    CLASSES,
    GTX,
    H100,
    Action,
    Card,
    Domain,
    Event,
    Failed,
    GpuClass,
    Host,
    Migration,
    Server,
)
from tests.sim.cloud.steps import BUSY, FAULTS, NEWEST, OVER, PLAIN, SECONDS, Happened, Scripted
from tests.sim.front import ADMIN_PROJECT

#: What a flow yields: (the host whose nova-compute does it, or None for the conductor's; the step's name).
Flow = Generator["tuple[Host | None, str]", None, None]

USER = "1"


class World:
    """All state, behind one lock. Flows (`flows/`) are generators that yield between Nova's steps."""

    def __init__(
        self,
        *,
        release: int = 34,
        tracking: bool = False,
        pace: float = 0.01,
        double: float = 1.0,
        seed: int = 0,
        resize_confirm_window: int = 0,
        shelved_offload_time: int = 0,
        audit_every: float | None = None,
    ) -> None:
        if tracking and release < 27:
            raise ValueError("Nova tracks PCI devices in Placement since 27 (2023.1)")
        self.release, self.tracking, self.pace, self.double = release, tracking, pace, double
        self.resize_confirm_window, self.shelved_offload_time = resize_confirm_window, shelved_offload_time
        self.audit_every = audit_every
        self.seed = seed
        self.lock = threading.RLock()
        self.seconds = dict(SECONDS)
        self.clear()

    def clear(self) -> None:
        """No hosts, no servers, no faults: as new."""
        with self.lock:
            self.clock = Clock()
            self._ids = random.Random(self.seed)
            self.random = random.Random(self.seed)  # apart, so that the number of requests changes no choice
            self.placement = Placement()
            self.hosts: dict[str, Host] = {}
            self.servers: dict[str, Server] = {}
            self.migrations: list[Migration] = []
            self.actions: dict[str, list[Action]] = {}
            self.groups: dict[str, dict[str, Any]] = {}
            self.images: dict[str, dict[str, Any]] = {
                "image-1": {"id": "image-1", "name": "cirros", "status": "active", "disk_format": "raw"}
            }
            self.ports: list[dict[str, Any]] = []
            self.classes: dict[str, GpuClass] = {}
            self.scripted: list[Scripted] = []
            self.happened = Happened()
            self.silent: set[int] = set()  # cells whose database does not answer
            self.most = 1000  # [api] max_limit
            self._numbers = 0
            self._periodic = False

    # ------------------------------------------------------------ what there is

    def add_host(self, name: str, cards: list[GpuClass | str] | None = None, **more: Any) -> Host:
        """A compute with cards at 0000:04:00.0, 0000:05:00.0, ...; three gtx1080 and two h100 unless told."""
        kinds = [
            CLASSES[one] if isinstance(one, str) else one
            for one in ([GTX] * 3 + [H100] * 2 if cards is None else cards)
        ]
        host = Host(name, len(self.hosts) + 1, self.uuid(), self.uuid(), **more)
        host.ip = f"127.0.0.{9 + host.id}" if host.id < 240 else f"127.0.1.{host.id - 239}"
        for place, kind in enumerate(kinds):
            number = len(self.hosts) * 100 + place + 1
            if kind.dev_type == "type-VF":  # two of one physical card
                parent = f"0000:{4 + place - place % 2:02x}:00.0"
                host.cards.append(Card(number, f"0000:{4 + place:02x}:00.4", kind, parent=parent))
            else:
                host.cards.append(Card(number, f"0000:{4 + place:02x}:00.0", kind))
            self.classes[kind.alias] = kind
        host.aliases = set(CLASSES) | {one.alias for one in kinds}
        self.hosts[name] = host
        stock = {"VCPU": (host.vcpus, 4.0), "MEMORY_MB": (host.ram, 1.0), "DISK_GB": (host.disk, 1.0)}
        self.placement.add(name, stock, own=host.uuid, traits=("COMPUTE_NODE", "HW_CPU_X86_VMX"))
        if self.tracking:
            there = {card.provided_by: card.kind.resource for card in host.cards}
            for address, resource in there.items():
                count = sum(1 for card in host.cards if card.provided_by == address)
                self.placement.add(f"{name}_{address.upper()}", {resource: (count, 1.0)}, parent=host.uuid, traits=("COMPUTE_MANAGED_PCI_DEVICE",))  # fmt: skip
        return host

    def add_class(self, kind: GpuClass) -> None:
        """An alias that nova-api knows."""
        self.classes[kind.alias] = kind

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))

    def server(self, name: str) -> Server:
        """The server with this id or name."""
        found = self.servers.get(name)
        return found or next(one for one in self.servers.values() if one.name == name and not one.deleted)

    def on(self, server: Server) -> Host:
        """The host that the books say the server is on."""
        return self.hosts[server.host or ""]

    def provider_of(self, host: Host, card: Card) -> str:
        """The uuid of a card's resource provider."""
        return self.placement.named(f"{host.name}_{card.provided_by.upper()}").uuid

    def cell_of(self, server: Server) -> int:
        """The cell that a server is in; of one that is on no host, the first."""
        return self.hosts[server.host].cell if server.host else 1

    def unheard(self, server: Server) -> bool:
        """Nova's database says nothing of it just now."""
        return self.cell_of(server) in self.silent

    def migrations_of(self, server: str) -> list[Migration]:
        """A server's migration records, oldest first."""
        server = self.server(server).id
        return [one for one in self.migrations if one.server == server]

    # ------------------------------------------------------------ messages

    def takes(self, step: str) -> float:
        """How long a step takes, in seconds of the clock."""
        return self.seconds.get(step, 1.0) * self.pace

    def spawn(self, flow: Flow) -> None:
        """A flow is under way: it goes on as time passes and its computes are up."""
        try:
            host, step = next(flow)
        except StopIteration:
            return
        except Exception as error:
            self.happened.bugs.append(repr(error))
            raise
        self.clock.after(self.takes(step), lambda: self._deliver(flow, host))

    def _deliver(self, flow: Flow, host: Host | None) -> None:
        if host is not None and not host.up:
            host.parked.append(flow)
        else:
            self.spawn(flow)

    def begin(self, server: Server, action: str, request: str) -> Action:
        """An instance action is on record."""
        now = self.clock.now
        made = Action(action, server.id, request, now, updated=now)
        self.actions.setdefault(server.id, []).insert(0, made)
        return made

    def event(self, action: Action, name: str, host: Host | None = None) -> Event:
        """A part of an action has begun."""
        made = Event(name, host and host.name, self.clock.now)
        action.events.append(made)
        action.updated = self.clock.now
        return made

    def end(self, action: Action, event: Event, error: Failed | None = None) -> None:
        """It is over; an error marks the whole action."""
        event.finish = action.updated = self.clock.now
        event.result = "Success" if error is None else "Error"
        if error is not None:
            event.details, event.traceback, action.message = (
                error.message.rpartition(".")[2] if not error.nova else error.message,
                error.traceback,
                "Error",
            )

    def touch(self, server: Server, **fields: Any) -> None:
        """The server's record has these fields, and was updated now."""
        for name, value in fields.items():
            setattr(server, name, value)
        server.updated = self.clock.now

    def fault(self, server: Server, error: Failed) -> None:
        """The server is in ERROR for this reason."""
        message = error.message if error.nova else error.message.rpartition(".")[2]
        said = {"code": 500, "created": self.clock.stamp(zone="Z"), "message": message, "details": error.traceback}
        self.touch(server, vm_state="error", task_state=None, fault=said)

    def new_migration(self, server: Server, kind: str, status: str, source: str, dest: str | None) -> Migration:
        """A record in the migrations table."""
        now = self.clock.now
        if any(one.status not in OVER | {"error"} for one in self.migrations_of(server.id)):
            self.happened.overlaps.append(server.id)
        if sum(1 for host in self.hosts.values() if host.of(server.id)) > 1:
            self.happened.leaky.append(server.id)
        cell = self.hosts[source].cell  # each cell's database counts for itself
        number = 1 + sum(1 for one in self.migrations if self.hosts[one.source].cell == cell)
        made = Migration(number, self.uuid(), server.id, kind, status, source, dest, now, now)
        self.migrations.append(made)
        return made

    def note(self, migration: Migration, status: str) -> None:
        """The record's status."""
        migration.status, migration.updated = status, self.clock.now
        if status == "finished":
            migration.finished = self.clock.now

    # ------------------------------------------------------------ scripted faults

    def inject(self, host: str | None, fault: str, *, times: int = 1, server: str | None = None) -> None:
        """The next `times` occasions of a step on the host (None: on any) fail; FAULTS has the names."""
        if fault not in FAULTS:
            raise ValueError(f"no fault {fault}; there are {', '.join(FAULTS)}")
        self.scripted.append(Scripted(fault, host, times, server))

    def struck(self, fault: str, host: Host, server: Server) -> bool:
        """The fault waits for this step; it is used up by it."""
        for one in self.scripted:
            if (
                one.fault == fault
                and one.times
                and one.host in {None, host.name}
                and one.server in {None, server.id, server.name}
            ):
                one.times -= 1
                self.happened.faults.append((fault, host.name, server.id))
                return True
        return False

    def strike(self, fault: str, host: Host, server: Server, address: str = "0000:04:00.0") -> None:
        """Raise the fault if one waits for this step."""
        if self.struck(fault, host, server):
            kind, text = FAULTS[fault]
            raise Failed(kind, text.format(host=host.name, address=address), nova=kind in PLAIN)

    # ------------------------------------------------------------ libvirt

    def define(self, host: Host, server: Server, addresses: tuple[str, ...], *, start: bool, fault: str = "") -> None:
        """The domain is defined, and runs if it is to. libvirt refuses a device that another running domain has; then no domain is left.

        Raises:
            Failed: libvirtError.
        """
        host.domains.pop(server.id, None)
        if start and fault:
            self.strike(fault, host, server, addresses[0] if addresses else "")
        for address in addresses if start else ():
            if all(one.address != address for one in host.cards):
                raise Failed(
                    "libvirt.libvirtError",
                    f"Device {address} not found: could not access /sys/bus/pci/devices/{address}/config: No such file or directory",
                )
            holder = host.held.get(address) or next(
                (one.name for one in host.domains.values() if one.running and address in one.hostdevs), None
            )
            if holder:
                raise Failed("libvirt.libvirtError", BUSY.format(address=address, domain=holder))
        alive = start and not self.struck("guest", host, server)
        host.domains[server.id] = Domain(server.instance_name, server.id, alive, addresses)

    def guest_devices(self, server: Server) -> tuple[str, ...]:
        """The addresses that Nova writes into the guest's XML at a start: every row of the server, on whatever host.

        Raises:
            Failed: KeyError, since 26: a row of another claim (Instance.get_pci_devices).
        """
        rows = [card for host in self.hosts.values() for card in host.of(server.id)]
        # The destination's rows are read after the source's: 25.3.0's XML had [source, destination] (nova.md 4.5).
        rows.sort(key=lambda card: card in (self.on(server).cards if server.host else []))
        known = {request for request, _ in server.requests}
        for card in rows:
            if card.request_id not in known:
                raise Failed("KeyError", f"'{card.request_id}'")
        return tuple(card.address for card in rows)

    # ------------------------------------------------------------ the computes' lives

    def stop_compute(self, name: str, *, machine: bool = False) -> None:
        """nova-compute is gone; with `machine` its guests are too."""
        host = self.hosts[name]
        host.up, host.seen = False, self.clock.now
        for one in host.domains.values() if machine else ():
            one.running = False

    def start_compute(self, name: str) -> None:
        """nova-compute runs: it cleans up after evacuations and deleted servers, then does what waited for it, then audits."""
        host = self.hosts[name]
        host.up = True
        for migration in self.migrations:
            if migration.type == "evacuation" and migration.source == name and migration.status == "done":
                host.domains.pop(migration.server, None)
                host.folders.discard(migration.server)
                self.placement.drop(migration.server, host.uuid)
                self.note(migration, "completed")
        gone = [one for one in self.servers.values() if one.deleted]
        for server in gone:
            host.domains.pop(server.id, None)
            host.folders -= {server.id, f"{server.id}_resize"}
        parked, host.parked = host.parked, []
        for flow in parked:
            self.spawn(flow)
        self.audit(name)

    def restart_compute(self, name: str) -> None:
        """Down and up."""
        self.stop_compute(name)
        self.start_compute(name)

    def audit(self, *names: str) -> None:
        """update_available_resource and its siblings ran on these computes (on all that are up)."""
        from tests.sim.cloud.books import audit

        with self.lock:
            self.clock.catch_up()
            for host in [self.hosts[name] for name in names] if names else list(self.hosts.values()):
                if host.up:
                    audit(self, host)

    def start_periodics(self) -> None:
        """Audits come by themselves every `audit_every` seconds of the clock."""
        if self.audit_every is not None and not self._periodic:
            self._periodic = True
            self._next_audit = self.clock.now + self.audit_every

    def catch_up(self) -> None:
        """What is due has been done."""
        with self.lock:
            self.clock.catch_up()
            if self.audit_every is not None:
                self.start_periodics()
                while self._next_audit <= self.clock.now:
                    self._next_audit += self.audit_every
                    self.audit()

    def sync_power(self) -> None:
        """_sync_power_states ran: a server that should run and does not is stopped."""
        with self.lock:
            for server in self.servers.values():
                if server.deleted or not server.host or server.task_state or not self.on(server).up:
                    continue
                domain = self.on(server).domains.get(server.id)
                if server.vm_state == "active" and domain is not None and not domain.running:
                    self.touch(server, vm_state="stopped", power_state=4)

    def settle(self) -> float:
        """Every flow has gone as far as it can; returns the seconds that the clock jumped ahead."""
        with self.lock:
            return self.clock.settle()

    def advance(self, seconds: float) -> None:
        """So much later."""
        with self.lock:
            self.clock.advance(seconds)
            self.catch_up()

    def freeze(self) -> None:
        """Time stands still until `advance` or `settle`."""
        with self.lock:
            self.clock.freeze()

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """`act` happens in so many seconds, unscaled."""
        self.clock.after(seconds, act)


__all__ = ["ADMIN_PROJECT", "FAULTS", "NEWEST", "OVER", "USER", "Flow", "World"]
