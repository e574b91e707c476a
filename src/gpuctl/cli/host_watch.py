"""`gpuctl host watch ...`: a timer on this host that checks it, for Prometheus and for `systemctl --failed`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from gpuctl.cli import options
from gpuctl.cli.engine import ask


@click.group(name="watch", context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Let a timer check this host every hour, and say what drifted.

    Example: gpuctl host watch install --dry-run
    """


@group.command()
@options.common
@options.root
@options.vendor
@click.option("--textfile-dir", "folder", metavar="DIR", default=None,
              help="node_exporter's textfile folder; by default the usual one, if it is there.")  # fmt: skip
@options.consent
@options.form()
@click.pass_context
def install(
    ctx: click.Context,
    root: str | None,
    vendors: tuple[str, ...],
    folder: str | None,
    form: str,
    *,
    dry_run: bool,
    yes: bool,
) -> int:
    """Install the service, its timer and the one file that it runs, and start the timer.

    All of it is journalled: `gpuctl host watch remove` and `gpuctl host restore` leave nothing of it.

    Example: gpuctl host watch install
    """
    from gpuctl.cli.consent import change
    from gpuctl.zipapp import NAME, build_zipapp

    with TemporaryDirectory(prefix="gpuctl-") as place:
        archive = build_zipapp(Path(place) / NAME)
        request = {"command": "watch", "action": "install", "root": root, "vendors": list(vendors) or None}
        request |= {"folder": folder, "archive": str(archive)}
        return change(ctx, request, form, dry_run=dry_run, yes=yes, reboot=False)


@group.command()
@options.common
@options.root
@options.consent
@options.form()
@click.pass_context
def remove(ctx: click.Context, root: str | None, form: str, *, dry_run: bool, yes: bool) -> int:
    """Take the watch away: service, timer, archive and the last metrics.

    Example: gpuctl host watch remove
    """
    from gpuctl.cli.consent import change

    request = {"command": "watch", "action": "remove", "root": root}
    return change(ctx, request, form, dry_run=dry_run, yes=yes, reboot=False)


@group.command()
@options.common
@options.root
@options.form()
@click.pass_context
def status(ctx: click.Context, root: str | None, form: str) -> int:
    """Say whether this host is watched. Exit code 0: it is; 1: it is not.

    Example: gpuctl host watch status
    """
    from gpuctl.cli.out import emit

    document, code = ask(ctx, {"command": "watch", "action": "status", "root": root})
    emit(document, form, _table(document) if form == "table" else "")
    return code


def _table(document: dict[str, Any]) -> str:
    if not document["installed"]:
        missing = f"; missing: {', '.join(document['missing'])}" if document["missing"] else ""
        return f"This host is not watched{missing}. gpuctl host watch install\n"
    active = {True: "the timer is active", False: "the timer is not active: systemctl start gpuctl-host-check.timer"}
    said = active.get(document["active"], "whether the timer runs is not known here")
    if document["textfile"] is None:
        metrics = "no metrics are written: no textfile folder was found at install"
    elif document["written"] is None:
        metrics = f"{document['textfile']} is not there yet"
    else:
        metrics = f"{document['textfile']} of {datetime.fromtimestamp(document['written'], UTC):%Y-%m-%d %H:%M:%SZ}"
    return f"Watched (run {document['run'] or 'unknown'}): {said}; {metrics}.\n"
