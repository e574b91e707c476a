"""The operator's side of leftovers: what the host's half cannot know is proven here, then it plans, moves and deletes.

The host's half judges again by its own rules (docs/reference/zipapp.md); nothing is removed by a command string.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuctl.moves.errors import Unsafe
from gpuctl.moves.model import AWAITS, BROKEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuctl.moves.books import HostLook
    from gpuctl.moves.model import Books

Document = dict[str, Any]
QUARANTINED, RESTORED, PURGED = "quarantined", "restored", "purged"
_GOOD = frozenset({"ACTIVE", "SHUTOFF"})


@dataclass(frozen=True, slots=True)
class Proven:
    """What was proven of one server.

    Attributes:
        proof: as the protocol wants it.
        shares: whether the server's host shares the folder with the host that is to be cleaned; None: not known.
        against: why it is not proven that it can do without what is left; empty where it is.
    """

    proof: Mapping[str, Any]
    shares: bool | None
    against: tuple[str, ...]


def prove(books: Books, server: str, host: str) -> Proven:
    """Return whether a server is proven good without what is left of it on a host."""
    one = books.servers.get(server)
    records = books.migrations_of(server)
    waiting = [record for record in records if record.open]
    if server not in books.gone:  # of a deleted server nothing can be confirmed or reverted, and Nova holds no card
        waiting += [record for record in records if record.status == AWAITS]
        waiting += [] if _holds_nothing(books, server) else [record for record in records if record.status == BROKEN]
    away = [record for record in records if record.kind == "evacuation" and record.status == "done"]
    against = [f"migration {record.id} is {record.status}" for record in (*waiting, *away) if record.dest]
    if one is None:
        status, where = "DELETED", None
        if server not in books.gone:
            against.append("Nova shows no such server")
    else:
        status, where = one.status, one.host
        against += _standing(books, server)
        if where == host:
            against.append(f"the server is on {host} itself")
    proof = {
        "server_host": where,
        "status": status,
        "open_migrations": [str(record.id) for record in (*waiting, *away) if record.dest],
    }
    return Proven(proof, _shares(books, where, host), tuple(against))


def request(books: Books, servers: Sequence[str], host: str, phase: str, **more: Any) -> Document:  # noqa: ANN401 - JSON
    """Return the request for the host's half, with the proofs of these servers."""
    proven = {one: prove(books, one, host) for one in servers}
    return {
        "phase": phase,
        "uuids": list(servers),
        "nova_host": host,
        "proof": {one: dict(said.proof) for one, said in proven.items()},
        "destination_shares": {one: said.shares for one, said in proven.items()},
        **more,
    }


def planned(link: HostLook, books: Books, servers: Sequence[str], host: str) -> Document:
    """Return the host's plan: each leftover, whether it may go, and every reason why not; nothing is touched."""
    return link.leftovers(host, request(books, servers, host, "plan"))


def quarantine(link: HostLook, books: Books, servers: Sequence[str], host: str, plan: Mapping[str, Any]) -> Document:
    """What may go is in the host's quarantine, read back; the plan must still be as it was shown.

    Raises:
        Unsafe: a server is not proven good elsewhere; nothing was touched.
        OperatorError: the host refuses, or cannot be asked.
    """
    against = {one: prove(books, one, host).against for one in servers}
    bad = {one: said for one, said in against.items() if said}
    if bad:
        raise Unsafe(
            f"not proven good elsewhere: {', '.join(bad)}",
            details="\n".join(f"{one}: {'; '.join(said)}" for one, said in bad.items()),
            resolution="gpuctl instance recover SERVER first; --ssh lets gpuctl look at the server's host",
        )
    asked = request(books, servers, host, "quarantine", fingerprint=plan["fingerprint"])
    return link.leftovers(host, asked)


def _standing(books: Books, server: str) -> list[str]:
    """Return what speaks against a server's being well on its own host, the host's own view included."""
    one = books.servers[server]
    found = []
    if one.status not in _GOOD:
        found.append(f"it is {one.status}")
    if one.task_state:
        found.append(f"Nova is at work on it (task_state {one.task_state})")
    view = books.hosts.get(one.host or "")
    if view is None or view.domains is None:
        found.append(f"{one.host or 'its host'} was not looked at")
        return found
    mine = next((domain for domain in view.domains if domain.uuid == server), None)
    if one.status == "ACTIVE" and (mine is None or not mine.runs):
        found.append(f"its guest does not run on {one.host}")
    return found


def _holds_nothing(books: Books, server: str) -> bool:
    """Say whether the database shows that no failed migration holds a card for it: its cards are all where it is."""
    one, rows = books.servers.get(server), books.rows_of(server)
    return one is not None and rows is not None and all(row.host == one.host for row in rows)


def _shares(books: Books, where: str | None, host: str) -> bool | None:
    """Say whether two hosts share the folder: never, where one of them has it on a file system of its own."""
    views = [books.hosts.get(where or ""), books.hosts.get(host)]
    shared = [None if view is None else view.shared for view in views]
    if False in shared:
        return False
    return True if shared == [True, True] else None
