"""`gpuctl nova ...`: Nova's configuration for GPU hosts, written and judged."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuctl.cli import options
from gpuctl.cli.failure import Failure
from gpuctl.cli.host import verbose
from gpuctl.cli.out import emit, put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuctl.nova.config.wishes import Wishes

_LAYOUTS = (
    *("plain", "kolla-ansible", "openstack-ansible", "openstack-k8s-operators"),
    *("juju", "sunbeam", "openstack-helm", "tripleo"),
)


@click.group(name="nova", context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Configure Nova for GPU hosts, and say what is wrong with a configuration.

    Example: gpuctl nova check /etc/nova/nova.conf --release 33
    """


@contextmanager
def _told() -> Iterator[None]:
    """Make a Problem a Failure, which the command line knows how to say."""
    from gpuctl.nova.problem import Problem

    try:
        yield
    except Problem as problem:
        raise Failure(
            problem.brief, details=problem.details, resolution=problem.resolution, exit_code=problem.exit_code
        ) from problem


def _facts(*, required: bool) -> Callable[[options.F], options.F]:
    return click.option(
        "--facts",
        "facts",
        multiple=True,
        required=required,
        type=click.Path(),
        metavar="FILE...",
        help="What `gpuctl host facts -f json` printed, one file a host.",
    )


def _pairs(words: tuple[str, ...], option: str) -> tuple[str | None, dict[str, str]]:
    """Return the one plain NAME, and vendor:device -> NAME of ``vendor:device=NAME`` words."""
    plain = [word for word in words if "=" not in word]
    if len(plain) > 1 or (plain and len(words) > 1):
        raise Failure(
            f"{option} NAME is for one model, and may be given once",
            resolution=f"name each model: {option} 10de:1b80=NAME",
            exit_code=2,
        )
    return (plain[0] if plain else None), dict(_pair(word) for word in words if "=" in word)


def _pair(word: str) -> tuple[str, str]:
    ids, _, name = word.partition("=")
    return ids.lower(), name


@group.command(cls=options.ManyFacts)
@options.common
@click.option("--release", required=True, metavar="REL", help="33, 2026.1 or newton: what the services run.")
@_facts(required=True)
@click.option(
    "--layout", type=click.Choice(_LAYOUTS), default="plain", show_default=True, help="For which tool the files are."
)
@click.option(
    "--alias", "aliases", multiple=True, metavar="NAME", help="NAME for the one model, or 10de:1b80=NAME for each."
)
@click.option(
    "--gpu", "gpus", multiple=True, metavar="HOST=ADDRESS", help="Of this host, only this card; may be repeated."
)
@click.option("--unprepared", is_flag=True, help="Count cards that are not on vfio-pci yet, too.")
@click.option(
    "--filters", default=None, metavar="A,B,...", help="The scheduler's line as it is today; Nova's default otherwise."
)
@click.option(
    "--placement",
    type=click.Choice(["off", "report", "schedule"]),
    is_flag=False,
    flag_value="schedule",
    default="off",
    show_default=True,
    help="PCI devices in Placement. It cannot be switched off again.",
)
@click.option(
    "--numa-policy",
    type=click.Choice(["legacy", "preferred", "required", "socket"]),
    help="How near the card has to be.",
)
@click.option(
    "--managed", type=click.Choice(["yes", "no"]), help="no: Nova leaves the card on vfio-pci (31 and later)."
)
@click.option(
    "--live-migratable", type=click.Choice(["yes", "no"]), help="Whether the cards can migrate live (31 and later)."
)
@click.option("--one-time-use", is_flag=True, help="Keep a card back once it was used (32 and later; needs Placement).")
@click.option(
    "--resource-class",
    "classes",
    multiple=True,
    metavar="NAME",
    help="In Placement: CUSTOM_..., or 10de:20b0=CUSTOM_...",
)
@click.option("--trait", "traits", multiple=True, metavar="NAME", help="In Placement: CUSTOM_...; may be repeated.")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False),
    default=None,
    metavar="DIR",
    help="Write the files there.",
)
@click.option("--force", is_flag=True, help="Overwrite files that gpuctl did not write.")
@options.form()
def configure(
    release: str,
    facts: tuple[str, ...],
    layout: str,
    aliases: tuple[str, ...],
    gpus: tuple[str, ...],
    filters: str | None,
    placement: str,
    numa_policy: str | None,
    managed: str | None,
    live_migratable: str | None,
    classes: tuple[str, ...],
    traits: tuple[str, ...],
    folder: str | None,
    form: str,
    *,
    unprepared: bool,
    one_time_use: bool,
    force: bool,
) -> int:
    """Write Nova's configuration for these hosts: devices and aliases for computes, aliases for the API, filters.

    Each card's device_type is what its own host says. Nothing is restarted: the services are named.

    Example: gpuctl nova configure --release 2026.1 --facts gpu*.json --alias nvidia -o nova.d
    """
    from gpuctl.nova.config.choice import parse_gpus
    from gpuctl.nova.config.document import configure_document
    from gpuctl.nova.config.layouts import render
    from gpuctl.nova.config.plan import configure as plan
    from gpuctl.nova.config.wishes import Wishes
    from gpuctl.nova.config.write import write_files
    from gpuctl.nova.hosts import read_hosts
    from gpuctl.nova.releases import parse_release
    from gpuctl.output.nova_tables import configure_table, files_text

    alias, by_ids = _pairs(aliases, "--alias")
    resource_class, class_by_ids = _pairs(classes, "--resource-class")
    with _told():
        wishes: Wishes = Wishes(
            alias=alias,
            aliases=by_ids,
            filters=None if filters is None else tuple(word.strip() for word in filters.split(",") if word.strip()),
            placement=placement,
            numa_policy=numa_policy,
            managed=managed,
            live_migratable=live_migratable,
            one_time_use=one_time_use,
            resource_class=resource_class,
            resource_classes=class_by_ids,
            traits=traits,
            gpus=parse_gpus(gpus),
            unprepared=unprepared,
        )
        configuration = plan(read_hosts(facts), parse_release(release), wishes)
        rendered = render(layout, configuration)
        document = configure_document(configuration, layout, rendered)
        changed = None if folder is None else write_files(Path(folder), rendered.files, force=force)
    if form != "table":
        emit(document, form, "")
    elif changed is None or folder is None:
        put(files_text(document))
        click.echo(configure_table(document), nl=False, err=True)
    else:
        put(configure_table(document, folder=folder, changed=changed))
    return 0


@group.command(cls=options.ManyFacts)
@options.common
@click.argument("conf", nargs=-1, required=True, type=click.Path())
@_facts(required=False)
@click.option(
    "--release", default=None, metavar="REL", help="33, 2026.1 or newton; without it, what depends on it is left open."
)
@options.form()
@click.pass_context
def check(ctx: click.Context, conf: tuple[str, ...], facts: tuple[str, ...], release: str | None, form: str) -> int:
    """Say what is wrong with Nova's configuration of PCI devices, shown by file and line, and how to put it right.

    CONF is a file, or a folder of *.conf drop-ins, in the order in which the service reads them. A file called
    nova-compute.conf, compute.HOST.conf, api.conf, scheduler.conf or conductor.conf is that service's own, beside the
    others; for other names say api=FILE or compute:HOST=FILE.

    Exit code 0: nothing fails; 1: something does; 2: a file cannot be read.

    Example: gpuctl nova check /etc/nova/nova.conf /etc/nova/nova.conf.d --release 33 --facts gpu*.json
    """
    from gpuctl.nova.hosts import read_hosts
    from gpuctl.nova.lint.registry import check_document
    from gpuctl.nova.lint.sources import read_services
    from gpuctl.nova.lint.view import View
    from gpuctl.nova.releases import parse_release
    from gpuctl.output.nova_tables import check_table

    with _told():
        services, notes = read_services(conf)
        view = View(services, parse_release(release) if release else None, read_hosts(facts) if facts else None)
        document = check_document(view, notes)
    emit(document, form, check_table(document, verbose=verbose(ctx)) if form == "table" else "")
    return 0 if document["ready"] else 1
