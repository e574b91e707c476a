"""Options of every command that reads the books: Nova's database, the hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gpuctl.cli.options import F
    from gpuctl.moves.books import HostLook, NovaDatabase

INSTANCES = "/var/lib/nova/instances"


def nova_db(function: F) -> F:
    """Add --nova-db; the command gets ``nova_db``, for ``database``."""
    return click.option(
        "--nova-db",
        "nova_db",
        multiple=True,
        envvar="GPUCTL_NOVA_DB",
        metavar="URL|@FILE",
        help="Nova's database, read only: a URL as in nova.conf, or @FILE with it; one a cell. GPUCTL_NOVA_DB.",
    )(function)


def hosts(function: F) -> F:
    """Add --ssh/--no-hosts and --instances-path; the command gets ``ssh`` and ``instances_path``, for ``link``."""
    function = click.option(
        "--instances-path", default=INSTANCES, show_default=True, metavar="DIR", help="nova.conf's, on the hosts."
    )(function)
    return click.option(
        "--ssh/--no-hosts",
        "ssh",
        default=False,
        show_default=True,
        help="Look at the hosts over SSH too: domains, folders, drivers.",
    )(function)


def audit_interval(function: F) -> F:
    """Add --audit-interval; the command gets ``audit_interval``, for Options."""
    return click.option(
        "--audit-interval",
        type=click.FloatRange(1),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="nova.conf's update_resources_interval: what waits for an audit of nova-compute waits up to twice that.",
    )(function)


def database(said: tuple[str, ...]) -> NovaDatabase | None:
    """Return the databases that --nova-db names; None without it.

    Raises:
        BadDatabaseUrl: it is none.
    """
    from gpuctl.moves.books import NovaDatabase

    return NovaDatabase.of(said) if said else None


def link(*, ssh: bool, instances_path: str = INSTANCES) -> HostLook | None:
    """Return the way to the hosts; None where none is wanted."""
    return way(instances_path) if ssh else None


def way(instances_path: str = INSTANCES) -> HostLook:
    """Return the way to the hosts: over SSH, or the ``host_look`` that an embedder gave."""
    from gpuctl.moves.books.host_link import SshLook

    given: HostLook | None = (click.get_current_context().find_root().obj or {}).get("host_look")
    return given or SshLook(instances_path)
