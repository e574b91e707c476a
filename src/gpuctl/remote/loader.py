"""What is run on a host: one constant command line, to which everything else comes on standard input.

Nothing of a user's is ever part of the command line, and its words survive every login shell (no newline, no `!`,
quotes only around the whole). The input is four parts: a line with the loader's length, the loader, a line of JSON with
the archive's length, and the archive; the last line is the request. The archive lies in a memfd, which is gone with the
process. Where there is none (no /proc, a filter) it lies in a folder of mode 0700, which is removed before the end.
"""

from __future__ import annotations

import functools
import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

TOO_OLD = 97  # this Python is older than 3.9: the next is tried, standard input is still untouched
NONE_FOUND = 98
BECOME = ("", "sudo -n", "doas -n")
PYTHONS = (
    "python3 /usr/libexec/platform-python python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 "
    "/usr/local/bin/python3 /opt/rh/rh-python39/root/usr/bin/python3"
)
# For sh, inside double quotes: so it has no quote, no dollar, no backslash.
_FIRST = (
    f"import sys; sys.version_info < (3,9) and sys.exit({TOO_OLD}); "
    "f = sys.stdin.buffer; exec(f.read(int(f.readline())))"
)
_SHELL = (
    f"for p in {PYTHONS}; do command -v $p >/dev/null 2>&1 || continue; "
    f'$p -I -X utf8 -c "{_FIRST}"; r=$?; [ $r = {TOO_OLD} ] || exit $r; done; exit {NONE_FOUND}'
)
_LOADER = b"""
import json, os, sys

head = json.loads(f.readline())
archive = f.read(head["archive"])
if len(archive) != head["archive"]:
    sys.exit("gpuctl: the connection ended before the archive was whole")
aside = None
try:
    fd = os.memfd_create("gpuctl-host")
    path = "/proc/self/fd/%d" % fd
    with open(path, "wb") as out:
        out.write(archive)
except (AttributeError, OSError):
    import tempfile

    aside = tempfile.mkdtemp(prefix="gpuctl-")
    path = os.path.join(aside, "gpuctl-host.pyz")
    with open(path, "xb") as out:
        out.write(archive)
del archive
sys.argv = ["gpuctl-host.pyz"]
sys.path[0:0] = [path, path + "/gpuctl_host/_vendor"]
try:
    from gpuctl_host.__main__ import main

    sys.stdout.write(chr(10))  # ends a line that a login script may have left open
    code = main()
finally:
    if aside is not None:
        import shutil

        shutil.rmtree(aside, ignore_errors=True)
sys.exit(code)
"""

_BUILDING = threading.Lock()
_PIECE = 32 * 1024 - 64  # bytes; paramiko's share of OpenSSH's largest packet


def command(become: str) -> str:
    """Return the command line that is sent: one of three constants.

    Args:
        become: one of ``BECOME``.
    """
    if become not in BECOME:
        raise ValueError(f"become: {become!r}")
    shell = f"sh -c '{_SHELL}'"
    return f"{become} {shell}" if become else shell


_READING = frozenset({"facts", "check", "version"})


@functools.lru_cache(maxsize=2)
def _carried(*, reading: bool) -> tuple[bytes, ...]:
    """Return the loader and the archive in pieces, the same objects for every host of this process."""
    from gpuctl.zipapp import zipapp_bytes

    archive = zipapp_bytes(reading=reading)
    head = json.dumps({"archive": len(archive)}).encode()
    whole = b"%d\n%s%s\n%s" % (len(_LOADER), _LOADER, head, archive)
    return tuple(whole[start : start + _PIECE] for start in range(0, len(whole), _PIECE))


def pieces(request: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return everything that goes to the command's standard input for one request, in pieces of a packet's size."""
    with _BUILDING:  # the first of many threads builds it, not each of them
        carried = _carried(reading=request.get("command") in _READING)
    return (*carried, json.dumps(request).encode() + b"\n")
