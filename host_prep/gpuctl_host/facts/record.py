"""What an earlier prepare left: the record of the cards, and whether the files that it owns are still the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gpuctl_host.facts.model import Card, Image, PciFunction, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpuctl_host.host import Host

CARDS = "/etc/gpuctl/cards"
MANIFEST = "/var/lib/gpuctl/manifest.json"
_FIELDS = 8
_RUN = r"\brun ([\w-]+)"
_MAX = 4 << 20


def render_cards(cards: Iterable[Card], *, run: str, version: str) -> str:
    """Return the text of /etc/gpuctl/cards: one line a function, fields by white space, as `parse_cards` reads it."""
    verbs = "`gpuctl host prepare` writes it, `gpuctl host restore` removes it"
    lines = [
        f"# Written by gpuctl {version}, run {run}. Do not edit: {verbs}.",
        "# address vendor device subvendor subdevice action driver path",
    ]
    for card in cards:
        fields = (
            card.address,
            card.vendor_id,
            card.device_id,
            card.subsystem_vendor or "-",
            card.subsystem_device or "-",
            card.action,
            card.driver or "-",
            card.path,
        )
        lines.append(" ".join(fields))
    return "\n".join(lines) + "\n"


def parse_cards(text: str) -> tuple[tuple[Card, ...], str | None]:
    """Return the cards and the id of the run that wrote them; lines that are not ours are left out."""
    cards, run = [], None
    for line in text.split("\n"):
        if line.startswith("#"):
            found = re.search(_RUN, line)
            run = found[1] if run is None and found else run
            continue
        fields = line.split()
        if len(fields) == _FIELDS and fields[5] in ("bind", "remove"):
            cards.append(Card(*fields))
    return tuple(cards), run


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
    cards, run = parse_cards(text or "")
    files, groups = _parts(manifest or {})
    edited, missing = _compare(host, files)
    return Record(
        cards=cards,
        run=run,
        edited=edited,
        missing=missing,
        unprepared=_unprepared(installed, images) if cards else (),
        group_changes=_group_changes(groups, pci),
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


def _group_changes(groups: Mapping[str, list[str]], pci: Sequence[PciFunction] | None) -> tuple[str, ...]:
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
        here = sorted(now.get(group, ())) if group is not None else []
        if address in of and here != sorted(members):
            changes.append(
                f"{address}: group had {' '.join(sorted(members)) or 'nothing'}, has {' '.join(here) or 'nothing'}"
            )
    return tuple(changes)
