"""`gpuctl flavor ...`: GPU flavors of a cloud."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli import flavor_hosts, options
from gpuctl.cli.asking import agree
from gpuctl.cli.cloud_options import cloud, connected, tells, yes
from gpuctl.cli.failure import Failure
from gpuctl.cli.host import verbose
from gpuctl.cli.out import emit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl.cloud import Cloud
    from gpuctl.flavors.diff import Step
    from gpuctl.flavors.model import Entry

CATALOGUE = click.Path(exists=True, dir_okay=False, path_type=Path)
WINDOW = click.option(
    "--accept-public-window",
    "window",
    is_flag=True,
    help="Make a public flavor with GPUs, though for a moment it can be booted without them.",
)
REPLACE = click.option(
    "--replace", "replaces", is_flag=True, help="Delete and make anew what Nova cannot change; id and access are kept."
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Show the difference, change nothing.")


@click.group(name="flavor", context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """GPU flavors: catalogues applied to a cloud, shown, planned from hosts, proven.

    Example: gpuctl flavor apply gpus.yaml --dry-run
    """


@group.command()
@options.common
@click.argument("name")
@click.option("--gpus", "count", type=click.IntRange(0, 64), required=True, help="How many GPUs.")
@click.option("--alias", default=None, help="Their alias in nova.conf; nvidia by default.")
@click.option(
    "--model", default=None, help="Their model in place of the alias: 10de:2330, or a name that gpuctl knows."
)
@click.option("--vcpus", type=click.IntRange(1), required=True, help="The guest's CPUs.")
@click.option("--ram", required=True, metavar="SIZE", help="MiB, or with a unit: 64GiB.")
@click.option("--disk", type=click.IntRange(0), default=0, show_default=True, help="GiB; 0: as large as the image.")
@click.option("--ephemeral", type=click.IntRange(0), default=0, help="GiB.")
@click.option("--swap", type=click.IntRange(0), default=0, help="MiB.")
@click.option("--id", "flavor_id", default=None, help="The flavor's id; a new one by default.")
@click.option(
    "--hide-kvm/--no-hide-kvm",
    default=None,
    help="Hide KVM from the guest; by default unless the card is known not to need it.",
)
@click.option("--numa-nodes", type=click.IntRange(1, 64), default=None, help="The guest's NUMA nodes.")
@click.option(
    "--gpu-affinity",
    type=click.Choice(["required", "preferred", "legacy", "socket"]),
    default=None,
    help="How near the GPUs have to be to the guest's CPUs.",
)
@click.option(
    "--cpu-policy",
    type=click.Choice(["shared", "dedicated", "mixed"]),
    default=None,
    help="dedicated: each of its CPUs is a host's thread of its own.",
)
@click.option("--page-size", default=None, metavar="SIZE", help="large, 1GB, ...")
@click.option("--address-bits", default=None, metavar="host|N", help="The guest's physical address bits, for big BARs.")
@click.option(
    "--property", "properties", multiple=True, metavar="KEY=VALUE", help="Any other extra spec; may be repeated."
)
@click.option("--project", "projects", multiple=True, metavar="ID|NAME", help="Who may use it; may be repeated.")
@click.option("--public", is_flag=True, help="Everybody may use it.")
@click.option("--description", default=None, help="What it is for; shown with the flavor.")
@click.option("--catalogue", default=None, metavar="NAME", help="The catalogue that owns it.")
@WINDOW
@REPLACE
@DRY_RUN
@yes
@cloud
@options.form()
@click.pass_context
@tells
def create(
    ctx: click.Context,
    /,
    name: str,
    form: str,
    os_cloud: str | None,
    region: str | None,
    **said: Any,  # noqa: ANN401 - click's
) -> int:
    """Make one flavor. If it is there already and is the same, nothing is changed.

    It is private until its extra specs were read back; then it is opened to the projects named.

    Example: gpuctl flavor create gpu.h100.1 --gpus 1 --alias h100 --vcpus 24 --ram 240GiB --disk 200
    """
    from gpuctl.cli.flavor_create import entry

    made = entry(name, said)
    return _apply(ctx, (made,), form, os_cloud, region, prune=False, said=said, fresh=True)


@group.command()
@options.common
@click.argument("catalogues", nargs=-1, required=True, type=CATALOGUE, metavar="CATALOGUE...")
@click.option("--prune", is_flag=True, help="Delete what these catalogues own and no longer have.")
@REPLACE
@WINDOW
@DRY_RUN
@yes
@cloud
@options.form()
@click.pass_context
@tells
def apply(
    ctx: click.Context,
    /,
    catalogues: tuple[Path, ...],
    form: str,
    os_cloud: str | None,
    region: str | None,
    *,
    prune: bool,
    **said: bool,
) -> int:
    """Make the cloud's flavors equal to the catalogues': create, repair extra specs and access, delete with --prune.

    Exit code 0: the cloud equals the catalogues, read back; 5: some flavors failed or need --replace; 1: all did.

    Example: gpuctl flavor apply gpus.yaml --dry-run
    """
    from gpuctl.flavors.catalogue import load

    return _apply(ctx, load(catalogues), form, os_cloud, region, prune=prune, said=said, files=catalogues)


def _apply(
    ctx: click.Context,
    entries: Sequence[Entry],
    form: str,
    os_cloud: str | None,
    region: str | None,
    *,
    prune: bool,
    said: dict[str, Any],
    files: Sequence[Path] = (),
    fresh: bool = False,
) -> int:
    """Plan, show, ask, do, show what became of it; return the exit code."""
    from gpuctl.flavors.prepare import prepare, refuse_other
    from gpuctl.flavors.report import exit_code, plan_document, result_document
    from gpuctl.flavors.sync import Sync
    from gpuctl.output.flavor_tables import apply_table
    from gpuctl.output.progress import Progress

    found, api = connected(os_cloud, region)
    owned = _owned(entries, files) if prune else ()
    steps = prepare(api, entries, lambda: found.service("identity"), prune=owned, window=said["window"])
    if fresh and not said["replaces"]:
        refuse_other(steps)
    plan = plan_document(steps)
    if said["dry_run"]:
        emit(plan, form, apply_table(plan, verbose=verbose(ctx)))
        return 0
    if _asks(steps, replaces=said["replaces"]) and not said["yes"]:
        click.echo(apply_table(plan, verbose=verbose(ctx)), nl=False, err=True)
        agree("Do it?", f"{sum(step.action != 'none' for step in steps)} flavors to change, and no terminal to ask on")
    with Progress() as progress:
        sync = Sync(
            api,
            may_replace=said["replaces"],
            told=lambda text, done, total: progress.show({"text": text, "done": done, "total": total}),
        )
        results = sync.run(steps)
    document = result_document(results)
    emit(document, form, apply_table(document, verbose=verbose(ctx)))
    _count(ctx, found)
    return exit_code(results)


def _asks(steps: Sequence[Step], *, replaces: bool) -> bool:
    """Say whether anything would be changed."""
    return any(
        step.action in {"create", "repair", "prune"}
        or (step.action == "replace" and (replaces or len(step.fixed) < len(step.differences)))
        for step in steps
    )


def _owned(entries: Sequence[Entry], files: Sequence[Path]) -> tuple[str, ...]:
    """Return the names of the catalogues whose flavors may be pruned; an empty catalogue has its name too."""
    from gpuctl.flavors.catalogue import owner

    names = {*(entry.catalogue for entry in entries), *(owner(file) for file in files)}
    if None in names:
        raise Failure(
            "--prune, but a catalogue without a name owns nothing",
            resolution="say `catalogue: NAME` at the top of the file, and apply it once",
            exit_code=2,
        )
    return tuple(sorted(name for name in names if name))


def _count(ctx: click.Context, found: Cloud) -> None:
    """With -v, say how many requests it took."""
    if verbose(ctx):
        click.echo(f"{found.service('compute').asked} requests to Nova", err=True)


@group.command(name="list")
@options.common
@click.option("--all", "everything", is_flag=True, help="Flavors without GPUs too.")
@cloud
@options.form()
@click.pass_context
@tells
def list_(ctx: click.Context, form: str, os_cloud: str | None, region: str | None, *, everything: bool) -> int:
    """List the cloud's GPU flavors.

    Example: gpuctl flavor list -f json
    """
    from gpuctl.flavors.report import list_document
    from gpuctl.output.flavor_tables import list_table

    found, api = connected(os_cloud, region)
    document = list_document(
        sorted((one for one in api.every() if everything or one.gpu or one.owner), key=lambda one: one.name)
    )
    emit(document, form, list_table(document))
    _count(ctx, found)
    return 0


@group.command()
@options.common
@click.argument("name")
@cloud
@options.form()
@tells
def show(name: str, form: str, os_cloud: str | None, region: str | None) -> int:
    """Show one flavor, by its name or id: sizes, extra specs, who may use it.

    Example: gpuctl flavor show gpu.h100.1
    """
    from gpuctl.flavors.lookup import named, with_access
    from gpuctl.flavors.report import standing_row
    from gpuctl.output.flavor_tables import show_table

    _, api = connected(os_cloud, region)
    (flavor,) = named(api.every(), (name,))
    (flavor,) = with_access(api, (flavor,))
    document = {"schema": "gpuctl.flavor.show/1", **standing_row(flavor)}
    emit(document, form, show_table(document))
    return 0


@group.command()
@options.common
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Flavors without GPUs too.")
@click.option("--catalogue", default=None, metavar="NAME", help="What this catalogue owns, and no other.")
@cloud
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="How to print the catalogue.",
)
@tells
def export(
    names: tuple[str, ...],
    form: str,
    os_cloud: str | None,
    region: str | None,
    catalogue: str | None,
    *,
    everything: bool,
) -> int:
    """Write the cloud's flavors as a catalogue, which `gpuctl flavor apply` takes; applying it changes nothing.

    Example: gpuctl flavor export > gpus.yaml
    """
    from gpuctl.flavors.export import export as exported
    from gpuctl.flavors.lookup import named, with_access

    _, api = connected(os_cloud, region)
    chosen = [one for one in api.every() if names or everything or catalogue or one.gpu or one.owner]
    if catalogue:
        chosen = [one for one in chosen if one.owner == catalogue]
    if names:
        chosen = named(chosen, names)
    document, left_out = exported(with_access(api, chosen), api.newest)
    emit(document, form, "")
    for line in left_out:
        click.echo(f"gpuctl: left out: {line}", err=True)
    return 5 if left_out else 0


flavor_hosts.add_to(group)
