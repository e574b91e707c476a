"""May a leftover be taken away? It may go if no rule (rules.py) has a word against it.

What only the API can say (where the server is, whether a migration of it is open) comes as the operator's proof; what
only this host can say is the survey. Whatever is unknown is a word against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl_host.data import frozen
from gpuctl_host.errors import UsageError
from gpuctl_host.leftovers.names import INSTANCE, RESIZE, is_uuid, name_of
from gpuctl_host.leftovers.quarantined import DOMAIN
from gpuctl_host.leftovers.rules import OF_DOMAIN, OF_FOLDER, OF_SERVER, Case

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gpuctl_host.leftovers.domain_xml import Domain
    from gpuctl_host.leftovers.survey import Entry, Survey

KINDS = (RESIZE, DOMAIN, INSTANCE)


@frozen
class Proof:
    """What the operator's half has proven of a server, from the API.

    Attributes:
        server_host: the compute that the server is on, as Nova names it; None: on none.
        status: the server's.
        open_migrations: ids of its migrations that are neither confirmed, reverted, completed nor failed.
    """

    server_host: str | None
    status: str
    open_migrations: tuple[str, ...]


@frozen
class Wish:
    """What was asked for.

    Attributes:
        uuids: servers; None: every one that has a leftover.
        kinds: of resize, domain, instance.
        proofs: by server.
        shares: server -> whether the host that it is on shares this instances folder; None: not known.
        nova_host: what Nova calls this host; None: not told.
    """

    uuids: tuple[str, ...] | None
    kinds: tuple[str, ...]
    proofs: Mapping[str, Proof]
    shares: Mapping[str, bool | None]
    nova_host: str | None


@frozen
class Reason:
    """A word against taking a leftover away; ``rule`` is stable, ``text`` is for people."""

    rule: str
    text: str


@frozen
class Verdict:
    """One leftover: what it is, and every reason why it has to stay; without any it may go."""

    uuid: str
    kind: str
    name: str
    entry: Entry | None
    domain: Domain | None
    reasons: tuple[Reason, ...]

    @property
    def may_go(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


def parse_proofs(value: Mapping[str, Any] | None) -> dict[str, Proof]:
    """Return the proofs of a request.

    Raises:
        UsageError: one is not as the protocol says (docs/reference/zipapp.md).
    """
    found = {}
    for uuid, proof in (value or {}).items():
        where = proof.get("server_host") if isinstance(proof, dict) else None
        status = proof.get("status") if isinstance(proof, dict) else None
        migrations = proof.get("open_migrations") if isinstance(proof, dict) else None
        if not is_uuid(uuid) or not isinstance(status, str) or not isinstance(migrations, list):
            raise UsageError(
                f"the proof of {uuid!r} is none",
                resolution='give {uuid: {"server_host": text or null, "status": text, "open_migrations": []}}',
            )
        if where is not None and (not isinstance(where, str) or not where.strip()):
            raise UsageError(f"the server_host of {uuid} is no text", resolution="give the compute's name, or null")
        found[uuid] = Proof(where, status.upper(), tuple(str(item) for item in migrations))
    return found


def judge(seen: Survey, wish: Wish) -> tuple[Verdict, ...]:
    """Return every leftover that the wish is about, each with all that speaks against it."""
    verdicts: list[Verdict] = []
    for uuid, kind in _meant(seen, wish):
        # Files that a domain names go only if that domain is its own and goes before them.
        own_goes = any(one.uuid == uuid and one.kind == DOMAIN and one.may_go for one in verdicts)
        verdicts.append(_verdict(seen, wish, uuid, kind, own_goes=own_goes))
    return tuple(verdicts)


def _meant(seen: Survey, wish: Wish) -> Iterator[tuple[str, str]]:
    """The leftovers: those of the servers that were asked for, else every `_resize` (and, if asked for, more)."""
    listed: Iterable[str] = wish.uuids if wish.uuids is not None else ()
    if wish.uuids is None:
        uuids = {entry.uuid for entry in seen.entries if entry.uuid and entry.kind in wish.kinds}
        resized = {entry.uuid for entry in seen.entries if entry.uuid and entry.kind == RESIZE}
        listed = sorted(uuids | (resized if DOMAIN in wish.kinds else set()) | set(wish.proofs))
    for uuid in listed:
        for kind in (DOMAIN, RESIZE, INSTANCE):  # a domain goes before the files that it names
            if kind in wish.kinds and (_found(seen, uuid, kind) is not None):
                yield uuid, kind


def _found(seen: Survey, uuid: str, kind: str) -> Entry | Domain | None:
    return seen.domains.of(uuid) if kind == DOMAIN else seen.entry(name_of(uuid, kind))


def _verdict(seen: Survey, wish: Wish, uuid: str, kind: str, *, own_goes: bool) -> Verdict:
    domain = seen.domains.of(uuid)
    entry = None if kind == DOMAIN else seen.entry(name_of(uuid, kind))
    case = Case(seen, wish, uuid, kind, entry, domain, own_goes)
    rules = (*OF_SERVER, *(OF_DOMAIN if kind == DOMAIN else OF_FOLDER))
    reasons = tuple(Reason(rule, text) for rule, of in rules if (text := of(case)) is not None)
    name = uuid if entry is None else entry.name
    return Verdict(uuid, kind, name, entry, domain if kind == DOMAIN else None, reasons)
