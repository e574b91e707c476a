"""The rules: each has a word against taking a leftover away, or none. Whatever is unknown is a word against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from gpuctl_host.data import frozen
from gpuctl_host.leftovers.names import name_of

if TYPE_CHECKING:
    from gpuctl_host.leftovers.domain_xml import Domain
    from gpuctl_host.leftovers.proof import Wish
    from gpuctl_host.leftovers.survey import Entry, Survey

# In these a server is whole where the API says it is; in VERIFY_RESIZE, ERROR, ... the leftover may be all there is.
_GOOD = frozenset({"ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"})
_NOWHERE = frozenset({"SHELVED_OFFLOADED", "DELETED"})  # it needs no host's disk any more


@frozen
class Case:
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
        """The leftover's, in the instances folder."""
        return name_of(self.uuid, self.kind)


# ---------------------------------------------------------------- of the server


def _host(case: Case) -> str | None:
    return None if case.seen.live else "this is a captured tree: who uses what cannot be known"


def _proof(case: Case) -> str | None:
    if case.uuid not in case.wish.proofs:
        return "nothing is proven of this server: no proof was given"
    return None


def _migrations(case: Case) -> str | None:
    proof = case.wish.proofs.get(case.uuid)
    if proof is None or not proof.open_migrations:
        return None
    return f"a migration of it is open: {', '.join(proof.open_migrations)}"


def _status(case: Case) -> str | None:
    proof = case.wish.proofs.get(case.uuid)
    if proof is None or proof.status in (_GOOD if proof.server_host is not None else _NOWHERE):
        return None
    return f"the server is {proof.status} on {proof.server_host or 'no host'}: this may be its only good copy"


def _elsewhere(case: Case) -> str | None:
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


def _runs(case: Case) -> str | None:
    if case.domain is not None and not case.domain.is_off:
        return f"its domain {case.domain.name} is {case.domain.state} on this host"
    return None


def _domains_known(case: Case) -> str | None:
    domains = case.seen.domains
    if domains.all is None:
        return "this host's domains cannot be seen: neither libvirt nor its files answer"
    if domains.unknown:
        return f"not every domain could be read: {domains.unknown[0]}"
    return None


# ---------------------------------------------------------------- of a folder


def _folder(case: Case) -> str | None:
    if case.entry is None:
        return "it is not there"
    return case.entry.problem or (None if case.entry.content is not None else "it could not be looked into")


def _mount(case: Case) -> str | None:
    mount = case.entry.mount if case.entry is not None else None
    return f"{mount} is a mount" if mount else None


def _shared(case: Case) -> str | None:
    told, on = case.wish.shares.get(case.uuid), case.seen.filesystem
    if told is True:
        return "the server's host shares this instances folder: these may be the files that it runs on"
    if told is False or on.shared is False:
        return None
    how = "this host exports it" if on.exported else f"it lies on {on.type or 'an unknown file system'}"
    return f"{how}, and it is not proven that the server's host does not share it"


def _users(case: Case) -> str | None:
    if case.seen.users is None:
        return "it cannot be known whether a process uses it"
    users = case.seen.users.get(case.name, ())
    return f"it is in use: {', '.join(users[:3])}" if users else None


def _other_domains(case: Case) -> str | None:
    """A domain names it. Its own server's may, where that goes first."""
    names = [
        f"{domain.name} ({domain.state})"
        for domain in case.seen.domains.all or ()
        if case.name in domain.folders and not (case.own_goes and domain.uuid == case.uuid)
    ]
    return f"a domain's disks are in it: {', '.join(names)}" if names else None


def _backing(case: Case) -> str | None:
    standing = case.seen.backings.standing_on(case.name)
    if standing:
        return f"a disk of {standing[0]} stands on it (qcow2 backing or data file)"
    unread = case.seen.backings.unread_beside(case.name)
    if unread:
        return f"it cannot be known what stands on it: {unread[0]}"
    return None


# ---------------------------------------------------------------- of a domain


def _nova_made(case: Case) -> str | None:
    if case.domain is not None and case.domain.nova_name is None:
        return f"domain {case.domain.name} has no metadata of Nova's: somebody else may have made it"
    return None


def _defined(case: Case) -> str | None:
    if case.domain is not None and case.domain.persistent is not True:
        return f"domain {case.domain.name} is not known to be a defined one"
    return None


def _reachable(case: Case) -> str | None:
    if case.seen.domains.source == "libvirt":
        return None
    return "libvirt does not answer here (in a container, or down); only its files were read: undefine it there"


def _cards(case: Case) -> str | None:
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


Rule = tuple[str, Callable[[Case], "str | None"]]
OF_SERVER: tuple[Rule, ...] = (
    ("captured", _host),
    ("proof-missing", _proof),
    ("open-migration", _migrations),
    ("status", _status),
    ("server-here", _elsewhere),
    ("runs-here", _runs),
    ("domains-unknown", _domains_known),
)
OF_FOLDER: tuple[Rule, ...] = (
    ("folder", _folder),
    ("mount", _mount),
    ("shared", _shared),
    ("in-use", _users),
    ("domain-uses", _other_domains),
    ("backing", _backing),
)
OF_DOMAIN: tuple[Rule, ...] = (
    ("not-nova", _nova_made),
    ("not-defined", _defined),
    ("libvirt-unreachable", _reachable),
    ("card-in-use", _cards),
)
