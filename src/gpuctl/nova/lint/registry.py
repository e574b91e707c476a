"""Every check there is, in the order in which a person wants to read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl.nova.lint.answer import FAIL, PASS, SKIP, WARN, Answer, Check
from gpuctl.nova.lint.checks import addresses, aliases, filters, hardware, options, placement, specs, together
from gpuctl.nova.lint.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = "gpuctl.nova.check/1"
_MODULES = (options, specs, addresses, aliases, together, filters, placement, hardware)
CHECKS: tuple[Check, ...] = tuple(check for module in _MODULES for check in module.CHECKS)
Finding = dict[str, str]


def run_checks(view: View) -> tuple[Finding, ...]:
    """Return every check's findings, passes among them; a check that breaks becomes a warning, the rest still run."""
    return tuple(finding for check in CHECKS for finding in _ask(check, view))


def _ask(check: Check, view: View) -> Iterator[Finding]:
    said = False
    seen = set()
    try:
        for answer in check.run(view):
            said = True
            # What stands in a file that several services read is said once.
            key = (answer.status, answer.title, answer.evidence)
            if key not in seen:
                seen.add(key)
                yield _finding(check, answer)
        if not said:
            yield _finding(check, _silent(check, view))
    except Exception as error:  # noqa: BLE001 - whatever it is, the others still run
        reason = f"the check itself failed: {type(error).__name__}: {error}"
        fix = "report this as a defect of gpuctl, with the configuration"
        yield _finding(check, Answer(WARN, "nova", "this question could not be answered", reason, fix))


def _silent(check: Check, view: View) -> Answer:
    """A check that said nothing: a pass, or a skip where it had nothing to go by."""
    if view.release is None and "without --release" in check.answers:
        return Answer(SKIP, "nova", check.title, "depends on the release, which was not given", "give --release")
    if view.hosts is None and check.answers.startswith("With --facts"):
        return Answer(
            SKIP, "nova", check.title, "no --facts", "give `gpuctl host facts -f json` of the hosts with --facts"
        )
    files = dict.fromkeys(file for service in view.services for file in service.files)
    return Answer(PASS, "nova", check.title, "read " + ", ".join(files))


def _finding(check: Check, answer: Answer) -> Finding:
    return {
        "id": check.id,
        "status": answer.status,
        "subject": answer.subject,
        "title": answer.title,
        "evidence": answer.evidence,
        "fix": answer.fix,
        "doc": check.doc,
    }


def check_document(view: View, notes: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return `nova check -f json`."""
    findings = run_checks(view)
    return {
        "schema": SCHEMA,
        "release": str(view.release.number) if view.release else None,
        "ready": not any(finding["status"] == FAIL for finding in findings),
        "services": [{"service": service.label, "files": list(service.files)} for service in view.services],
        "hosts": None if view.hosts is None else [host.name for host in view.hosts],
        "notes": list(notes),
        "findings": list(findings),
    }
