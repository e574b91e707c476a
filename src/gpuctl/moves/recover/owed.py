"""A shelve that gpuctl began as a repair, on disk before it is asked for: killed in between, recover unshelves it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gpuctl.moves.journal import JournalFailed, folder
from gpuctl.whole_file import write_whole

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owed:
    """What a shelved server is to be brought back to.

    Attributes:
        host: where it was.
        stopped: whether it was SHUTOFF before.
    """

    host: str
    stopped: bool


def owe(cloud: str, server: str, owed: Owed) -> None:
    """It is on disk, and stays there until ``settle``.

    Raises:
        JournalFailed: it could not be written; then nothing is shelved.
    """
    path = _path(cloud, server)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, json.dumps(asdict(owed)).encode(), mode=0o600)
    except OSError as error:
        raise JournalFailed(
            f"{path} cannot be written", details=str(error), resolution="nothing was shelved; make room, then try again"
        ) from error


def owed(cloud: str, server: str) -> Owed | None:
    """Return what is owed to a server; None where nothing is."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        said = json.loads(_path(cloud, server).read_text("utf-8"))
        return Owed(str(said["host"]), bool(said["stopped"]))
    return None


def settle(cloud: str, server: str) -> None:
    """Nothing is owed to it any more."""
    _path(cloud, server).unlink(missing_ok=True)


def _path(cloud: str, server: str) -> Path:
    return folder(cloud) / f"{server}.shelved.json"
