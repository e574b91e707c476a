"""Files written whole or not at all, and never over somebody else's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.nova.config.header import MARK
from gpuctl.nova.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping


def write_files(folder: Path, files: Mapping[str, str], *, force: bool) -> tuple[str, ...]:
    """Leave every file below ``folder`` as given, and return the paths of those that changed.

    All are first written beside their places and then renamed, so that a full disk leaves the old ones; files of an
    earlier run that this one does not write are left, and are not ours to judge.

    Raises:
        Problem: a file is there that gpuctl did not write, and not ``force``; or the folder cannot be written to.
    """
    foreign = [name for name in files if not force and _foreign(folder / name)]
    if foreign:
        raise Problem(
            "refused to overwrite files that gpuctl did not write: " + ", ".join(foreign),
            details=f"in {folder}; they do not begin with the line '{MARK} ...'",
            resolution="give another folder with -o, or say --force",
            exit_code=3,
        )
    made: list[tuple[Path, Path]] = []
    try:
        for name, text in files.items():
            target = folder / name
            if target.is_file() and target.read_bytes() == text.encode():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            made.append((_beside(target, text), target))
        for temporary, target in made:
            temporary.replace(target)
    except OSError as error:
        for temporary, _ in made:
            temporary.unlink(missing_ok=True)
        raise Problem(
            f"cannot write to {folder}",
            details=str(error),
            resolution="make room, or give a folder that you may write to",
            exit_code=1,
        ) from error
    return tuple(str(target) for _, target in made)


def _foreign(path: Path) -> bool:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return True
    try:
        return path.is_file() and not path.read_bytes().startswith(MARK.encode())
    except OSError:
        return True


def _beside(target: Path, text: str) -> Path:
    """Return a finished file with the text, on disk, in the target's folder."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        path.chmod(0o644)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path
