"""The host's half as one file: `gpuctl-host.pyz`, for any Linux with Python 3.9 or newer.

Built from the installed `gpuctl_host` package, so that the wheel alone is enough to ship it. The same input gives the
same bytes: names sorted, one date, one mode.

pyudev goes in unmodified, from the installed distribution and with its licence's text (LGPL-2.1 or later): the archive
is a plain zip of sources, so whoever receives it can read pyudev there and put another one in its place, which is what
sections 5 and 6 of that licence ask for.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import os
import sys
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "gpuctl-host.pyz"
VENDOR = "gpuctl_host/_vendor"
_SHEBANG = b"#!/usr/bin/env python3\n"
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say
_MODE = 0o100644 << 16
_WRITING = ("gpuctl_host/apply/", "gpuctl_host/leftovers/", "gpuctl_host/verbs/quarantine.py")
_LEFT_OUT = ("glib.py", "pyqt4.py", "pyqt5.py", "pyside.py", "pyside6.py", "wx.py", "_qt_base.py")  # pyudev's GUI loops

# The archive is on sys.path already; the bundled pyudev is put right behind it, before the host's own packages.
_MAIN = b'''"""The start of gpuctl-host.pyz: a JSON request on standard input, JSON lines on standard output."""

import sys

if sys.version_info < (3, 9):
    sys.exit("gpuctl-host.pyz: needs Python 3.9 or newer, this is " + sys.version.split()[0])
sys.path.insert(1, sys.path[0] + "/gpuctl_host/_vendor")

from gpuctl_host.__main__ import main  # noqa: E402

sys.exit(main())
'''


def build_zipapp(target: str | os.PathLike[str]) -> Path:
    """Write the host's half to ``target``, executable and whole or not at all, and return where it is.

    Args:
        target: the file to write; its folder is made if need be.
    """
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(zipapp_bytes())
        fresh.chmod(0o755)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return path


def zipapp_bytes(*, reading: bool = False) -> bytes:
    """Return the archive: the same bytes for the same installed packages.

    Args:
        reading: leave out what facts and check never import; a fifth less to encrypt for each host of a fleet.
    """
    members = dict(_host_files())
    if reading:
        members = {name: text for name, text in members.items() if not name.startswith(_WRITING)}
    else:
        members.update(_pyudev_files())
    members["__main__.py"] = _MAIN
    buffer = io.BytesIO()
    buffer.write(_SHEBANG)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system = 3  # Unix, whatever builds it
            info.external_attr = _MODE
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, members[name])
    return buffer.getvalue()


def _host_files() -> Iterator[tuple[str, bytes]]:
    """Every file of gpuctl_host, data files too, without what Python or an editor leaves there."""
    spec = importlib.util.find_spec("gpuctl_host")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("gpuctl_host is not installed")
    root = Path(next(iter(spec.submodule_search_locations)))
    for path in root.rglob("*"):
        inside = path.relative_to(root)
        hidden = any(part.startswith((".", "__pycache__")) for part in inside.parts)
        if path.is_file() and path.suffix != ".pyc" and not hidden:
            yield f"gpuctl_host/{inside.as_posix()}", path.read_bytes()


def _pyudev_files() -> Iterator[tuple[str, bytes]]:
    """The installed pyudev, and its licence; nothing if it is not there, which facts then report as unknown."""
    try:
        distribution = importlib.metadata.distribution("pyudev")
    except importlib.metadata.PackageNotFoundError:
        return
    for entry in distribution.files or ():
        name = PurePosixPath(entry)
        content = Path(str(distribution.locate_file(entry)))
        if name.parts[0] == "pyudev" and name.suffix in (".py", ".typed") and name.name not in _LEFT_OUT:
            yield f"{VENDOR}/{name}", content.read_bytes()
        elif name.name == "COPYING":
            yield f"{VENDOR}/pyudev/COPYING", content.read_bytes()
    note = f"pyudev {distribution.version}, unmodified, without its GUI event loops. LGPL-2.1-or-later: see COPYING.\n"
    yield f"{VENDOR}/pyudev/README", note.encode()


if __name__ == "__main__":
    built = build_zipapp(sys.argv[1] if len(sys.argv) > 1 else NAME)
    sys.stdout.write(f"{built} {built.stat().st_size} bytes\n")
