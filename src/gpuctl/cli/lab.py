"""`gpuctl lab ...`: the real Keystone, Placement, Glance and Nova of tests/lab/openstack, for a rehearsal on loopback.

The lab is part of the source tree, not of the wheel: it installs Nova and its like into a cache of its own, which
nobody who only wants the command should have to carry.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click

from gpuctl.cli import options
from gpuctl.cli.failure import Failure

_CANNOT_RUN, _NOT_UP = 77, 3  # tests/lab/openstack/__main__.py


@click.group(name="lab", context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Rehearse on a real Nova on this machine's loopback, without a cloud and without a GPU.

    Example: gpuctl lab up
    """


def state(function: options.F) -> options.F:
    """Add --state."""
    text = "The lab's folder; below ~/.local/state/gpuctl by default."
    return click.option("--state", type=click.Path(file_okay=False), default=None, help=text)(function)


@group.command()
@options.common
@state
def up(state: str | None) -> int:
    """Start the lab, or finish starting it; prints the environment that points a client at it.

    The first time it installs Nova and its like into ~/.cache/gpuctl (a minute or two, 450 MB).

    Example: gpuctl lab up
    """
    return _run("up", state)


@group.command()
@options.common
@state
@click.option("--purge", is_flag=True, help="Remove the lab's folder too.")
def down(state: str | None, *, purge: bool) -> int:
    """Stop every process of the lab.

    Example: gpuctl lab down --purge
    """
    return _run("down", state, *(["--purge"] if purge else []))


@group.command()
@options.common
@state
@options.form()
def status(state: str | None, form: str) -> int:
    """Say which services run; exit code 1 if one does not.

    Example: gpuctl lab status
    """
    if form == "table":
        return _run("status", state)
    from gpuctl.cli.out import emit

    ran = _child("status", state, "--json", output=subprocess.PIPE)
    if ran.returncode in (0, _NOT_UP):
        emit({"schema": "gpuctl.lab.status/1", **json.loads(ran.stdout)}, form, "")
    else:
        click.echo(ran.stdout, nl=False, err=True)  # why it cannot say
    return _code(ran.returncode)


def checkout() -> Path | None:
    """Return the source tree that this gpuctl runs from, or None if it is installed without one."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "tests" / "lab" / "openstack" / "__main__.py").is_file():
            return folder
    return None


def _run(verb: str, state: str | None, *more: str) -> int:
    return _code(_child(verb, state, *more).returncode)


def _child(verb: str, state: str | None, *more: str, output: int | None = None) -> subprocess.CompletedProcess[bytes]:
    folder = checkout()
    if folder is None:
        raise Failure(
            "the lab is not part of an installed gpuctl",
            resolution="clone the source tree, run make bootstrap there, and say .venv/bin/gpuctl lab up",
        )
    where = ["--state", str(Path(state).absolute())] if state else []
    argv = [sys.executable, "-m", "tests.lab.openstack", verb, *where, *more]
    return subprocess.run(argv, cwd=folder, check=False, stdout=output)


def _code(code: int) -> int:
    if code == _CANNOT_RUN:
        raise Failure("the lab cannot run on this machine", resolution="see what it says above")
    return 1 if code == _NOT_UP else code
