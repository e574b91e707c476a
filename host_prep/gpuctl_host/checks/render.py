"""The findings as the contract's document, with the verdict on the host and on each GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl_host.data import plain
from gpuctl_host.finding import FAIL, SKIP, WARN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl_host.facts.model import Facts, Gpu
    from gpuctl_host.finding import Finding

SCHEMA = "gpuctl.host.check/1"

# Not knowing one of these is not knowing whether a guest could have the card: unknown is never OK (DESIGN point 4).
ESSENTIAL = ("gpu-present", "iommu-enabled", "gpu-iommu-group", "group-viable", "gpu-driver")


def check_document(facts: Facts, findings: Sequence[Finding], *, strict: bool = False) -> dict[str, Any]:
    """Return `host check -f json`.

    Args:
        facts: what was judged.
        findings: what run_checks said of them.
        strict: whether a warning counts as a failure; the findings keep their status.
    """
    return {
        "schema": SCHEMA,
        "host": facts.host,
        "ready": is_ready(findings, strict=strict),
        "gpus": [_verdict(gpu, findings, strict=strict) for gpu in facts.gpus],
        "findings": plain(tuple(findings)),
    }


def is_ready(findings: Sequence[Finding], *, strict: bool = False) -> bool:
    """Say whether the host is ready: no failure, and nothing essential unknown."""
    return not any(_stands(finding, strict=strict) or _unknown(finding) for finding in findings)


def _stands(finding: Finding, *, strict: bool) -> bool:
    return finding.status == FAIL or (strict and finding.status == WARN)


def _unknown(finding: Finding) -> bool:
    return finding.status == SKIP and finding.id in ESSENTIAL


def _verdict(gpu: Gpu, findings: Sequence[Finding], *, strict: bool) -> dict[str, Any]:
    """One GPU: blocked by what is said of it, of its functions, and of the whole host."""
    about = {"host", *(member.address for member in gpu.members)}
    mine = [finding for finding in findings if finding.subject in about]
    blockers = list(dict.fromkeys(finding.id for finding in mine if _stands(finding, strict=strict)))
    unknown = any(_unknown(finding) for finding in mine)
    return {"address": gpu.address, "name": gpu.name, "ready": not blockers and not unknown, "blockers": blockers}
