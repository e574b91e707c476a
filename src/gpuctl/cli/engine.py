"""Call the host's half in this process, through the same entry that the zipapp has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl.cli.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    import click


def ask(ctx: click.Context, request: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Return ``(document, exit code)`` of one request to the host's half.

    Raises:
        Failure: the host's half answered with an error.
    """
    from gpuctl.output.progress import Progress
    from gpuctl_host import entry

    options = ctx.find_root().obj or {}
    factory = options.get("host_factory")
    host = factory(request.get("root") or "/") if factory else None
    sent = {key: value for key, value in request.items() if value is not None}
    if options.get("debug"):
        sent["debug"] = True
    events: list[dict[str, Any]] = []
    with Progress() as progress:

        def hear(event: dict[str, Any]) -> None:
            if event["event"] == "progress":
                progress.show(event)
            else:
                events.append(event)

        entry.serve(sent, hear, host=host)
    last = events[-1]
    if last["event"] == "error":
        raise Failure(
            last["brief"], details=last["details"], resolution=last["resolution"], exit_code=last["exit_code"]
        )
    return last["document"], last["exit_code"]
