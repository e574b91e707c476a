"""One deployment tool a module; each has `render(configuration) -> Rendered`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from gpuctl.nova.config.plan import Configuration

if TYPE_CHECKING:
    from collections.abc import Mapping

LAYOUTS = {
    "plain": "plain",
    "kolla-ansible": "kolla_ansible",
    "openstack-ansible": "openstack_ansible",
    "openstack-k8s-operators": "openstack_k8s_operators",
    "juju": "juju",
    "sunbeam": "sunbeam",
    "openstack-helm": "openstack_helm",
    "tripleo": "tripleo",
}


@dataclass(frozen=True)
class Rendered:
    """A layout's files.

    Attributes:
        files: relative path -> text.
        notes: what a person should know about this tool.
    """

    files: Mapping[str, str]
    notes: tuple[str, ...] = ()


class _Layout(Protocol):
    def render(self, configuration: Configuration) -> Rendered: ...


def render(layout: str, configuration: Configuration) -> Rendered:
    """Return the files of a layout; its name is one of LAYOUTS.

    Raises:
        Problem: the tool cannot say what is asked for.
    """
    module = importlib.import_module(f"{__name__}.{LAYOUTS[layout]}")
    return cast("_Layout", module).render(configuration)
