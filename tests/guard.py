"""No test may run a command of this machine or touch its /sys unless it says so (`@pytest.mark.machine`).

An audit hook (PEP 578) hears of every child and every open file, whoever starts or opens it, so that a forgotten
`Host("/")` fails here instead of unbinding a device on a developer's machine.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

# What is no command of the machine: a Python or a shell that runs code of ours, and tools that only turn bytes.
_INTERPRETERS = re.compile(
    r"(python[\d.]*|pypy[\d.]*|sh|dash|bash|busybox|gpuctl|git|env|cpio|gzip|zstd|xz|tar|cat|true|sleep)"
)
_KERNEL = (
    "/sys/bus/",
    "/sys/devices/",
    "/sys/kernel/iommu_groups",
    "/sys/class/iommu",
    "/sys/module/",
    "/sys/firmware/",
)
_MACHINE = (
    "/sys/",
    "/proc/sys/",
    "/etc/",
    "/boot/",
    "/lib/modules/",
    "/usr/lib/",
    "/var/lib/gpuctl",
    "/var/log/gpuctl",
    "/run/gpuctl",
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class MachineTouched(BaseException):
    """A test reached for the machine; not an Exception, so that no `except` of the code under test hides it."""


class Guard:
    """Hears audit events while ``watching``; objects by MachineTouched."""

    def __init__(self, root: Path) -> None:
        self.watching = False
        # The environment, never what lies below it: a distribution's own Python has /usr as its prefix.
        environment = [sys.prefix + "/"] if sys.prefix != sys.base_prefix else []
        self.own = (str(root) + "/", tempfile.gettempdir() + "/", *environment)

    def hear(self, event: str, args: tuple[object, ...]) -> None:
        """The audit hook: quick where nothing is at stake, for it hears of every import too."""
        if not self.watching:
            return
        if event == "open":
            self._opened(args)
        elif event == "subprocess.Popen":
            self._started(args[0])
        elif event in ("os.posix_spawn", "os.exec"):
            self._started(args[0])
        elif event == "os.system":
            raise MachineTouched(f"os.system({args[0]!r}): no test may start a shell's line")
        elif event in ("os.listdir", "os.scandir") and str(args[0]).startswith(_KERNEL):
            raise MachineTouched(f"this machine's {args[0]} was listed; mark the test `machine` if that is meant")

    def _opened(self, args: tuple[object, ...]) -> None:
        path, _, flags = args
        if not isinstance(path, (str, bytes)):
            return
        name = os.fsdecode(path)
        if not name.startswith("/") or name.startswith(self.own):
            return
        writing = isinstance(flags, int) and flags & _WRITING
        if name.startswith(_KERNEL) or (writing and name.startswith(_MACHINE)):
            how = "written" if writing else "read"
            raise MachineTouched(f"this machine's {name} was {how}; mark the test `machine` if that is meant")

    def _started(self, executable: object) -> None:
        name = os.fsdecode(executable) if isinstance(executable, (str, bytes, os.PathLike)) else ""
        if not name.startswith(self.own) and not _INTERPRETERS.fullmatch(os.path.basename(name)):
            raise MachineTouched(f"a command of this machine was run: {name}; mark the test `machine` if that is meant")
