"""The lab's cache: folders that are whole or absent, named by what they were made from."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def cache_dir() -> Path:
    """The lab's folder below the user's cache exists and is returned."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "gpuctl" / "lab"
    path.mkdir(parents=True, exist_ok=True)
    return path


def key_of(recipe: dict[str, Any]) -> str:
    """The same recipe gives the same key, any other one another key."""
    text = json.dumps(recipe, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Inside, no other process holds the lock of this name; a killed holder frees it."""
    with (cache_dir() / f".{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def once(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder NAME-KEY exists, whole, made now or earlier.

    It is made in a temporary folder beside its place and renamed when it is whole, so that a killed build leaves only
    a `.part` folder, which the next build removes.

    Args:
        name: what it is, "disk" for example.
        key: see key_of.
        make: fills the folder that it is given.
    """
    place = cache_dir() / f"{name}-{key}"
    if place.is_dir():
        return place
    with locked(name):
        if place.is_dir():
            return place
        for stale in cache_dir().glob(f"{name}-*.part"):
            shutil.rmtree(stale, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f"{name}-{key}-", suffix=".part", dir=cache_dir()))
        try:
            make(part)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        part.chmod(0o755)
        part.rename(place)
    return place
