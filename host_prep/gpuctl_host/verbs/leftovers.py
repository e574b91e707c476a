"""instances and leftovers: what Nova left on this host, seen and judged; to change it is in quarantine.py."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from gpuctl_host.changes.fingerprint import digest
from gpuctl_host.data import plain
from gpuctl_host.errors import Refused, UnreadableInput, UsageError
from gpuctl_host.facts.system import host_name
from gpuctl_host.leftovers import render
from gpuctl_host.leftovers.domains import read_domains
from gpuctl_host.leftovers.folder import INSTANCES, open_place
from gpuctl_host.leftovers.mounts import filesystem_of, read_mounts
from gpuctl_host.leftovers.names import RESIZE, is_uuid
from gpuctl_host.leftovers.proof import KINDS, Verdict, Wish, judge, parse_proofs
from gpuctl_host.leftovers.quarantined import DOMAIN, HELD, read_quarantine
from gpuctl_host.leftovers.survey import Survey, read_entries, survey, users_of
from gpuctl_host.leftovers.vfio import read_vfio

if TYPE_CHECKING:
    from gpuctl_host.apply.folder_disk import FolderDisk
    from gpuctl_host.entry import Answer, Emit
    from gpuctl_host.host import Host

INSTANCES_SCHEMA, LEFTOVERS_SCHEMA = "gpuctl.host.instances/1", "gpuctl.host.leftovers/1"
PLAN, IN, DELETE, BACK = "plan", "quarantine", "purge", "restore"
PHASES = (PLAN, IN, DELETE, BACK)


def answer(command: str, host: Host, request: dict[str, Any], emit: Emit, *, disk: FolderDisk | None = None) -> Answer:
    """Answer one request.

    Args:
        command: instances or leftovers.
        host: the host.
        request: see docs/reference/zipapp.md.
        emit: hears of each leftover before it is touched.
        disk: the system calls, for tests.
    """
    path = request.get("instances_path") or INSTANCES
    uuids = _uuids(request.get("uuids"))
    if command == "instances":
        return _instances(host, path, uuids)
    phase = request.get("phase") or PLAN
    if phase not in PHASES:
        raise UsageError(f"unknown phase {phase!r}", resolution=f"one of {', '.join(PHASES)}")
    if phase == PLAN:
        wish = _wish(request, uuids)
        with open_place(host, path) as place:
            return _planned(survey(host, place), wish), 0
    if not host.live:
        raise Refused(
            "this is a captured tree: nothing is moved or deleted in it", resolution="ask the host itself, without root"
        )
    if phase in (IN, BACK) and not uuids:
        raise UsageError(f"{phase} without uuids", resolution="name the servers that are meant")
    from gpuctl_host.verbs.quarantine import change

    return change(host, path, phase, _wish(request, uuids), request, emit, disk)


# ---------------------------------------------------------------- the request


def _uuids(value: list[str] | None) -> tuple[str, ...] | None:
    """The servers that were named; a name that is no uuid in Nova's form is refused before anything is looked at."""
    for uuid in value or ():
        if not is_uuid(uuid):
            raise UsageError(f"{uuid!r} is no server's uuid", resolution="give it as Nova shows it: lower case, dashed")
    return None if value is None else tuple(dict.fromkeys(value))


def _wish(request: dict[str, Any], uuids: tuple[str, ...] | None) -> Wish:
    kinds = tuple(request.get("kinds") or (RESIZE, DOMAIN))
    if not set(kinds) <= set(KINDS):
        raise UsageError(f"unknown kinds {', '.join(kinds)}", resolution=f"of {', '.join(KINDS)}")
    shares = request.get("destination_shares") or {}
    if not all(is_uuid(uuid) and (shared is None or isinstance(shared, bool)) for uuid, shared in shares.items()):
        raise UsageError("destination_shares is not as it should be", resolution="give {uuid: true, false or null}")
    return Wish(uuids, kinds, parse_proofs(request.get("proof")), shares, request.get("nova_host"))


# ---------------------------------------------------------------- looking


def _instances(host: Host, path: str, uuids: tuple[str, ...] | None) -> Answer:
    """The read-only view. Whatever cannot be seen is null, and named in ``unknown``."""
    domains = read_domains(host)
    vfio, vfio_known = read_vfio(host, domains)
    unknown = list(domains.unknown)
    if domains.all is None:
        unknown.append("the domains: neither libvirt nor its files answer")
    if vfio is None or not vfio_known:
        unknown.append("which processes hold cards")
    folders: list[dict[str, Any]] | None = None
    quarantine: list[dict[str, Any]] | None = None
    on = render.filesystem_out(filesystem_of(host, path, None))
    try:
        with open_place(host, path) as place:
            mounts = read_mounts(host)
            entries = [item for item in read_entries(place, mounts) if uuids is None or item.uuid in uuids]
            users = users_of(host, entries)
            if users is None:
                unknown.append("which processes use the folders")
            on = render.filesystem_out(filesystem_of(host, place.path, mounts))
            folders = [render.folder_out(entry, users) for entry in entries]
            quarantine = [render.record_out(record) for record in read_quarantine(place)]
    except (UnreadableInput, Refused) as error:
        unknown.append(error.brief)
    document = {
        "schema": INSTANCES_SCHEMA,
        "host": host_name(host),
        "instances_path": path,
        "filesystem": on,
        "folders": folders,
        "quarantine": quarantine,
        **render.domains_out(domains),
        "vfio": render.vfio_out(vfio),
        "unknown": unknown,
    }
    return document, 0


def _planned(seen: Survey, wish: Wish) -> dict[str, Any]:
    verdicts = judge(seen, wish)
    return {
        **head(seen.host, PLAN, seen.path),
        "filesystem": render.filesystem_out(seen.filesystem),
        "domains_source": seen.domains.source,
        "leftovers": [render.verdict_out(verdict, seen) for verdict in verdicts],
        "quarantine": [render.record_out(record) for record in seen.quarantine],
        "unfinished": [render.record_out(record) for record in seen.quarantine if record.state != HELD],
        "fingerprint": fingerprint(seen, wish, verdicts),
    }


def head(host: str | None, phase: str, path: str) -> dict[str, Any]:
    """Return what every leftovers document begins with."""
    return {"schema": LEFTOVERS_SCHEMA, "host": host, "phase": phase, "instances_path": path}


def fingerprint(seen: Survey, wish: Wish, verdicts: tuple[Verdict, ...]) -> str:
    """What a plan rests on; pids and the like, which differ from one look to the next, are no part of it."""
    return digest(
        {
            "path": seen.path,
            "filesystem": plain(seen.filesystem),
            "kinds": list(wish.kinds),
            "shares": dict(wish.shares),
            "proofs": plain(dict(wish.proofs)),
            "leftovers": [
                [
                    verdict.kind,
                    verdict.name,
                    [reason.rule for reason in verdict.reasons],
                    list(verdict.entry.inode) if verdict.entry else None,
                    verdict.entry.mtime if verdict.entry else None,
                    sha256(verdict.domain.xml.encode()).hexdigest() if verdict.domain else None,
                ]
                for verdict in verdicts
            ],
        }
    )
