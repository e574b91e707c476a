"""The documents of `gpuctl instance list` and `show`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gpuctl.moves.books.holdings import holdings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpuctl.moves.books.holdings import Place
    from gpuctl.moves.model import Action, Books, Finding, Server

_ACTIONS = 5


def list_document(books: Books, cloud: str, *, host: str | None = None) -> dict[str, Any]:
    """Return `gpuctl.instance.list/1`: the GPU servers, of one host or all, by name.

    Args:
        books: a deep reading of the whole cloud.
        cloud: its name.
        host: the compute host that they are on, or have a migration from or to.
    """
    servers = [
        one
        for one in sorted(books.servers.values(), key=lambda one: (one.name, one.id))
        if host is None
        or host in {one.host, *(on for of in books.migrations_of(one.id) for on in (of.source, of.dest))}
    ]
    return {
        "schema": "gpuctl.instance.list/1",
        "cloud": cloud,
        "tracked": books.tracked,
        "servers": [_row(books, one) for one in servers],
        "unseen": [asdict(one) for one in books.unseen],
    }


def show_document(
    books: Books, server: str, cloud: str, actions: Sequence[Action], findings: Iterable[Finding]
) -> dict[str, Any]:
    """Return `gpuctl.instance.show/1`: everything of one server in all views.

    Args:
        books: a narrow reading of it.
        server: its id.
        cloud: its name.
        actions: its instance actions, newest first; the last few are shown.
        findings: what is wrong with it.
    """
    one = books.servers[server]
    records = books.migrations_of(server)
    consumers = [server, *(each.uuid for each in records if each.uuid)]
    return {
        "schema": "gpuctl.instance.show/1",
        "cloud": cloud,
        **_row(books, one),
        "vm_state": one.vm_state,
        "power_state": one.power_state,
        "instance_name": one.instance_name,
        "flavor": one.flavor,
        "locked_reason": one.locked_reason,
        "boots_from_volume": one.boots_from_volume,
        "fault": asdict(one.fault) if one.fault else None,
        "compute": _compute(books, one),
        "migrations": [asdict(each) for each in records],
        "actions": [asdict(each) for each in actions[:_ACTIONS]],
        "allocations": None if books.allocations is None else [
            entry for consumer in consumers for entry in _allocation(books, consumer)],
        "rows": None if books.rows is None else [asdict(each) for each in books.rows_of(server) or ()],
        "hosts": [_host(books, host, server) for host in sorted(books.hosts)],
        "findings": [asdict(each) for each in findings],
        "unseen": [asdict(each) for each in books.unseen],
    }  # fmt: skip


def _row(books: Books, one: Server) -> dict[str, Any]:
    records = books.migrations_of(one.id)
    held = holdings(books, one.id)
    last = records[-1] if records else None
    return {
        "id": one.id,
        "name": one.name,
        "status": one.status,
        "task_state": one.task_state,
        "host": one.host,
        "locked": one.locked,
        "cards": {
            "wanted": [asdict(wish) for wish in one.wishes],
            "placement": _places(held.placement),
            "rows": _places(held.rows),
            "domain": _places(held.domains),
        },
        "last_move": last and {
            "id": last.id, "kind": last.kind, "status": last.status, "from": last.source, "to": last.dest,
            "at": last.updated,
        },
    }  # fmt: skip


def _places(places: Iterable[Place] | None) -> list[str] | None:
    return None if places is None else [str(one) for one in places]


def _compute(books: Books, one: Server) -> dict[str, Any] | None:
    found = books.computes.get(one.host or "")
    return asdict(found) if found else None


def _allocation(books: Books, consumer: str) -> Iterable[dict[str, Any]]:
    allocation = (books.allocations or {}).get(consumer)
    for uuid, amounts in allocation.holds.items() if allocation else ():
        provider = (books.providers or {}).get(uuid)
        yield {
            "consumer": consumer,
            "provider": uuid,
            "name": provider.name if provider else None,
            "host": provider.host if provider else None,
            "address": provider.address if provider else None,
            "resources": dict(amounts),
        }


def _host(books: Books, host: str, server: str) -> dict[str, Any]:
    view = books.hosts[host]
    return {
        "host": host,
        "domains": None if view.domains is None else [asdict(one) for one in view.domains if one.uuid == server],
        "folders": None if view.folders is None else [one.name for one in view.folders if one.uuid == server],
        "shared": view.shared,
    }
