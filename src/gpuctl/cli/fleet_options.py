"""What every fleet command shares: which hosts, and how they are reached."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gpuctl.cli.failure import Failure

if TYPE_CHECKING:
    from gpuctl.fleet.runner import Target

F = TypeVar("F", bound=Callable[..., Any])


def hosts(function: F) -> F:
    """Add -i and --limit."""
    function = click.option(
        "-l", "--limit", metavar="PATTERN", default=None, help="Only these: Ansible's patterns, gpu*:!gpu7, @FILE."
    )(function)
    return click.option(
        "-i",
        "--inventory",
        multiple=True,
        metavar="INVENTORY",
        help="An Ansible inventory (file, folder, executable), or HOST1,HOST2, with a comma; may be repeated.",
    )(function)


def reached(function: F) -> F:
    """Add --user, --key, --ssh-config and --forks; the inventory and ~/.ssh/config say the rest."""
    for words, extra in (
        (
            ("--ssh-config",),
            {"metavar": "FILE", "default": "~/.ssh/config", "show_default": True, "help": "none reads none."},
        ),
        (
            ("--key", "keys"),
            {"multiple": True, "metavar": "FILE", "help": "A private key to offer first; may be repeated."},
        ),
        (("-u", "--user"), {"metavar": "NAME", "default": None, "help": "Who logs in, where nothing else says."}),
        (
            ("--forks",),
            {"type": click.IntRange(1, 1000), "default": 50, "show_default": True, "help": "Hosts at once."},
        ),
    ):
        function = click.option(*words, **extra)(function)
    return function


def targets(
    inventory: tuple[str, ...], limit: str | None, *, user: str | None, keys: tuple[str, ...], ssh_config: str
) -> list[Target]:
    """Return the hosts that the command line means.

    Raises:
        Failure: no -i.
    """
    from gpuctl.fleet.ask import targets as chosen
    from gpuctl.fleet.inventory import load
    from gpuctl.remote.endpoint import Settings

    if not inventory:
        raise Failure("which hosts?", resolution="-i INVENTORY, or -i HOST1,HOST2", exit_code=2)
    base = Settings(
        config=None if ssh_config == "none" else Path(ssh_config),
        user=user,
        keys=tuple(Path(key).expanduser() for key in keys),
    )
    return chosen(load(inventory), limit, base)


@contextmanager
def told() -> Iterator[None]:
    """Turn an operator's error into the message that a person sees."""
    from gpuctl.errors import OperatorError

    try:
        yield
    except OperatorError as error:
        raise Failure(
            error.brief, details=error.details, resolution=error.resolution, exit_code=error.exit_code
        ) from error


def tells(function: F) -> F:
    """Let a command's errors be told as ``told`` does."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the command returns
        with told():
            return function(*args, **kwargs)

    return wrapped  # type: ignore[return-value]
