"""Facts, wishes and applied plans for this folder's tests: the smallest that the back-ends read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl_host.boot import registry
from gpuctl_host.changes.model import FILE, Wish
from gpuctl_host.facts.model import Boot, Card, Facts, FileState, Iommu, Kernel, Software, System

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuctl_host.changes.model import Change
    from gpuctl_host.facts.model import Image
    from gpuctl_host.host import Host

GPU = Card(
    "0000:01:00.0",
    "10de",
    "1b80",
    "10de",
    "119e",
    "bind",
    "vfio-pci",
    "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0",
)
AUDIO = Card(
    "0000:01:00.1", "10de", "10f0", "10de", "119e", "remove", "-", "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.1"
)
WISH = Wish(
    cards=(GPU, AUDIO),
    arguments=("intel_iommu=on", "iommu=pt"),
    blacklist=("nouveau",),
    softdep=("snd_hda_intel",),
    kernels=("6.1.0-56-amd64",),
)


def read_files(host: Host, paths: Iterable[str]) -> dict[str, FileState | None]:
    """Return each file as it is below the host's root."""
    found: dict[str, FileState | None] = {}
    for path in paths:
        state = host.stat(path, follow=False)
        data = host.read_bytes(path)
        found[path] = (
            None
            if state is None or data is None
            else FileState(data, state.st_mode & 0o7777, state.st_uid, state.st_gid)
        )
    return found


def facts_of(
    host: Host | None = None,
    boot: Boot | None = None,
    *,
    vfio_pci: str = "module",
    images: tuple[Image, ...] | None = None,
    installed: tuple[str, ...] = ("6.1.0-56-amd64",),
) -> Facts:
    """Return facts as facts/ would read them for planning."""
    if boot is None:
        assert host is not None
        boot = registry.read_boot(host, None)
    files = read_files(host, registry.managed_paths(boot)) if host else dict.fromkeys(registry.managed_paths(boot))
    release = installed[0] if installed else None
    return Facts(
        host=None,
        collected_at="2026-11-20T00:00:00Z",
        vendors=("10de",),
        system=System(None, None, None, None, None, False, None, None, (), None, None),
        kernel=Kernel(release, None, None, None, None, None, None, installed),
        iommu=Iommu(None, None, None, None, None, (), ()),
        boot=boot,
        software=Software(None, None, vfio_pci, (), ()),
        pci=None,
        drivers_seen=True,
        gpus=(),
        nvswitches=(),
        modprobe=None,
        iomem=None,
        needs=None,
        foreign=(),
        record=None,
        files=files,
        images=images,
    )


def write_files(root: Path, changes: Iterable[Change]) -> None:
    """Do the file Changes of a plan below ``root``."""
    for change in changes:
        if change.kind != FILE:
            continue
        path = root / change.target.lstrip("/")
        if change.after is None:
            path.unlink()
            continue
        assert isinstance(change.after, FileState)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(change.after.data)
        path.chmod(change.after.mode)


def put(root: Path, files: dict[str, str]) -> None:
    """Write text files below ``root``; a name that ends with * is executable."""
    for name, text in files.items():
        path = root / name.rstrip("*").lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if name.endswith("*") else 0o644)
