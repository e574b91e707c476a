"""May a leftover be taken away? One small function a rule; a leftover may go if no rule has a word against it.

What only the API can say (where the server is, whether a migration of it is open) comes as the operator's proof; what
only this host can say is the survey. Whatever is unknown is a word against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from gpuctl_host.data import frozen
from gpuctl_host.errors import UsageError
from gpuctl_host.leftovers.names import INSTANCE, RESIZE, is_uuid, name_of
from gpuctl_host.leftovers.quarantined import DOMAIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gpuctl_host.leftovers.domain_xml import Domain
    from gpuctl_host.leftovers.survey import Entry, Survey

KINDS = (RESIZE, DOMAIN, INSTANCE)
# In these a server is whole where the API says it is; in VERIFY_RESIZE, ERROR, ... the leftover may be all there is.
_GOOD = frozenset({"ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"})
_NOWHERE = frozenset({"SHELVED_OFFLOADED", "DELETED"})  # it needs no host's disk any more


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
    case = _Case(seen, wish, uuid, kind, entry, domain, own_goes)
    rules = (*_OF_SERVER, *(_OF_DOMAIN if kind == DOMAIN else _OF_FOLDER))
    reasons = tuple(Reason(rule, text) for rule, of in rules if (text := of(case)) is not None)
    name = uuid if entry is None else entry.name
    return Verdict(uuid, kind, name, entry, domain if kind == DOMAIN else None, reasons)


@frozen
class _Case:
    """What one rule looks at."""

    seen: Survey
    wish: Wish
    uuid: str
    kind: str
    entry: Entry | None
    domain: Domain | None
    own_goes: bool

    @property
    def name(self) -> str:
        return name_of(self.uuid, self.kind)


# ---------------------------------------------------------------- of the server


def _host(case: _Case) -> str | None:
    return None if case.seen.live else "this is a captured tree: who uses what cannot be known"


def _proof(case: _Case) -> str | None:
    if case.uuid not in case.wish.proofs:
        return "nothing is proven of this server: no proof was given"
    return None


def _migrations(case: _Case) -> str | None:
    proof = case.wish.proofs.get(case.uuid)
    if proof is None or not proof.open_migrations:
        return None
    return f"a migration of it is open: {', '.join(proof.open_migrations)}"


def _status(case: _Case) -> str | None:
    proof = case.wish.proofs.get(case.uuid)
    if proof is None or proof.status in (_GOOD if proof.server_host is not None else _NOWHERE):
        return None
    return f"the server is {proof.status} on {proof.server_host or 'no host'}: this may be its only good copy"


def _elsewhere(case: _Case) -> str | None:
    proof = case.wish.proofs.get(case.uuid)
    if proof is None or proof.server_host is None:
        return None
    own = [name for name in (case.wish.nova_host, case.seen.host) if name]
    if not own:
        return "it is not known what this host is called, so that the server may be on it"
    if any(_same_host(proof.server_host, name) for name in own):
        return f"the server is on this host ({proof.server_host})"
    return None


def _same_host(one: str, other: str) -> bool:
    """Whether two names may be one host's; a short name is taken for any with that beginning."""
    one, other = one.strip().rstrip(".").lower(), other.strip().rstrip(".").lower()
    if "." in one and "." in other:
        return one == other
    return one.partition(".")[0] == other.partition(".")[0]


def _runs(case: _Case) -> str | None:
    if case.domain is not None and not case.domain.is_off:
        return f"its domain {case.domain.name} is {case.domain.state} on this host"
    return None


def _domains_known(case: _Case) -> str | None:
    domains = case.seen.domains
    if domains.all is None:
        return "this host's domains cannot be seen: neither libvirt nor its files answer"
    if domains.unknown:
        return f"not every domain could be read: {domains.unknown[0]}"
    return None


# ---------------------------------------------------------------- of a folder


def _folder(case: _Case) -> str | None:
    if case.entry is None:
        return "it is not there"
    return case.entry.problem or (None if case.entry.content is not None else "it could not be looked into")


def _mount(case: _Case) -> str | None:
    mount = case.entry.mount if case.entry is not None else None
    return f"{mount} is a mount" if mount else None


def _shared(case: _Case) -> str | None:
    told, on = case.wish.shares.get(case.uuid), case.seen.filesystem
    if told is True:
        return "the server's host shares this instances folder: these may be the files that it runs on"
    if told is False or on.shared is False:
        return None
    how = "this host exports it" if on.exported else f"it lies on {on.type or 'an unknown file system'}"
    return f"{how}, and it is not proven that the server's host does not share it"


def _users(case: _Case) -> str | None:
    if case.seen.users is None:
        return "it cannot be known whether a process uses it"
    users = case.seen.users.get(case.name, ())
    return f"it is in use: {', '.join(users[:3])}" if users else None


def _other_domains(case: _Case) -> str | None:
    """A domain names it. Its own server's may, where that goes first."""
    names = [
        f"{domain.name} ({domain.state})"
        for domain in case.seen.domains.all or ()
        if case.name in domain.folders and not (case.own_goes and domain.uuid == case.uuid)
    ]
    return f"a domain's disks are in it: {', '.join(names)}" if names else None


def _backing(case: _Case) -> str | None:
    standing = case.seen.backings.standing_on(case.name)
    if standing:
        return f"a disk of {standing[0]} stands on it (qcow2 backing or data file)"
    unread = case.seen.backings.unread_beside(case.name)
    if unread:
        return f"it cannot be known what stands on it: {unread[0]}"
    return None


# ---------------------------------------------------------------- of a domain


def _nova_made(case: _Case) -> str | None:
    if case.domain is not None and case.domain.nova_name is None:
        return f"domain {case.domain.name} has no metadata of Nova's: somebody else may have made it"
    return None


def _defined(case: _Case) -> str | None:
    if case.domain is not None and case.domain.persistent is not True:
        return f"domain {case.domain.name} is not known to be a defined one"
    return None


def _reachable(case: _Case) -> str | None:
    if case.seen.domains.source == "libvirt":
        return None
    return "libvirt does not answer here (in a container, or down); only its files were read: undefine it there"


def _cards(case: _Case) -> str | None:
    """A card of it that a process has and no other running domain: a guest that libvirt lost, perhaps this one.

    That another domain runs with the card is no reason to keep this one: after a repair the card is given out again,
    and to undefine a domain that is shut off touches no card.
    """
    cards = set(case.domain.hostdevs) if case.domain is not None else set()
    for domain in case.seen.domains.all or ():
        if domain.uuid != case.uuid and not domain.is_off:
            cards -= set(domain.hostdevs)
    if not cards:
        return None
    for bound in case.seen.vfio or ():
        if bound.address in cards and bound.holder_pid is not None:
            return f"its card {bound.address} is held by process {bound.holder_pid}, which is no domain's"
    if case.seen.vfio is None or not case.seen.vfio_known:
        return "it cannot be known who holds its cards"
    return None


Rule = tuple[str, Callable[[_Case], "str | None"]]
_OF_SERVER: tuple[Rule, ...] = (
    ("captured", _host),
    ("proof-missing", _proof),
    ("open-migration", _migrations),
    ("status", _status),
    ("server-here", _elsewhere),
    ("runs-here", _runs),
    ("domains-unknown", _domains_known),
)
_OF_FOLDER: tuple[Rule, ...] = (
    ("folder", _folder),
    ("mount", _mount),
    ("shared", _shared),
    ("in-use", _users),
    ("domain-uses", _other_domains),
    ("backing", _backing),
)
_OF_DOMAIN: tuple[Rule, ...] = (
    ("not-nova", _nova_made),
    ("not-defined", _defined),
    ("libvirt-unreachable", _reachable),
    ("card-in-use", _cards),
)
