"""`gpuctl fleet report`: one page that shows it all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuctl.cli import options
from gpuctl.cli.failure import Failure
from gpuctl.cli.out import put

if TYPE_CHECKING:
    from gpuctl.fleet.report.model import Snapshot


@click.command("report")
@options.common
@click.argument("run", required=False)
@click.option("--from", "files", multiple=True, type=click.Path(dir_okay=False), metavar="FILE",
              help="What `host check` and `host facts` print with -f json, instead of a run; repeatable.")  # fmt: skip
@click.option("--before", multiple=True, type=click.Path(dir_okay=False), metavar="FILE",
              help="With --from: the earlier documents to compare with; repeatable.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False), required=True, metavar="FILE", help="The page.")
@click.option("--title", default="GPU hosts", show_default=True, help="The page's heading.")
def command(run: str | None, files: tuple[str, ...], before: tuple[str, ...], output: str, title: str) -> int:
    """Write one self-contained HTML page: hosts by rack and state, cards, findings with their fix, what changed.

    RUN is a saved run of `gpuctl fleet check`; without it the newest is taken, and compared with the one before it.
    The page needs no network and no server: mail it, print it, read it on a phone.

    Example: gpuctl fleet report -o report.html
    """
    from gpuctl.fleet.report.page import render
    from gpuctl_host import __version__

    now, earlier = _snapshots(run, files, before)
    page = render(now, earlier, title=title, made=f"Made by gpuctl {__version__}.")
    _write(Path(output), page)
    put(f"{output}: {len(now.hosts)} hosts, {len(page.encode()) // 1024 + 1} KiB\n")
    return 0


def _snapshots(run: str | None, files: tuple[str, ...], before: tuple[str, ...]) -> tuple[Snapshot, Snapshot | None]:
    if files:
        from gpuctl.fleet.report.reading import read_files

        if run is not None:
            raise click.UsageError("give a RUN, or --from FILE, not both")
        return read_files(files), read_files(before) if before else None
    if before:
        raise click.UsageError("--before goes with --from; a saved run is compared with the one before it")
    from gpuctl.fleet.report.saved import read_saved

    return read_saved(run)


def _write(path: Path, page: str) -> None:
    """The page is at ``path``, whole or not at all."""
    from gpuctl.whole_file import write_whole

    try:
        write_whole(path, page.encode())
    except OSError as error:
        raise Failure(
            f"{path} cannot be written: {error.strerror}", resolution="give -o a file that you may write", exit_code=2
        ) from error
