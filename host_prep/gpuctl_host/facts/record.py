"""What an earlier prepare left: the record of the cards, and whether the files that it owns are still the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl_host.facts.model import Card, Image, PciFunction, Record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gpuctl_host.host import Host

CARDS = "/etc/gpuctl/cards"
MANIFEST = "/var/lib/gpuctl/manifest.json"
_FIELDS = 8
_MAX = 4 << 20


def parse_cards(text: str) -> tuple[Card, ...]:
    """Return the cards of /etc/gpuctl/cards (templates/cards.py writes it); lines that are not ours are left out."""
    rows = [line.split() for line in text.split("\n") if not line.startswith("#")]
    return tuple(Card(*fields) for fields in rows if len(fields) == _FIELDS and fields[5] in ("bind", "remove"))


def read_record(
    host: Host, *, pci: Sequence[PciFunction] | None, installed: Iterable[str], images: Sequence[Image] | None
) -> Record | None:
    """Return what an earlier prepare left on the host; None if there is neither a record nor a manifest.

    Args:
        host: the host.
        pci: its functions, to compare the groups with those at the time of the prepare.
        installed: releases of the installed kernels.
        images: what is inside their images; None: not looked at, so that nothing is said of them.
    """
    text = host.read(CARDS, _MAX)
    manifest = _manifest(host)
    if text is None and manifest is None:
        return None
    cards = parse_cards(text or "")
    files, groups = _parts(manifest or {})
    edited, missing = _compare(host, files)
    removed = {card.address for card in cards if card.action == "remove"}
    noted = (manifest or {}).get("run")
    return Record(
        cards=cards,
        run=noted if isinstance(noted, str) else None,
        edited=edited,
        missing=missing,
        unprepared=_unprepared(installed, images) if cards else (),
        group_changes=_group_changes(groups, pci, removed),
    )


def _manifest(host: Host) -> dict[str, Any] | None:
    text = host.read(MANIFEST, _MAX)
    if text is None:
        return None
    import json

    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _parts(manifest: dict[str, Any]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The files (path -> sha256) and the groups (address -> members), if the manifest has keys for both."""
    inner = manifest.get("files")
    files = inner if isinstance(inner, dict) else manifest
    groups = manifest.get("groups")
    return (
        {path: value for path, value in files.items() if path.startswith("/") and isinstance(value, str)},
        {str(key): [str(item) for item in value] for key, value in groups.items() if isinstance(value, list)}
        if isinstance(groups, dict)
        else {},
    )


def _compare(host: Host, files: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(files whose content is another, files that are gone)."""
    if not files:
        return (), ()
    import hashlib

    edited, missing = [], []
    for path, wanted in sorted(files.items()):
        target = host.link(path)
        data = target.encode() if target is not None else host.read_bytes(path)
        if data is not None:
            if hashlib.sha256(data).hexdigest() != wanted:
                edited.append(path)
        elif host.stat(path, follow=False) is None:
            missing.append(path)
    return tuple(edited), tuple(missing)


def _unprepared(installed: Iterable[str], images: Sequence[Image] | None) -> tuple[str, ...]:
    """Installed kernels with an image that could be opened and has none of our files."""
    if images is None:
        return ()
    prepared = {image.release for image in images if image.ours or image.files is None}
    return tuple(release for release in installed if release not in prepared)


def _group_changes(
    groups: Mapping[str, list[str]], pci: Sequence[PciFunction] | None, removed: Collection[str]
) -> tuple[str, ...]:
    """Say whose group has other members than at the time of the prepare.

    A group that was not there then (the IOMMU was off) cannot have changed, and what we take off the bus ourselves
    leaves its group on purpose.
    """
    if pci is None or not groups:
        return ()
    now: dict[int, list[str]] = {}
    for item in pci:
        if item.iommu_group is not None:
            now.setdefault(item.iommu_group, []).append(item.address)
    of = {item.address: item.iommu_group for item in pci}
    changes = []
    for address, members in sorted(groups.items()):
        group = of.get(address)
        here = sorted(item for item in now.get(group, ()) if item not in removed) if group is not None else []
        had = sorted(item for item in members if item not in removed)
        if members and address in of and here != had:
            changes.append(f"{address}: group had {' '.join(had)}, has {' '.join(here) or 'nothing'}")
    return tuple(changes)
