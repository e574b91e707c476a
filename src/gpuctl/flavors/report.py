"""What was done, or is to be done, as the document that -f json prints, and as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl.cloud import NotAuthorised, Unreachable
from gpuctl.flavors.diff import Step
from gpuctl.flavors.model import Standing
from gpuctl.flavors.sync import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

APPLY = "gpuctl.flavor.apply/1"
LIST = "gpuctl.flavor.list/1"
PARTLY, NO_ENTRY = 5, 6


def plan_document(steps: Sequence[Step]) -> dict[str, Any]:
    """Return a plan: nothing of it is done yet."""
    planned = [
        Result(step, "unchanged" if step.action == "none" else "planned", step.standing.id if step.standing else None)
        for step in steps
    ]
    return {**result_document(planned), "dry_run": True}


def result_document(results: Sequence[Result]) -> dict[str, Any]:
    """Return what became of each flavor."""
    return {
        "schema": APPLY,
        "dry_run": False,
        "changed": any(result.state in {"done", "planned"} for result in results),
        "flavors": [_row(result) for result in results],
    }


def _row(result: Result) -> dict[str, Any]:
    step, error = result.step, result.error
    row: dict[str, Any] = {
        "name": step.name,
        "id": result.id,
        "action": step.action,
        "state": result.state,
        "differences": [{"field": one.field, "before": one.before, "after": one.after} for one in step.differences],
        "needs_replacing": list(step.fixed),
        "servers": step.servers,
        "notes": list(step.notes),
        "error": None,
    }
    if error is not None:
        row["error"] = {"brief": error.brief, "details": error.details, "resolution": error.resolution}
    return row


def exit_code(results: Sequence[Result]) -> int:
    """Return 0 if the cloud equals the catalogue, 5 if some of it does, 6 if nobody let us, 1 if nothing does."""
    short = [result for result in results if result.state not in {"done", "unchanged"}]
    if not short:
        return 0
    if any(result.state == "done" for result in results):
        return PARTLY
    if any(isinstance(result.error, (NotAuthorised, Unreachable)) for result in short):
        return NO_ENTRY
    return PARTLY if any(result.state == "unchanged" for result in results) else 1


def standing_row(flavor: Standing) -> dict[str, Any]:
    """Return a flavor of the cloud."""
    return {
        "id": flavor.id,
        "name": flavor.name,
        "vcpus": flavor.vcpus,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "ephemeral": flavor.ephemeral,
        "swap": flavor.swap,
        "public": flavor.public,
        "description": flavor.description,
        "catalogue": flavor.owner,
        "gpu": flavor.gpu,
        "access": None if flavor.access is None else list(flavor.access),
        "extra_specs": dict(sorted(flavor.specs.items())),
    }


def list_document(flavors: Sequence[Standing]) -> dict[str, Any]:
    """Return the flavors of a cloud."""
    return {"schema": LIST, "flavors": [standing_row(flavor) for flavor in flavors]}
