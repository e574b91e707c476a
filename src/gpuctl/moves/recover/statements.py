"""SQL for the operator to run: a guard in each WHERE, a SELECT before, a SELECT after. gpuctl runs none of it."""

# ruff: noqa: S608 - text for a person; what goes into it is checked to be a uuid, a host name, an address or a number

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from gpuctl.moves.model import AWAITS, Statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl.moves.model import Migration

DROPPED = frozenset({"pre-migrating", "migrating"})
"""What a move stays in whose nova-compute was restarted in its midst; the server is on its source then."""

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def give_up(migration: Migration, home: str | None, waiting: Migration | None = None) -> Statement:
    """Return the statement that makes Nova's audit stop counting a migration as an owner (run on 33.0.2, 34.0.0).

    It does nothing where the migration is another one, has another status or was deleted.

    Args:
        migration: an `error` one, a `finished` one that can neither be confirmed nor reverted any more, or one of
            DROPPED: that only while its server is at rest.
        home: the host that the server is on.
        waiting: the newer `finished` migration that a server in VERIFY_RESIZE waits for; None where it does not. A
            `finished` migration without a newer one is left alone while the server is in VERIFY_RESIZE.
    """
    who = f"id={migration.id} AND instance_uuid='{_uuid(migration.server)}'"
    if migration.uuid:
        who = f"id={migration.id} AND uuid='{_uuid(migration.uuid)}' AND instance_uuid='{_uuid(migration.server)}'"
    still = f" AND status='{_status(migration.status)}' AND deleted=0"
    if migration.status == AWAITS:
        still += f" AND {_past(migration, home, waiting)}"
    if migration.status in DROPPED:
        still += (
            f" AND EXISTS (SELECT 1 FROM instances WHERE uuid='{_uuid(migration.server)}' AND deleted=0"
            f" AND vm_state IN ('active', 'stopped') AND task_state IS NULL AND host='{_host(home)}')"
        )
    leaks = migration.source if home == migration.dest else migration.dest
    return Statement(
        sql=f"UPDATE migrations SET status='failed' WHERE {who}{still};",
        guard=f"SELECT id, status, source_compute, dest_compute FROM migrations WHERE {who}{still};"
        f" -- must show one row: {migration.status}, {migration.source}, {migration.dest}",
        check=f"{_rows(migration.server)} -- must show no row on {leaks} any more, once its audit came by",
        why=f"Nova's audit on {leaks} keeps the card for the sake of this migration; there is no API that ends it",
    )


def _past(migration: Migration, home: str | None, waiting: Migration | None) -> str:
    """Return the condition under which nobody can confirm or revert a `finished` migration any more."""
    whose = f"instance_uuid='{_uuid(migration.server)}'"
    if waiting is not None:
        # MySQL reads the table that it updates only through a derived one (error 1093).
        newer = f"SELECT id FROM migrations WHERE id={waiting.id} AND {whose} AND status='{AWAITS}' AND deleted=0"
        return f"id<{waiting.id} AND EXISTS (SELECT 1 FROM ({newer}) AS newer)"
    place = f" AND host='{_host(home)}'" if home else ""
    return (
        f"EXISTS (SELECT 1 FROM instances WHERE uuid='{_uuid(migration.server)}' AND deleted=0"
        f" AND vm_state<>'resized' AND task_state IS NULL{place})"
    )


def look(server: str, home: str | None, count: int) -> Statement:
    """Return the question whether a server's cards are where it is and nowhere else; it changes nothing."""
    return Statement(
        sql="",
        guard="",
        check=f"{_rows(server)} -- must show at most {count} rows, all of them on {home}",
        why="no API shows which cards Nova gives to a server, and a start with a card of another claim does harm",
    )


def free_dead_host(server: str, host: str, addresses: Sequence[str]) -> Statement:
    """Return the statement for cards of a host that never comes back: NOT TESTED, the only way that was found (4.7)."""
    which = "".join(f"'{_address(one)}', " for one in addresses).rstrip(", ")
    there = f"(SELECT id FROM compute_nodes WHERE host='{_host(host)}')"
    at = f" AND address IN ({which})" if which else ""
    where = f"instance_uuid='{_uuid(server)}' AND compute_node_id IN {there}{at} AND deleted=0"
    moved = (
        f" AND EXISTS (SELECT 1 FROM instances WHERE uuid='{_uuid(server)}' AND deleted=0 AND host IS NOT NULL"
        f" AND host<>'{_host(host)}' AND task_state IS NULL)"
    )
    return Statement(
        sql=f"UPDATE pci_devices SET status='available', instance_uuid=NULL, request_id=NULL WHERE {where}{moved};",
        guard=f"SELECT address, status, instance_uuid FROM pci_devices WHERE {where}{moved};"
        f" -- must show the cards of {host} alone",
        check=f"{_rows(server)} -- must show no row on {host} any more",
        why=f"NOT TESTED by gpuctl's authors. Only if {host} never comes back: then nothing else frees its cards, and "
        "the server cannot be started",
    )


def _rows(server: str) -> str:
    return (
        "SELECT c.host, p.address, p.status FROM pci_devices p JOIN compute_nodes c ON c.id=p.compute_node_id"
        f" WHERE p.instance_uuid='{_uuid(server)}' AND p.deleted=0;"
    )


def _uuid(text: str) -> str:
    """Return a uuid as it is; what is none cannot become part of a statement."""
    if str(uuid.UUID(text)) != text:
        raise ValueError(text)
    return text


def _host(text: str | None) -> str:
    if text is None or not _HOST.fullmatch(text):
        raise ValueError(text)
    return text


def _address(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F:.]+", text):
        raise ValueError(text)
    return text


def _status(text: str) -> str:
    if text not in {"error", AWAITS, *DROPPED}:
        raise ValueError(text)
    return text
