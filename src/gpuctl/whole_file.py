"""Files that are there whole or not at all. What is no file (a pipe, /dev/null) is written to, never replaced."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """``path`` holds exactly ``data``, also after a loss of power; a kill leaves what was there before.

    A link stays a link: what it points to is replaced. A rename over a device, by root, would take it from everybody.

    Args:
        path: the file; its folder is there.
        data: all of it.
        mode: of a file that is new.

    Raises:
        OSError: it cannot be written.
    """
    target = path.resolve()
    try:
        found = target.stat().st_mode
    except FileNotFoundError:
        found = None
    if found is not None and not stat.S_ISREG(found):
        with target.open("wb") as out:
            out.write(data)
        return
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    made = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        made.chmod(mode if found is None else stat.S_IMODE(found))
        made.replace(target)
    finally:
        made.unlink(missing_ok=True)
