"""Nova's tables, as a SQLite file, and an operator's statement run on them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tests.sim.cloud.records import Host
from tests.sim.cloud.world import World

_TABLES = {
    "compute_nodes": "id INTEGER PRIMARY KEY, uuid TEXT, host TEXT, hypervisor_hostname TEXT, service_id INTEGER, created_at TEXT, updated_at TEXT, deleted_at TEXT, deleted INTEGER",
    "services": "id INTEGER PRIMARY KEY, uuid TEXT, host TEXT, \"binary\" TEXT, topic TEXT, report_count INTEGER, disabled INTEGER, disabled_reason TEXT, "
                "forced_down INTEGER, version INTEGER, last_seen_up TEXT, created_at TEXT, updated_at TEXT, deleted_at TEXT, deleted INTEGER",
    "pci_devices": "id INTEGER PRIMARY KEY, uuid TEXT, compute_node_id INTEGER, address TEXT, product_id TEXT, vendor_id TEXT, dev_type TEXT, dev_id TEXT, label TEXT, "
                   "status TEXT, extra_info TEXT, instance_uuid TEXT, request_id TEXT, numa_node INTEGER, parent_addr TEXT, "
                   "created_at TEXT, updated_at TEXT, deleted_at TEXT, deleted INTEGER",
    "migrations": "id INTEGER PRIMARY KEY, uuid TEXT, source_compute TEXT, dest_compute TEXT, source_node TEXT, dest_node TEXT, dest_host TEXT, status TEXT, "
                  "instance_uuid TEXT, migration_type TEXT, hidden INTEGER, user_id TEXT, project_id TEXT, "
                  "created_at TEXT, updated_at TEXT, deleted_at TEXT, deleted INTEGER",
    "instances": "id INTEGER PRIMARY KEY, uuid TEXT, display_name TEXT, hostname TEXT, host TEXT, node TEXT, vm_state TEXT, task_state TEXT, power_state INTEGER, "
                 "project_id TEXT, user_id TEXT, created_at TEXT, updated_at TEXT, deleted_at TEXT, deleted INTEGER",
}  # fmt: skip
_SERVICE = {13: 9, 14: 15, 15: 16, 16: 22, 17: 30, 18: 35, 19: 37, 20: 40, 21: 51, 22: 53, 23: 56, 24: 60, 25: 61, 26: 64, 27: 66, 28: 66, 29: 67, 30: 67,
            31: 68, 32: 70, 33: 72, 34: 74}  # fmt: skip


class Database(World):
    """Nova's cell database."""

    def dump(self, path: str | Path, cell: int = 1) -> str:
        """A file with one cell's tables as they are now; returns its SQLAlchemy URL. It does not follow what happens later."""
        Path(path).unlink(missing_ok=True)
        connection = sqlite3.connect(path)
        with self.lock:
            self.catch_up()
            self._fill(connection, cell)
        connection.close()
        return f"sqlite:///{path}"

    def execute(self, statement: str) -> int:
        """An operator ran one statement on the first cell's database (pci_devices and migrations are read back); returns the rows it changed."""
        with self.lock:
            connection = sqlite3.connect(":memory:")
            self._fill(connection)
            changed = connection.execute(statement).rowcount
            states = dict(connection.execute("SELECT id, status FROM migrations"))
            for one in self.migrations:
                if self.hosts[one.source].cell == 1 and states[one.id] != one.status:
                    self.note(one, states[one.id])
            devices = {
                row[0]: row[1:]
                for row in connection.execute("SELECT id, status, instance_uuid, request_id FROM pci_devices")
            }
            for host in self._hosts_of(1):
                for card in host.cards:
                    card.status, card.instance_uuid, card.request_id = devices[card.id]
            connection.close()
            return changed

    def _hosts_of(self, cell: int) -> list[Host]:
        return [one for one in self.hosts.values() if one.cell == cell]

    def _fill(self, connection: sqlite3.Connection, cell: int = 1) -> None:
        for name, columns in _TABLES.items():
            connection.execute(f"CREATE TABLE {name} ({columns})")
        stamp = self.clock.stamp
        kept: dict[str, Any] = {"created_at": stamp(), "updated_at": stamp(), "deleted_at": None, "deleted": 0}
        for host in self._hosts_of(cell):
            _put(
                connection,
                "compute_nodes",
                id=host.id,
                uuid=host.uuid,
                host=host.name,
                hypervisor_hostname=host.name,
                service_id=host.id,
                **kept,
            )
            seen = stamp(None if host.up else host.seen)
            _put(connection, "services", id=host.id, uuid=host.service, host=host.name, binary="nova-compute", topic="compute", report_count=1, disabled=int(host.disabled),
                 disabled_reason=host.disabled_reason, forced_down=int(host.forced_down), version=_SERVICE[self.release], last_seen_up=seen, **kept)  # fmt: skip
            for card in host.cards:
                _put(connection, "pci_devices", id=card.id, uuid=f"card-{card.id}", compute_node_id=host.id, address=card.address, product_id=card.kind.product_id,
                     vendor_id=card.kind.vendor_id, dev_type=card.kind.dev_type, dev_id=f"pci_{card.address.replace(':', '_').replace('.', '_')}",
                     label=f"label_{card.kind.vendor_id}_{card.kind.product_id}", status=card.status, extra_info="{}", instance_uuid=card.instance_uuid,
                     request_id=card.request_id, numa_node=card.numa_node, parent_addr=card.parent, **kept)  # fmt: skip
        for one in self.migrations:
            if self.hosts[one.source].cell != cell:
                continue
            server = self.servers[one.server]
            times = {
                "created_at": stamp(one.created),
                "updated_at": stamp(one.updated),
                "deleted_at": None,
                "deleted": 0,
            }
            _put(connection, "migrations", id=one.id, uuid=one.uuid, source_compute=one.source, dest_compute=one.dest, source_node=one.source, dest_node=one.dest,
                 dest_host=self.hosts[one.dest].ip if one.dest else None, status=one.status, instance_uuid=one.server, migration_type=one.type, hidden=0,
                 user_id="1", project_id=server.project, **times)  # fmt: skip
        for each in self.servers.values():
            if self.cell_of(each) != cell:
                continue
            times = {
                "created_at": stamp(each.created),
                "updated_at": stamp(each.updated),
                "deleted_at": each.terminated and stamp(each.terminated),
                "deleted": each.number if each.deleted else 0,
            }
            _put(connection, "instances", id=each.number, uuid=each.id, display_name=each.name, hostname=each.name, host=each.host, node=each.host, vm_state=each.vm_state,
                 task_state=each.task_state, power_state=each.power_state, project_id=each.project, user_id="1", **times)  # fmt: skip
        connection.commit()


def _put(connection: sqlite3.Connection, table: str, **row: Any) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))  # noqa: S608 - our own names
