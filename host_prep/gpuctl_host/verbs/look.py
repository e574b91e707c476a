"""facts, check and capture: they only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl_host.errors import UsageError
from gpuctl_host.facts.reader import read_facts
from gpuctl_host.facts.record import CARDS

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
    from gpuctl_host.checks.render import check_document, is_ready

    # What a later kernel's image lacks is only seen inside it: seconds, and only where something was prepared.
    facts = read_facts(host, vendors, deep=host.exists(CARDS))
    strict = request.get("strict") is True
    findings = run_checks(facts)
    if request.get("prometheus") is True:
        from gpuctl_host.checks.prometheus import prometheus

        text = prometheus(facts, findings, at=host.now().timestamp(), strict=strict)
        return {"text": text}, 0 if is_ready(findings, strict=strict) else 1
    if request.get("nagios") is True:
        from gpuctl_host.checks.nagios import nagios

        line, code = nagios(findings, strict=strict)
        return {"line": line}, code
    document = check_document(facts, findings, strict=strict)
    if request.get("facts") is True:
        from gpuctl_host.facts.render import facts_document

        document["facts"] = facts_document(facts)
    return document, 0 if document["ready"] else 1


def _capture(host: Host, request: dict[str, Any]) -> Answer:
    from gpuctl_host.facts.capture import write_capture

    file = request.get("file")
    if not file:
        raise UsageError("no file to write the capture to", resolution="gpuctl host capture FILE.tar.gz")
    return write_capture(host, file, keep_private=request.get("private") is True), 0
