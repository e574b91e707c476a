"""The forms of an audit: a document, Nagios' line, a Prometheus textfile."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gpuctl.moves.books.kinds import KINDS

if TYPE_CHECKING:
    from gpuctl.moves.audit.run import Audit
    from gpuctl.moves.model import Finding

_SHOWN = 3
_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def document(audit: Audit, cloud: str) -> dict[str, Any]:
    """Return the audit as `gpuctl.instance.audit/1`."""
    counts = audit.counts
    return {
        "schema": "gpuctl.instance.audit/1",
        "cloud": cloud,
        "collected_at": audit.when.isoformat(timespec="seconds"),
        "servers": audit.servers,
        "hosts": audit.hosts,
        "hosts_seen": audit.hosts_seen,
        "counts": {status: counts[status] for status in ("fail", "warn", "skip")},
        "findings": [{**asdict(one), "name": audit.names.get(one.subject)} for one in audit.findings],
    }


def nagios(audit: Audit, *, strict: bool = False) -> tuple[str, int]:
    """Return (line, exit code) after the Monitoring Plugins' guidelines: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

    What was not asked for, and a host out of reach, are no reason for a warning; a view that failed is UNKNOWN.
    """
    fails = [one for one in audit.findings if one.status == "fail" or (strict and one.status == "warn")]
    warns = [one for one in audit.findings if one.status == "warn"]
    if audit.blind and not fails:
        return nagios_unknown("; ".join(f"{one.view}: {one.why}" for one in audit.blind))
    code, about = (2, fails) if fails else (1, warns) if warns else (0, [])
    said = "; ".join(_short(audit, one) for one in about[:_SHOWN])
    said = said or f"{audit.servers} GPU servers, nothing left behind"
    more = f"; and {len(about) - _SHOWN} more" if len(about) > _SHOWN else ""
    first = next((one.fix for one in about if one.fix), "")
    counts = audit.counts
    numbers = " ".join(f"{status}={counts[status]}" for status in ("fail", "warn", "skip"))
    return _line(code, f"{said}{more}{f'; do: {first}' if first else ''}", f"{numbers} servers={audit.servers}"), code


def nagios_unknown(why: str) -> tuple[str, int]:
    """Return (line, 3) for an audit that could not be made."""
    return _line(3, why, "fail=0 warn=0 skip=1"), 3


def _line(code: int, text: str, numbers: str) -> str:
    # A bar parts the text from the performance data, and a line end from the long text: neither may stand in it.
    return f"GPUCTL {_WORDS[code]} - {' '.join(text.replace('|', '/').split())} | {numbers}"


def _short(audit: Audit, one: Finding) -> str:
    return f"{audit.names.get(one.subject, one.subject)} {one.id}: {one.title}"


def prometheus(audit: Audit, cloud: str) -> str:
    """Return the textfile: every id with its count, 0 too, so that an alert has something to compare with."""
    counts = Counter((one.id, one.status) for one in audit.findings)
    where = f'cloud="{_escaped(cloud)}"'
    findings = [
        f'gpuctl_audit_findings{{{where},id="{name}",status="{status}"}} {counts[name, status]}'
        for name in KINDS
        for status in KINDS[name].statuses
    ]
    return "".join(
        f"# HELP {name} {text}\n# TYPE {name} gauge\n" + "".join(f"{line}\n" for line in lines)
        for name, text, lines in (
            ("gpuctl_audit_findings", "Findings of gpuctl instance audit, by id and status.", findings),
            ("gpuctl_audit_servers", "GPU servers looked at.", [f"gpuctl_audit_servers{{{where}}} {audit.servers}"]),
            ("gpuctl_audit_hosts", "Compute hosts meant.", [f"gpuctl_audit_hosts{{{where}}} {audit.hosts}"]),
            (
                "gpuctl_audit_hosts_seen",
                "Compute hosts that were looked at over SSH.",
                [f"gpuctl_audit_hosts_seen{{{where}}} {audit.hosts_seen}"],
            ),
            (
                "gpuctl_audit_views_failed",
                "Placement and databases that were asked for and could not be read.",
                [f"gpuctl_audit_views_failed{{{where}}} {len(audit.blind)}"],
            ),
            (
                "gpuctl_audit_last_run_timestamp_seconds",
                "When the cloud was last read.",
                [f"gpuctl_audit_last_run_timestamp_seconds{{{where}}} {audit.when.timestamp():.0f}"],
            ),
        )
    )


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
