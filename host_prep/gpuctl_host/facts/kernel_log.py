"""The kernel's log, without time stamps: something to show, never the proof of a state."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from gpuctl_host.errors import OutsideRoot

if TYPE_CHECKING:
    from gpuctl_host.host import Host

_LINES_MAX = 40_000
_BYTES_MAX = 8 << 20
# "<6>[    0.123456][    T1] text", and syslog's or journalctl's own start before it; dmesg's other forms: -d (with the
# time since the line before), -e ("[Oct15 16:04]", then "[  +0.000003]") and -T ("[Wed Oct 15 16:04:04 2025]")
_STAMP = re.compile(
    r"^(?:(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}(?:\.\d{1,9})?|\d{4}-\d\d-\d\dT\S{1,40}) \S{1,255} kernel: )?(?:<\d{1,3}>)?"
    r"(?:\[(?: {0,12}\d+\.\d+(?: <[ \d.]{1,20}>)?| {0,12}[+<] {0,12}\d+\.\d+>?"
    r"|(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} ?[ \d]\d [\d:]{5,8}(?: \d{4})?)\] ?)?(?:\[ *[TC]\d+\] ?)?"
)
_JOURNAL = re.compile(r"(?:[\w.-]{1,64} )?kernel: ")  # journalctl -o short-monotonic, behind the stamp
_ISO = re.compile(r"^\d{4}-\d\d-\d\dT[\d:,.+-]+Z? ")  # dmesg --time-format iso


def read_log(host: Host) -> tuple[str, ...] | None:
    """Return the lines of the kernel log, oldest first; None if there is none to be read.

    Live it is what the kernel's own buffer still has (early lines may be lost there); else /var/log/dmesg.
    """
    if host.live:
        lines = _ring(host)
        if lines is not None:
            return lines
    text = host.read("/var/log/dmesg", _BYTES_MAX)
    if text is None:
        return None
    return tuple(strip_stamp(line) for line in text.split("\n")[:_LINES_MAX] if line.strip())


def strip_stamp(line: str) -> str:
    """Return a log line without its time stamps and without what syslog put before it."""
    if line.startswith("["):  # by far the most common form, and thousands of them
        stamp, _, rest = line[1:].partition("]")
        if stamp.strip().replace(".", "", 1).isdigit() and not rest.startswith("["):
            rest = rest.strip()
            found = _JOURNAL.match(rest) if "kernel: " in rest else None
            return rest[found.end() :] if found else rest
    line = _ISO.sub("", line, count=1)
    return line[_matched(line) :].strip()


def _matched(line: str) -> int:
    found = _STAMP.match(line)
    return found.end() if found else 0


def _ring(host: Host) -> tuple[str, ...] | None:
    """Read /dev/kmsg (Documentation/ABI/testing/dev-kmsg): one record a read, EPIPE where the buffer ran over us."""
    try:
        fd = os.open(host.real("/dev/kmsg"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, OutsideRoot):
        return None
    lines: list[str] = []
    try:
        if not stat.S_ISCHR(os.fstat(fd).st_mode):
            return None
        for _ in range(_LINES_MAX):
            try:
                record = os.read(fd, 8192)
            except BrokenPipeError:
                continue
            except OSError:  # EAGAIN: that was the last one
                break
            if not record:
                break
            head, _, text = record.partition(b";")
            # the facility is above the low three bits: 0 is the kernel, the rest user space writing to the same buffer
            if head.split(b",", 1)[0].isdigit() and int(head.split(b",", 1)[0]) < 8:
                lines.append(text.partition(b"\n")[0].decode("utf-8", "replace").strip())
    finally:
        os.close(fd)
    return tuple(lines)
