"""Which findings of a host's check ask for something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ESSENTIAL = ("gpu-present", "iommu-enabled", "gpu-iommu-group", "group-viable", "gpu-driver")
"""What has to be known for a host to be ready: the host's half's own list (gpuctl_host.checks.render)."""

# The gravest first. A `skip` here is what has to be known and is not: its host is not ready for that alone.
ORDER = {"error": 0, "fail": 1, "skip": 2, "warn": 3}
VERBS = {"error": "", "fail": "fails", "skip": "cannot be known", "warn": "warns"}


def standing(check: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return what fails or warns, and what has to be known and is not; none where there is no check.

    Args:
        check: gpuctl.host.check/1, or None.
    """
    return [item for item in (check or {}).get("findings", ()) if stands(item)]


def stands(finding: Mapping[str, Any]) -> bool:
    """Say whether a finding asks for something."""
    status = finding["status"]
    return status in ("fail", "warn") or (status == "skip" and finding["id"] in ESSENTIAL)
