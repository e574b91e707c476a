"""The folder that ansible-runner works in: the user's own, in memory where there is such a place, and gone afterwards.

ansible-runner writes what it starts Ansible with (command line, whole environment) and every event into files. Here the
environment goes into a pipe that is read and forgotten, events are taken out of their files as they come, passwords are
typed to Ansible's own prompts; and the folder is removed. Only a SIGKILL leaves it; the next run sweeps it away.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "gpuctl-fleet-"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder that only this user can enter is there, and gone at the end; those of dead runs are gone already."""
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    if not os.access(base, os.W_OK | os.X_OK):
        base = Path(tempfile.gettempdir())
    sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=base))  # mode 0700
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(base: Path) -> None:
    """What this user's killed runs left in ``base`` is gone."""
    for left in base.glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists() and left.is_dir() and not left.is_symlink():
            with contextlib.suppress(OSError):
                if left.stat().st_uid == os.getuid():
                    shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def forgotten(path: Path) -> Iterator[None]:
    """What is written to the file ``path`` meanwhile goes nowhere, and never to a disk: it is a pipe.

    Args:
        path: must not exist; its folder does.
    """
    os.mkfifo(path, 0o600)
    reader = threading.Thread(target=_drain, args=(path,), daemon=True)
    reader.start()
    try:
        yield
    finally:
        # Nobody may have written: let the reader, which waits for a writer, or is about to, go.
        while reader.is_alive():
            with contextlib.suppress(OSError):
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            reader.join(0.01)


def _drain(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("rb") as pipe:
        while pipe.read(65536):
            pass
