"""`gpuctl instance leftovers`: what moves left on hosts, put into quarantine, deleted there, or brought back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli import books_options, options
from gpuctl.cli.asking import agree
from gpuctl.cli.cloud_options import cloud, yes
from gpuctl.cli.out import emit

if TYPE_CHECKING:
    from gpuctl.moves.recover.clearing import Clearing, Place

DAY_S = 24 * 3600
NOWHERE = "No move of it came from or went to another host: there is nowhere to look.\n"
SEE = "`gpuctl instance leftovers list` to see what is there"
TARGETS = click.argument("targets", nargs=-1, required=True, metavar="HOST|SERVER...")
PATH = click.option(
    "--instances-path",
    default=books_options.INSTANCES,
    show_default=True,
    metavar="DIR",
    help="nova.conf's, on the hosts.",
)


@click.group()
def leftovers() -> None:
    """What moves left on hosts: folders `<uuid>_resize` and domains that are off. The hosts are asked over SSH.

    Example: gpuctl instance leftovers list gpu17
    """


@leftovers.command(name="list")
@options.common
@TARGETS
@PATH
@cloud
@options.form()
def list_(form: str, os_cloud: str | None, region: str | None, targets: tuple[str, ...], instances_path: str) -> int:
    """List what is left on hosts, or of servers: whether it may go, why not, and what is in quarantine.

    Example: gpuctl instance leftovers list gpu17 gpu18
    """
    clearing, places = _open(os_cloud, region, targets, instances_path)
    return _show(clearing, "list", places, lambda place: clearing.plan(place)[2], form)


@leftovers.command()
@options.common
@TARGETS
@PATH
@click.option("--dry-run", is_flag=True, help="Show what would go, change nothing.")
@yes
@cloud
@options.form()
def quarantine(
    form: str,
    os_cloud: str | None,
    region: str | None,
    targets: tuple[str, ...],
    instances_path: str,
    **said: bool,
) -> int:
    """Move what may go into the host's quarantine; nothing is deleted. Exit 3: nothing may go.

    It may go where the server is ACTIVE or SHUTOFF on another host, its guest was seen there, no migration of it is
    open, finished or in error, and the host itself finds nothing that uses it.

    Example: gpuctl instance leftovers quarantine train-7
    """
    from gpuctl.output.recover_tables import leftovers_table

    clearing, places = _open(os_cloud, region, targets, instances_path)
    planned = {place.host: clearing.plan(place) for place in places}
    document = _document(clearing, "plan", [{"host": host, "error": None, **one[2]} for host, one in planned.items()])
    going = sum(one["may_go"] for _, _, plan in planned.values() for one in plan["leftovers"])
    if said["dry_run"] or not going:
        emit(document, form, leftovers_table(document) or NOWHERE)
        return 0 if going or not any(plan["leftovers"] for _, _, plan in planned.values()) else 3
    if not said["yes"]:
        click.echo(leftovers_table(document), nl=False, err=True)
        agree("Put them into quarantine?", f"{going} leftovers, and no terminal to ask on")

    def do(place: Place) -> dict[str, Any]:
        books, _, plan = planned[place.host]
        return clearing.quarantine(place, books, plan)

    return _show(clearing, "quarantine", places, do, form)


@leftovers.command()
@options.common
@TARGETS
@PATH
@yes
@cloud
@options.form()
def restore(
    form: str,
    os_cloud: str | None,
    region: str | None,
    targets: tuple[str, ...],
    instances_path: str,
    **said: bool,
) -> int:
    """Bring what is in quarantine back to its place.

    Example: gpuctl instance leftovers restore train-7
    """
    clearing, places = _open(os_cloud, region, targets, instances_path)
    if not said["yes"]:
        count = _shown(clearing, places)
        if count:
            agree(f"Bring {count} leftovers back?", f"{count} leftovers, and no terminal to ask on", see=SEE)
    return _show(clearing, "restore", places, clearing.restore, form)


@leftovers.command()
@options.common
@TARGETS
@PATH
@click.option(
    "--older-than",
    type=click.IntRange(0),
    default=7,
    show_default=True,
    metavar="DAYS",
    help="Only what has been there for so long.",
)
@yes
@cloud
@options.form()
def purge(
    form: str,
    os_cloud: str | None,
    region: str | None,
    targets: tuple[str, ...],
    instances_path: str,
    older_than: int,
    **said: bool,
) -> int:
    """Delete what has been in quarantine for so many days. It cannot be brought back.

    Example: gpuctl instance leftovers purge gpu17 --older-than 14
    """
    clearing, places = _open(os_cloud, region, targets, instances_path)
    if places and not said["yes"]:
        _shown(clearing, places)
        hosts = ", ".join(place.host for place in places)
        agree(
            f"Delete for good what is older than {older_than} days in the quarantine of {hosts}?",
            f"a deletion on {hosts}, and no terminal to ask on",
            see=SEE,
        )
    return _show(clearing, "purge", places, lambda place: clearing.purge(place, older_than * DAY_S), form)


def _open(
    os_cloud: str | None, region: str | None, targets: tuple[str, ...], instances_path: str
) -> tuple[Clearing, tuple[Place, ...]]:
    from gpuctl.cloud import connect
    from gpuctl.moves.recover.clearing import Clearing

    clearing = Clearing(connect(os_cloud, region), books_options.way(instances_path))
    return clearing, clearing.places(targets)


def _shown(clearing: Clearing, places: tuple[Place, ...]) -> int:
    """Show what is in quarantine and since when, before anything is asked; return how many leftovers that is."""
    from gpuctl.moves.recover.clearing import each
    from gpuctl.output.recover_tables import leftovers_table

    hosts = each(places, lambda place: {"quarantine": clearing.held(place)})
    count = sum(len(one.get("quarantine", ())) for one in hosts)
    if count:
        click.echo(leftovers_table(_document(clearing, "plan", hosts)), nl=False, err=True)
    return count


def _show(clearing: Clearing, phase: str, places: tuple[Place, ...], do: Any, form: str) -> int:  # noqa: ANN401 - Callable[[Place], Document]
    """Print every host's answer and return the exit code."""
    from gpuctl.moves.recover.clearing import each
    from gpuctl.output.recover_tables import leftovers_table

    document = _document(clearing, phase, each(places, do))
    emit(document, form, leftovers_table(document) or NOWHERE)
    codes = [_code(one) for one in document["hosts"]]
    if not any(codes):
        return 0
    if 0 in codes:
        return 5
    return codes[0] if len(set(codes)) == 1 else 1


def _code(answer: dict[str, Any]) -> int:
    """Return what one host's answer would be as an exit code."""
    if answer["error"]:
        return int(answer["error"]["exit_code"])
    return 1 if any(one["state"] == "failed" for one in answer.get("results", ())) else 0


def _document(clearing: Clearing, phase: str, hosts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"schema": "gpuctl.instance.leftovers/1", "cloud": clearing.cloud.name, "phase": phase, "hosts": hosts}
