"""A copy of what git would hold of this checkout, as a fresh repository, to build from."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAPPED = {
    "src/gpuctl/": "gpuctl/",
    "host_prep/gpuctl_host/": "gpuctl_host/",
    "flavors/": "gpuctl/_data/flavors/",
    "playbooks/": "gpuctl/_data/playbooks/",
}


def git(folder: Path, *arguments: str) -> str:
    """Return what git answers, in ``folder``."""
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout


def tracked(folder: Path) -> list[str]:
    """The files that git holds or, in a dirty checkout, would hold after `git add -A`."""
    listed = git(folder, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    return sorted({name for name in listed if name and (folder / name).is_file()})


def copied(target: Path) -> Path:
    """Make ``target`` a repository of its own with every tracked file of this checkout."""
    for name in tracked(ROOT):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place)
    git(target, "init", "-q")
    git(target, "add", "-A")
    return target


def mapped(names: list[str]) -> dict[str, str]:
    """Where the wheel has to have each tracked file that belongs in it: wheel name -> tree name."""
    return {new + name[len(old) :]: name for name in names for old, new in MAPPED.items() if name.startswith(old)}


def build(folder: Path, kind: str, out: Path) -> Path:
    """Build a wheel or an sdist of ``folder`` with the locked hatchling, without a network; return it."""
    out.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    (built,) = out.iterdir()
    return built


def wheel_content(path: Path) -> dict[str, bytes]:
    """The wheel's files but for its own metadata."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def wheel_metadata(path: Path, name: str) -> str:
    """One file of the wheel's .dist-info."""
    with zipfile.ZipFile(path) as archive:
        (found,) = [member for member in archive.namelist() if member.endswith(f".dist-info/{name}")]
        return archive.read(found).decode()


def unpacked(sdist: Path, target: Path) -> Path:
    """Unpack an sdist; return its one folder."""
    with tarfile.open(sdist) as archive:
        archive.extractall(target, filter="data")
    (folder,) = target.iterdir()
    return folder
