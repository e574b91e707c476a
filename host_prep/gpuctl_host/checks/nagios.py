"""The verdict in Nagios' words: one line, and its own exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks.render import ESSENTIAL
from gpuctl_host.finding import FAIL, SKIP, STATUSES, WARN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl_host.finding import Finding

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_SHOWN = 3
LOOK = "run `gpuctl host check -v` on the host as root, which shows what could not be read"


def nagios(findings: Sequence[Finding], *, strict: bool = False) -> tuple[str, int]:
    """Return (line, exit code) after the Monitoring Plugins' guidelines: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

    The line names the one thing to do about the first of what stands.
    """
    fails = [item for item in findings if item.status == FAIL or (strict and item.status == WARN)]
    warns = [item for item in findings if item.status == WARN and not strict]
    unknown = [item for item in findings if item.status == SKIP and item.id in ESSENTIAL]
    code, about = next(
        ((code, found) for code, found in ((CRITICAL, fails), (UNKNOWN, unknown), (WARNING, warns)) if found), (OK, [])
    )
    said = "; ".join(_short(item) for item in about[:_SHOWN]) or "ready for passthrough"
    more = f"; and {len(about) - _SHOWN} more" if len(about) > _SHOWN else ""
    counts = " ".join(f"{name}={sum(item.status == name for item in findings)}" for name in STATUSES)
    first = next((item.fix for item in about if item.fix), LOOK)
    todo = f"; do: {first}" if about else ""
    # A bar parts the text from the performance data, and a line end from the long text: neither may stand in it.
    text = " ".join((said + more + todo).replace("|", "/").split())
    return f"GPUCTL {_WORDS[code]} - {text} | {counts}", code


def _short(item: Finding) -> str:
    where = "" if item.subject == "host" else f"{item.subject} "
    return f"{where}{item.id}: {item.title}"
