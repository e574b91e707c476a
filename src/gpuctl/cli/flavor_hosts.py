"""`gpuctl flavor plan` and `gpuctl flavor verify`: flavors beside real hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gpuctl.cli import options
from gpuctl.cli.cloud_options import cloud, connected, tells
from gpuctl.cli.failure import Failure
from gpuctl.cli.out import emit
from gpuctl.cli.sizes import mebibytes


@click.command(cls=options.ManyFacts)
@options.common
@click.option(
    "--facts",
    "facts",
    multiple=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE...",
    help="What `gpuctl host facts -f json` printed, one file a host.",
)
@click.option(
    "--cpus", type=click.IntRange(1), default=None, help="Threads of each host, where its facts do not say it."
)
@click.option("--ram", default=None, metavar="SIZE", help="Memory of each host, where its facts do not say it: 2TiB.")
@click.option(
    "--numa-nodes",
    type=click.IntRange(1, 64),
    default=None,
    help="NUMA nodes of each host; by default what the cards show.",
)
@click.option(
    "--reserve-cpus", type=click.IntRange(0), default=4, show_default=True, help="Threads that stay with the host."
)
@click.option(
    "--reserve-ram", default="8GiB", show_default=True, metavar="SIZE", help="Memory that stays with the host."
)
@click.option(
    "--disk", type=click.IntRange(0), default=100, show_default=True, help="GiB of disk that go with each card."
)
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    metavar="VENDOR:DEVICE=NAME",
    help="What nova.conf calls a model; may be repeated.",
)
@click.option("--name", "prefix", default="gpu.", show_default=True, help="What the flavors' names begin with.")
@click.option("--catalogue", default="planned", show_default=True, help="The catalogue's name.")
@options.form()
@tells
def plan(
    facts: tuple[Path, ...],
    form: str,
    prefix: str,
    catalogue: str,
    disk: int,
    aliases: tuple[str, ...],
    **said: Any,  # noqa: ANN401 - click's
) -> int:
    """Divide hosts into flavors that fill them: no core, memory or NUMA node is left without a card to go with.

    With -f yaml it is a catalogue, for `gpuctl flavor apply`.

    Example: gpuctl flavor plan --facts gpu17.json --cpus 208 --ram 2TiB -f yaml > gpus.yaml
    """
    from gpuctl.flavors import division
    from gpuctl.flavors.hosts import Sizes, read_hosts
    from gpuctl.output.flavor_tables import division_table

    sizes = Sizes(
        said["cpus"],
        mebibytes(said["ram"]),
        said["numa_nodes"],
        said["reserve_cpus"],
        mebibytes(said["reserve_ram"]) or 0,
    )
    hosts = [host for file in facts for host in read_hosts(file, sizes)]
    document = division.catalogue(
        division.divide(hosts), name=catalogue, prefix=prefix, disk=disk, aliases=dict(_alias(one) for one in aliases)
    )
    if form == "yaml":
        emit(document, form, "")
        return 0
    rows = [_host_row(host) for host in hosts]
    emit({"schema": "gpuctl.flavor.plan/1", "hosts": rows, "catalogue": document}, form, division_table(rows, document))
    return 0


def _host_row(host: Any) -> dict[str, Any]:  # noqa: ANN401 - a Host, whose module is heavy
    """Return a host with its share and what is left of it."""
    from gpuctl.flavors.division import left_over, share_of

    share = share_of(host)
    left = left_over(host, share)
    return {
        "host": host.name,
        "gpus": [{"model": model, "by_node": [node.of(model) for node in host.nodes]} for model in host.models],
        "share": {"cpus": share.cpus, "ram": share.ram, "local": share.local},
        "left_over": [{"cpus": cpus, "ram": ram} for cpus, ram in left],
    }


def _alias(text: str) -> tuple[str, str]:
    model, sign, name = text.partition("=")
    if not sign or not name:
        raise Failure(f"--alias {text}: must be VENDOR:DEVICE=NAME", exit_code=2)
    return model.lower(), name


@click.command()
@options.common
@click.argument("name")
@click.option("--image", default=None, metavar="ID", help="What to boot; by default the smallest image.")
@click.option("--network", default="none", show_default=True, metavar="ID|none", help="Its network.")
@click.option("--host", "on_host", default=None, metavar="HOST", help="Boot it there (administrators only).")
@click.option(
    "--libvirt",
    "libvirt_uri",
    default=None,
    metavar="URI",
    help="Look at the domain too: qemu+ssh://root@{host}/system.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    default=600.0,
    show_default=True,
    help="Seconds for the boot, and for the deletion.",
)
@cloud
@options.form()
@click.pass_context
@tells
def verify(ctx: click.Context, /, name: str, form: str, os_cloud: str | None, region: str | None, **said: Any) -> int:  # noqa: ANN401 - click's
    """Boot one small server of a flavor, see whether it got its GPUs, delete it, say how long each step took.

    Exit code 0: it booted and everybody who can count (Nova, Placement, libvirt) counts right; 1: not.

    Example: gpuctl flavor verify gpu.h100.1
    """
    from gpuctl.flavors.domains import reader
    from gpuctl.flavors.errors import FlavorError
    from gpuctl.flavors.lookup import named
    from gpuctl.flavors.verify import Verifier, failure, smallest_image
    from gpuctl.output.flavor_tables import proof_document, proof_table
    from gpuctl.output.progress import Progress

    found, api = connected(os_cloud, region)
    (flavor,) = named(api.every(), (name,))
    if not flavor.gpu:
        raise Failure(f"flavor {name} asks for no GPU: there is nothing to prove", exit_code=2)
    domain = (ctx.find_root().obj or {}).get("domain_reader") or (
        reader(said["libvirt_uri"]) if said["libvirt_uri"] else None
    )
    with Progress() as progress:
        verifier = Verifier(
            api.nova,
            api.newest,
            said["image"] or smallest_image(found.service("image")),
            found.service("placement"),
            None if said["network"] == "none" else said["network"],
            said["on_host"],
            domain,
            said["timeout"],
            lambda text, done, total: progress.show({"text": text, "done": done, "total": total}),
        )
        proof = verifier.prove(flavor)
    error: FlavorError | None = None if proof.good else failure(proof)
    document = proof_document(proof, error)
    emit(document, form, proof_table(document))
    return 0 if proof.good else 1


def add_to(group: click.Group) -> None:
    """Let the group have these commands."""
    group.add_command(plan)
    group.add_command(verify)
