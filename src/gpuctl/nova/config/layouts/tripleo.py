"""TripleO: an environment file for `openstack overcloud deploy -e`.

Read: environment files of deployments in the field, puppet-nova (nova::pci is included by nova::api and, later, by
nova::compute) and tripleo's docs. That NovaSchedulerEnabledFilters replaced NovaSchedulerDefaultFilters with Wallaby
(the parameter's name in Red Hat's 17 documents) is not read in its source.
"""

from __future__ import annotations

from typing import Any

from gpuctl.nova.config.filters import default_note
from gpuctl.nova.config.header import header
from gpuctl.nova.config.layouts import Rendered
from gpuctl.nova.config.plan import Configuration
from gpuctl.nova.config.yaml_text import yaml_text
from gpuctl.nova.problem import Problem

_LAST = 26
_WALLABY, _QUEENS = 23, 17


def render(configuration: Configuration) -> Rendered:
    """Return gpu.yaml; every id in it is quoted, because 0071 unquoted is an octal number.

    Raises:
        Problem: a release after TripleO's last, or hosts of one role that differ.
    """
    if configuration.release.number > _LAST:
        raise Problem(
            f"TripleO does not deploy Nova {configuration.release}",
            details="its last release was Zed (26)",
            resolution="use --layout openstack-k8s-operators, its successor",
        )
    number = configuration.release.number
    aliases = [dict(alias) for alias in configuration.aliases]
    hiera = "nova::pci::aliases" if number >= _QUEENS else "nova::api::pci_alias"
    parameters: dict[str, Any] = {
        "NovaSchedulerEnabledFilters" if number >= _WALLABY else "NovaSchedulerDefaultFilters": list(
            configuration.filters
        ),
        "ControllerExtraConfig": {hiera: aliases},
        "ComputeParameters": {"NovaPCIPassthrough": [dict(spec) for spec in configuration.specs]},
        "ComputeExtraConfig": _compute_extra(configuration, aliases),
    }
    for host, specs in configuration.host_specs.items():
        parameters[_role(host) + "Parameters"] = {"NovaPCIPassthrough": [dict(spec) for spec in specs]}
        parameters[_role(host) + "ExtraConfig"] = _compute_extra(configuration, aliases)
    text = header(
        configuration,
        (
            "openstack overcloud deploy ... -e gpu.yaml; ComputeParameters are those of the role Compute: rename it to "
            "yours."
        ),
        (
            "ExtraConfig is one map a role: merge it with the one that you have. Keep the quotes: 0071 is an octal "
            "number in YAML."
        ),
    ) + yaml_text({"parameter_defaults": parameters})
    return Rendered({"gpu.yaml": text}, (*default_note(asked=configuration.filters_asked), *_notes(configuration)))


def _role(host: str) -> str:
    words = host.split(".", maxsplit=1)[0].replace("_", "-").split("-")
    return "Compute" + "".join(word.capitalize() for word in words)


def _compute_extra(configuration: Configuration, aliases: list[dict[str, str]]) -> dict[str, Any]:
    """The computes need the aliases too, for moves; report_in_placement has no parameter, so it is plain config."""
    extra: dict[str, Any] = {}
    if configuration.release.number >= _QUEENS:
        extra["nova::pci::aliases"] = aliases
    if configuration.report:
        extra["nova::config::nova_config"] = {"pci/report_in_placement": {"value": True}}
    return extra


def _notes(configuration: Configuration) -> tuple[str, ...]:
    notes = ["NovaPCIPassthrough in another -e file replaces this list whole: the last file wins"]
    if configuration.release.number < _QUEENS:
        notes.append(
            "puppet-nova before Queens sets aliases on the controllers alone: moves to a compute without them fail"
        )
    if configuration.host_specs:
        names = ", ".join(f"{host} ({_role(host)})" for host in configuration.host_specs)
        notes.append(f"hosts that differ need roles of their own: {names}")
    return tuple(notes)
