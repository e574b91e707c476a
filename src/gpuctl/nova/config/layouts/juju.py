"""Juju charms: a bundle overlay with the options of nova-compute and nova-cloud-controller.

Read: charm-nova-compute's config.yaml, and nova-cloud-controller's hooks/nova_cc_context.py (default_enabled_filters).
"""

from __future__ import annotations

from typing import Any

from gpuctl.nova.config.filters import filter_line
from gpuctl.nova.config.header import header
from gpuctl.nova.config.layouts import Rendered
from gpuctl.nova.config.plan import Configuration, Spec, as_json
from gpuctl.nova.config.yaml_text import yaml_text
from gpuctl.nova.problem import Problem
from gpuctl.nova.releases import Release

_QUEENS = 17


def render(configuration: Configuration) -> Rendered:
    """Return overlay.yaml; a host that differs is an application of its own, because options belong to applications.

    Raises:
        Problem: more aliases than the charm of that release takes, or Placement, for which it has no option.
    """
    if configuration.report:
        raise Problem(
            "the nova-compute charm has no option for report_in_placement",
            details="its config-flags go to [DEFAULT] alone",
            resolution="leave --placement out; or use --layout plain and a charm that can (see `juju config "
            "nova-compute`)",
        )
    if len(configuration.aliases) > 1 and configuration.release.number < _QUEENS:
        raise Problem(
            f"the charms of {configuration.release} take one alias, and there are {len(configuration.aliases)}",
            resolution="name the cards of one model with --gpu, or use --layout plain",
        )
    # One JSON text an option: an object, or from Queens on a list, which the charm makes several lines of.
    alias = _one_text(configuration.aliases)
    applications: dict[str, Any] = {
        "nova-cloud-controller": {
            "options": {"pci-alias": alias, "scheduler-default-filters": ",".join(_filters(configuration))}
        },
        "nova-compute": {"options": _compute(configuration.specs, alias)},
    }
    for host, specs in configuration.host_specs.items():
        applications[f"nova-compute-{host.split('.')[0]}"] = {"options": _compute(specs, alias)}
    text = header(
        configuration,
        "juju deploy BUNDLE --overlay overlay.yaml, or each option with juju config.",
        "The charms restart the services themselves, on all units of an application at once.",
    ) + yaml_text({"applications": applications})
    return Rendered({"overlay.yaml": text}, _notes(configuration))


def _one_text(objects: tuple[Spec, ...]) -> str:
    if len(objects) == 1:
        return as_json(objects[0])
    return "[" + ", ".join(as_json(item) for item in objects) + "]"


def _compute(specs: tuple[Spec, ...], alias: str) -> dict[str, str]:
    # The charm writes it as passthrough_whitelist, which every release to 34 reads.
    return {"pci-passthrough-whitelist": _one_text(specs), "pci-alias": alias}


def _filters(configuration: Configuration) -> tuple[str, ...]:
    """The charm's own default and PciPassthroughFilter: setting the option loses that default."""
    if configuration.filters_asked:
        return configuration.filters
    return filter_line(configuration.release, _charm_default(configuration.release))[0]


def _charm_default(release: Release) -> tuple[str, ...]:
    pair = ("DifferentHostFilter", "SameHostFilter")
    core = tuple(
        name
        for name in release.default_filters
        if name not in ("RetryFilter", "AvailabilityZoneFilter", "RamFilter", "DiskFilter")
    )
    zone = ("AvailabilityZoneFilter",) if release.number < 28 else ()
    retry = ("RetryFilter",) if release.number < 22 else ()
    old = ("CoreFilter", "RamFilter", "DiskFilter") if release.number < 16 else ()
    return (*retry, *zone, *old, *core, *pair)


def _notes(configuration: Configuration) -> tuple[str, ...]:
    notes = [
        "both charms need pci-alias: nova-compute re-reads the flavor with its own aliases when a server moves to it"
    ]
    if not configuration.filters_asked:
        notes.append(
            "the filters here are the charm's default and PciPassthroughFilter, as setting the option loses that "
            "default"
        )
    if configuration.host_specs:
        names = ", ".join(configuration.host_specs)
        notes.append(
            f"{names}: options are the application's, not the unit's, so each has an application of its own here"
        )
    return tuple(notes)
