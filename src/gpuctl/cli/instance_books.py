"""`gpuctl instance list|show|audit`: looking only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli import books_options, options
from gpuctl.cli.cloud_options import cloud
from gpuctl.cli.failure import Failure
from gpuctl.cli.host import verbose
from gpuctl.cli.out import emit, put

if TYPE_CHECKING:
    from gpuctl.cloud import Cloud
    from gpuctl.output.progress import Progress


def add_to(group: click.Group) -> None:
    """The group has these commands."""
    for command in (list_, show, audit):
        group.add_command(command)


@click.command(name="list")
@options.common
@click.option("--host", default=None, metavar="HOST", help="On this compute host, or with a migration from or to it.")
@books_options.nova_db
@books_options.hosts
@cloud
@options.form()
@click.pass_context
def list_(
    ctx: click.Context,
    form: str,
    os_cloud: str | None,
    region: str | None,
    host: str | None,
    nova_db: tuple[str, ...],
    instances_path: str,
    *,
    ssh: bool,
) -> int:
    """List the GPU servers: their cards as each view has them, host, state, last move.

    Example: gpuctl instance list --host gpu17
    """
    from gpuctl.cloud import connect
    from gpuctl.moves.books import read_books
    from gpuctl.moves.books.document import list_document
    from gpuctl.moves.errors import NoSuchHost
    from gpuctl.output.instance_tables import list_table
    from gpuctl.output.progress import Progress

    base, link = books_options.database(nova_db), books_options.link(ssh=ssh, instances_path=instances_path)
    found = connect(os_cloud, region)
    with Progress() as progress:
        books = read_books(found, database=base, hosts=link, deep=True, told=_telling(progress))
    if host is not None and host not in books.computes:
        raise NoSuchHost(f"no compute host {host!r}", resolution="openstack compute service list shows them")
    document = list_document(books, found.name, host=host)
    emit(document, form, list_table(document) if form == "table" else "")
    _count(ctx, found)
    return 0


@click.command()
@options.common
@click.argument("server")
@books_options.nova_db
@books_options.hosts
@cloud
@click.option("--ascii", "plain", is_flag=True, help="Draw with plain characters.")
@options.form()
@click.pass_context
def show(
    ctx: click.Context,
    form: str,
    os_cloud: str | None,
    region: str | None,
    server: str,
    nova_db: tuple[str, ...],
    instances_path: str,
    *,
    ssh: bool,
    plain: bool,
) -> int:
    """Show one server, by id or name, in all views: Nova, Placement, Nova's database, the hosts.

    Example: gpuctl instance show train-7 --ssh --nova-db @/root/nova-db
    """
    from gpuctl.cli.host_show import draws
    from gpuctl.cloud import connect
    from gpuctl.moves.audit import audit as judge
    from gpuctl.moves.books import read_books
    from gpuctl.moves.books.document import show_document
    from gpuctl.moves.nova_api import NovaApi
    from gpuctl.output.host_tree import ASCII, LINES
    from gpuctl.output.instance_tables import show_tree

    base, link = books_options.database(nova_db), books_options.link(ssh=ssh, instances_path=instances_path)
    found = connect(os_cloud, region)
    books = read_books(found, servers=[server], database=base, hosts=link)
    (wanted,) = books.servers
    actions = NovaApi(found.service("compute"), books.newest).actions(wanted)
    findings = [one for one in judge(books).findings if one.subject == wanted]
    document = show_document(books, wanted, found.name, actions, findings)
    emit(document, form, show_tree(document, ASCII if plain or not draws() else LINES) if form == "table" else "")
    _count(ctx, found)
    return 0


@click.command()
@options.common
@click.option(
    "--host", "only", multiple=True, metavar="HOST", help="Only what has to do with this compute host; may be repeated."
)
@books_options.nova_db
@books_options.hosts
@click.option(
    "--nova-conf", "confs", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="A copy of nova-api's nova.conf: servers whose alias it does not have are found; may be repeated.",
)  # fmt: skip
@click.option("--deep", is_flag=True, help="Read every server's allocations, though the totals of its host agree.")
@click.option("--strict", is_flag=True, help="Let a warning fail too.")
@click.option("-o", "--output", "file", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE",
              help="Write the result there, all at once, instead of printing it.")  # fmt: skip
@cloud
@options.form("nagios", "prom")
@click.pass_context
def audit(
    ctx: click.Context,
    /,
    form: str,
    os_cloud: str | None,
    region: str | None,
    file: Path | None,
    **said: Any,  # noqa: ANN401 - click's
) -> int:
    """Look over the whole cloud for what moves leave behind. Reads only.

    Exit code 0: nothing; 1: something failed (a warning too, with --strict); 5: nothing did, but Placement or the
    database could not be read. With -f nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

    Example: gpuctl instance audit -f prom -o /var/lib/node_exporter/gpuctl.prom
    """
    from gpuctl.errors import OperatorError
    from gpuctl.moves.audit.forms import nagios_unknown

    try:
        text, code = _audit(ctx, form, os_cloud, region, said)
    except OperatorError as error:
        if form != "nagios":
            raise
        line, code = nagios_unknown(f"{error.brief} {error.details}")
        text = line + "\n"
    if file is None:
        put(text)
    else:
        write_text(file, click.unstyle(text))
    return code


def _audit(
    ctx: click.Context, form: str, os_cloud: str | None, region: str | None, said: dict[str, Any]
) -> tuple[str, int]:
    """Return (the result as text, the exit code)."""
    from gpuctl.cloud import connect
    from gpuctl.moves.audit import audit_cloud, forms
    from gpuctl.output.documents import render
    from gpuctl.output.instance_tables import audit_table
    from gpuctl.output.progress import Progress

    base = books_options.database(said["nova_db"])
    link = books_options.link(ssh=said["ssh"], instances_path=said["instances_path"])
    found = connect(os_cloud, region)
    with Progress() as progress:
        result = audit_cloud(
            found,
            database=base,
            hosts=link,
            only=said["only"],
            aliases=_aliases(said["confs"]),
            deep=said["deep"],
            told=_telling(progress),
        )
    _count(ctx, found)
    code = result.exit_code(strict=said["strict"])
    if form == "nagios":
        line, code = forms.nagios(result, strict=said["strict"])
        return line + "\n", code
    if form == "prom":
        return forms.prometheus(result, found.name), code
    document = forms.document(result, found.name)
    return audit_table(document, verbose=verbose(ctx)) if form == "table" else render(document, form), code


def write_text(file: Path, text: str) -> None:
    """The file has this text, or what it had before; readable by everybody, as node_exporter has to.

    Raises:
        Failure: it cannot be written.
    """
    from gpuctl.whole_file import write_whole

    try:
        write_whole(file, text.encode())
    except OSError as error:
        said = str(error)
        raise Failure(f"{file} cannot be written", details=said, resolution="name another FILE", exit_code=2) from error


def _aliases(confs: tuple[Path, ...]) -> frozenset[str] | None:
    """Return the alias names that are in any of these files; None without any."""
    from gpuctl.moves.audit.conf import alias_names

    return alias_names(map(str, confs)) if confs else None


def _telling(progress: Progress) -> Any:  # noqa: ANN401 - read_books' Told
    return lambda text, done, total: progress.show({"text": text, "done": done, "total": total})


def _count(ctx: click.Context, found: Cloud) -> None:
    """With -v, say how many requests it took."""
    if verbose(ctx):
        asked = ", ".join(f"{found.service(kind).asked} to {kind}" for kind in ("compute", "placement"))
        click.echo(f"requests: {asked}", err=True)
