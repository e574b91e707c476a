"""facts, check and capture: they only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl_host.errors import UsageError
from gpuctl_host.facts.reader import read_facts

if TYPE_CHECKING:
    from gpuctl_host.entry import Answer, Emit
    from gpuctl_host.host import Host


def answer(command: str, host: Host, vendors: tuple[str, ...], request: dict[str, Any], _emit: Emit) -> Answer:
    """Answer one reading command."""
    if command == "capture":
        return _capture(host, request)
    if command == "facts":
        from gpuctl_host.facts.render import facts_document

        return facts_document(read_facts(host, vendors)), 0
    from gpuctl_host.checks.registry import run_checks
    from gpuctl_host.checks.render import check_document

    facts, strict = read_facts(host, vendors), request.get("strict") is True
    findings = run_checks(facts)
    if request.get("nagios") is True:
        from gpuctl_host.checks.nagios import nagios

        line, code = nagios(findings, strict=strict)
        return {"line": line}, code
    document = check_document(facts, findings, strict=strict)
    return document, 0 if document["ready"] else 1


def _capture(host: Host, request: dict[str, Any]) -> Answer:
    from gpuctl_host.facts.capture import write_capture

    file = request.get("file")
    if not file:
        raise UsageError("no file to write the capture to", resolution="gpuctl host capture FILE.tar.gz")
    return write_capture(host, file, keep_private=request.get("private") is True), 0
