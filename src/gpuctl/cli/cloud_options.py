"""What every command that talks to a cloud shares: which cloud, errors as messages, and being asked first."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gpuctl.cli.failure import Failure

if TYPE_CHECKING:
    from gpuctl.cloud import Cloud
    from gpuctl.flavors.api import FlavorApi

F = TypeVar("F", bound=Callable[..., Any])


def cloud(function: F) -> F:
    """Add --os-cloud and --os-region-name; the command gets ``os_cloud`` and ``region``.

    clouds.yaml and the other OS_* variables are read by openstacksdk itself, as openstackclient reads them.
    """
    function = click.option(
        "--os-region-name", "region", metavar="NAME", default=None, help="The region; OS_REGION_NAME."
    )(function)
    return click.option(
        "--os-cloud", metavar="NAME", default=None, help="The cloud of clouds.yaml; OS_CLOUD, or OS_* alone."
    )(function)


def yes(function: F) -> F:
    """Add --yes."""
    return click.option("--yes", "-y", is_flag=True, help="Do it without asking.")(function)


@contextmanager
def told() -> Iterator[None]:
    """Turn what goes wrong with clouds and flavors into the message that a person sees."""
    from gpuctl.cloud import CloudError
    from gpuctl.flavors.errors import FlavorError

    try:
        yield
    except (CloudError, FlavorError) as error:
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


def connected(os_cloud: str | None, region: str | None) -> tuple[Cloud, FlavorApi]:
    """Return the cloud and its flavors."""
    from gpuctl.cloud import connect
    from gpuctl.flavors.api import FlavorApi

    found = connect(os_cloud, region)
    return found, FlavorApi.of(found.service("compute"))
