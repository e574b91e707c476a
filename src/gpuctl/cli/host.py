"""`gpuctl host ...`: one host, this one or a tree."""

from __future__ import annotations

import click

from gpuctl.cli import host_show, host_watch, options
from gpuctl.cli.engine import ask
from gpuctl.cli.out import emit, put


@click.group(name="host", context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Check and prepare one GPU host for passthrough, and bring it back.

    Example: gpuctl host check
    """


def verbose(ctx: click.Context) -> bool:
    """Say whether -v was given."""
    return bool((ctx.find_root().obj or {}).get("verbose"))


@group.command()
@options.common
@options.root
@options.vendor
@options.form()
@click.pass_context
def facts(ctx: click.Context, root: str | None, vendors: tuple[str, ...], form: str) -> int:
    """Show what this host is: GPUs, functions, IOMMU groups, drivers, kernel, boot loader.

    Example: gpuctl host facts -f json > $(hostname).json
    """
    document, code = ask(ctx, {"command": "facts", "root": root, "vendors": list(vendors) or None})
    from gpuctl.output.host_tables import facts_table

    emit(document, form, facts_table(document) if form == "table" else "")
    return code


@group.command()
@options.common
@options.root
@options.vendor
@click.option("--strict", is_flag=True, help="Let a warning fail too.")
@options.form("nagios", "prom")
@click.pass_context
def check(ctx: click.Context, root: str | None, vendors: tuple[str, ...], form: str, *, strict: bool) -> int:
    """Say whether this host is ready for passthrough, and if not: why, shown by what, fixed how.

    Shows what fails or warns; -v shows what passed, and what could not be known, as well.

    Exit code 0: ready; 1: not ready. With -f nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
    -f prom prints metrics for node_exporter's textfile collector.

    Example: gpuctl host check --strict
    """
    request = {"command": "check", "root": root, "vendors": list(vendors) or None, "strict": strict}
    shapes = {"nagios": form == "nagios" or None, "prometheus": form == "prom" or None}
    document, code = ask(ctx, {**request, **shapes})
    if form in ("nagios", "prom"):
        put((document["line"] if form == "nagios" else document["text"].rstrip("\n")) + "\n")
        return code
    from gpuctl.output.host_tables import check_table

    emit(document, form, check_table(document, verbose=verbose(ctx)) if form == "table" else "")
    return code


@group.command()
@options.common
@options.root
@options.vendor
@click.option(
    "--gpu",
    "gpus",
    multiple=True,
    metavar="SEL",
    help="0000:42:00.0, 42:00.0, 10de:1b80 or all (default); may be repeated.",
)
@click.option(
    "--audio",
    type=click.Choice(["remove", "bind", "leave"]),
    default="remove",
    show_default=True,
    help="The cards' audio functions: taken off the bus, given to vfio-pci, or left to the host.",
)
@click.option(
    "--nvswitch",
    type=click.Choice(["leave", "guest"]),
    default="leave",
    show_default=True,
    help="NVSwitches stay with the host, or go to vfio-pci with the GPUs.",
)
@click.option("--reboot", is_flag=True, help="Reboot at the end if that is needed.")
@options.consent
@options.form()
@click.pass_context
def prepare(
    ctx: click.Context,
    root: str | None,
    vendors: tuple[str, ...],
    gpus: tuple[str, ...],
    audio: str,
    nvswitch: str,
    form: str,
    *,
    reboot: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    """Make the selected cards ready for guests: IOMMU on, host drivers away, vfio-pci bound by address, audio gone.

    Shows what it will do and asks. Exit code 0: done and read back; 4: done, a reboot is needed before it holds;
    3: refused for safety, nothing touched.

    Example: gpuctl host prepare --dry-run
    """
    from gpuctl.cli.consent import change

    request = {
        "command": "prepare",
        "root": root,
        "vendors": list(vendors) or None,
        "gpus": list(gpus) or None,
        "audio": audio,
        "nvswitch": nvswitch,
    }
    return change(ctx, request, form, dry_run=dry_run, yes=yes, reboot=reboot)


@group.command()
@options.common
@options.root
@click.option("--run", "run_id", metavar="ID", default=None, help="Undo this run alone; by default all of them.")
@options.consent
@options.form()
@click.pass_context
def restore(ctx: click.Context, root: str | None, run_id: str | None, form: str, *, dry_run: bool, yes: bool) -> int:
    """Bring the host back to what it was before, byte for byte.

    Example: gpuctl host restore --dry-run
    """
    from gpuctl.cli.consent import change

    return change(
        ctx, {"command": "restore", "root": root, "run": run_id}, form, dry_run=dry_run, yes=yes, reboot=False
    )


@group.command()
@options.common
@options.root
@click.option("--run", "run_id", metavar="ID", default=None, help="Show what this run changed.")
@options.form()
@click.pass_context
def history(ctx: click.Context, root: str | None, run_id: str | None, form: str) -> int:
    """Show who changed what, when, from which version; one line a run.

    Example: gpuctl host history --run 20261120T185155Z-3f2a
    """
    document, code = ask(ctx, {"command": "history", "root": root, "run": run_id})
    from gpuctl.output.change_tables import history_table

    emit(document, form, history_table(document) if form == "table" else "")
    return code


@group.command()
@options.common
@click.argument("file", type=click.Path(dir_okay=False))
@options.root
@click.option("--keep-private", "private", is_flag=True, help="Keep serials, MACs, UUIDs and host names in.")
@options.form()
@click.pass_context
def capture(ctx: click.Context, file: str, root: str | None, form: str, *, private: bool) -> int:
    """Write everything that facts reads to FILE.tar.gz, as a tree that --root reads anywhere.

    Example: gpuctl host capture gpu17.tar.gz
    """
    from pathlib import Path

    target = str(Path(file).absolute())
    document, code = ask(ctx, {"command": "capture", "file": target, "root": root, "private": private})
    said = "with serials, MACs, UUIDs and names" if document["private"] else "without serials, MACs, UUIDs and names"
    emit(document, form, f"{file}: {document['entries']} files and links, {document['bytes']} bytes, {said}\n")
    return code


group.add_command(host_show.command)
group.add_command(host_watch.group)
