"""The manifest: what is ours on this host now, so that a check sees what somebody else has changed since."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gpuctl_host.apply.journal import read_runs
from gpuctl_host.apply.places import MANIFEST
from gpuctl_host.changes.model import FILE, GENERATED
from gpuctl_host.changes.past import Image
from gpuctl_host.data import plain

if TYPE_CHECKING:
    from gpuctl_host.apply.outcome import Site
    from gpuctl_host.host import Host

SCHEMA = "gpuctl.host.manifest/1"


def write_manifest(site: Site) -> None:
    """The manifest says what the runs that stand have left; without any there is none.

    Raises:
        DiskFailed: it is as it was.
        JournalBroken: a journal cannot be read.
    """
    runs = [run for run in read_runs(site.host) if run.is_active]
    if not runs:
        site.files.remove(MANIFEST)
        return
    files: dict[str, str] = {}
    for run in runs:
        for change in run.changes:
            if change.kind != FILE or not change.stands:
                continue
            if isinstance(change.after, Image):
                files[change.target] = change.after.sha256
            else:
                files.pop(change.target, None)
    cards = next((run.cards for run in reversed(runs) if run.cards), ())
    record = {
        "schema": SCHEMA,
        "run": runs[-1].id,
        "files": files,
        "groups": {card.address: _group(site.host, card.address) for card in cards},
        "cards": plain(cards),
    }
    site.files.make_folders(site.files.missing_folders(MANIFEST))
    data = json.dumps(record, indent=1, sort_keys=True).encode() + b"\n"
    site.files.put_blocks(MANIFEST, [data], mode=0o644)


def _group(host: Host, address: str) -> list[str]:
    return host.names(f"/sys/bus/pci/devices/{address}/iommu_group/devices")


def needed_blobs(host: Host) -> set[str]:
    """Return the blobs that a restore or the history still needs; big before-images go once their run is restored.

    Raises:
        JournalBroken: a journal cannot be read: then every blob may be needed.
    """
    needed: set[str] = set()
    for run in read_runs(host):
        for change in run.changes:
            if change.kind == FILE:
                needed.update(image.sha256 for image in (change.before, change.after) if isinstance(image, Image))
            elif change.kind == GENERATED and (run.end is None or (run.is_active and change.stands)):
                needed.update(image.sha256 for image in change.images.values() if image is not None)
    return needed
