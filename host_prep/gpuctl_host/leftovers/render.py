"""The JSON documents of what was seen and judged."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from gpuctl_host.leftovers.names import INSTANCE, RESIZE

if TYPE_CHECKING:
    from gpuctl_host.leftovers.domain_xml import Domain
    from gpuctl_host.leftovers.domains import Domains
    from gpuctl_host.leftovers.mounts import Filesystem
    from gpuctl_host.leftovers.proof import Verdict
    from gpuctl_host.leftovers.quarantined import Record
    from gpuctl_host.leftovers.survey import Entry, Survey
    from gpuctl_host.leftovers.users import Users
    from gpuctl_host.leftovers.vfio import Bound


def folder_out(entry: Entry, users: Users | None) -> dict[str, Any]:
    """Return one name of the instances folder; ``holders`` is null where it cannot be known."""
    known = entry.kind in (INSTANCE, RESIZE)
    return {
        "name": shown(entry.name),
        "uuid": entry.uuid,
        "kind": entry.kind,
        "size": entry.content.size if entry.content else None,
        "mtime": stamp(entry.mtime),
        "is_dir": entry.is_dir,
        "link": None if entry.link is None else shown(entry.link),
        "mount": entry.mount,
        "holders": (None if users is None else list(users.get(entry.name, ()))) if known else None,
    }


def domain_out(domain: Domain) -> dict[str, Any]:
    """Return one domain."""
    made = domain.nova_name is not None
    return {
        "uuid": domain.uuid,
        "name": domain.name,
        "state": domain.state,
        "persistent": domain.persistent,
        "hostdevs": list(domain.hostdevs),
        "nova": {"name": domain.nova_name, "flavor": domain.nova_flavor} if made else None,
    }


def domains_out(domains: Domains) -> dict[str, Any]:
    """Return the domains' part of a document."""
    return {
        "domains": None if domains.all is None else [domain_out(domain) for domain in domains.all],
        "domains_source": domains.source,
    }


def filesystem_out(on: Filesystem) -> dict[str, Any]:
    """Return where the instances folder lies."""
    return {"type": on.type, "device": on.device, "shared": on.shared, "exported": on.exported}


def vfio_out(bound: tuple[Bound, ...] | None) -> list[dict[str, Any]] | None:
    """Return the cards on VFIO drivers."""
    if bound is None:
        return None
    return [
        {"address": card.address, "driver": card.driver, "holder_pid": card.holder_pid, "domain": card.domain}
        for card in bound
    ]


def record_out(record: Record) -> dict[str, Any]:
    """Return one thing in quarantine."""
    return {
        "run": record.run,
        "name": record.name,
        "uuid": record.uuid,
        "kind": record.kind,
        "state": record.state,
        "at": record.at,
        "size": record.size,
    }


def verdict_out(verdict: Verdict, seen: Survey) -> dict[str, Any]:
    """Return one leftover and whether it may go."""
    content = verdict.entry.content if verdict.entry else None
    notes = []
    if content is not None and content.linked:
        notes.append(f"{content.linked} of its files have another name (hard link), which stays")
    return {
        "uuid": verdict.uuid,
        "kind": verdict.kind,
        "name": verdict.name,
        "may_go": verdict.may_go,
        "reasons": [{"rule": reason.rule, "text": reason.text} for reason in verdict.reasons],
        "folder": folder_out(verdict.entry, seen.users) if verdict.entry else None,
        "domain": domain_out(verdict.domain) if verdict.domain else None,
        "notes": notes,
    }


def stamp(seconds: float) -> str:
    """Return a time as RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(int(seconds), timezone.utc).isoformat().replace("+00:00", "Z")


def shown(name: str) -> str:
    """Return a file's name as text that every JSON reader takes."""
    return os.fsencode(name).decode("utf-8", "replace")
