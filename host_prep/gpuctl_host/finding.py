"""A finding: one answer to one question about the host, with what was read and what to do."""

from __future__ import annotations

from gpuctl_host.data import frozen

PASS, WARN, FAIL, SKIP = "pass", "warn", "fail", "skip"
STATUSES = (PASS, WARN, FAIL, SKIP)


@frozen
class Finding:
    """One line of `host check`.

    Attributes:
        id: stable name of the check (CONTRACT: the table of ids).
        status: pass, warn, fail, or skip (it could not be known).
        subject: "host", or the PCI address that it is about.
        title: what is true, in a few words.
        evidence: what was read, and where.
        fix: one thing that a person can do now; empty on a pass.
        doc: the page that explains the check, relative to docs/.
    """

    id: str
    status: str
    subject: str
    title: str
    evidence: str = ""
    fix: str = ""
    doc: str = ""
