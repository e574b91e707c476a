"""Sunbeam: the manifest's PCI part, and the same as settings of the openstack-hypervisor snap.

Read: snap-openstack-hypervisor (README, hooks.py: compute.pci-device-specs, compute.pci-excluded-devices,
compute.pci-aliases, each a JSON list) and sunbeam-python (excluded_devices by node, given to the charm's action
set-hypervisor-local-settings).
"""

from __future__ import annotations

import json
from typing import Any

from gpuctl.nova.config.header import header
from gpuctl.nova.config.layouts import Rendered
from gpuctl.nova.config.plan import Configuration
from gpuctl.nova.config.yaml_text import yaml_text
from gpuctl.nova.problem import Problem

_SINCE = 27


def render(configuration: Configuration) -> Rendered:
    """Return manifest.yaml, and snap.HOST.sh for each host, for a node that is set by hand.

    Raises:
        Problem: a release before Sunbeam, or Placement, for which it has no setting.
    """
    if configuration.release.number < _SINCE:
        raise Problem(
            f"Sunbeam does not deploy Nova {configuration.release}",
            resolution="it begins with 2023.1 (27): use another --layout",
        )
    if configuration.report:
        raise Problem(
            "the openstack-hypervisor snap has no setting for report_in_placement",
            resolution="leave --placement out, or use another --layout",
        )
    # One list for the cloud; what a node must not give is taken out of it there, and what is left is told by address.
    specs = [dict(spec) for spec in _ids(configuration)]
    aliases = [dict(alias) for alias in configuration.aliases]
    excluded = {host: list(addresses) for host, addresses in configuration.excluded.items()}
    pci: dict[str, Any] = {"device_specs": specs, "excluded_devices": excluded, "aliases": aliases}
    files = {
        "manifest.yaml": header(
            configuration, "Merge it into your manifest; node names are those of `sunbeam cluster list`."
        )
        + yaml_text({"core": {"config": {"pci": pci}}})
    }
    for host in configuration.hosts:
        lines = [
            _set("compute.pci-device-specs", specs),
            _set("compute.pci-excluded-devices", excluded.get(host, [])),
            _set("compute.pci-aliases", aliases),
        ]
        about = f"{host}, by hand. The charm sets the same when it runs next: use the manifest to keep it."
        files[f"snap.{host}.sh"] = header(configuration, about) + "\n".join(lines) + "\n"
    return Rendered(files, _notes(configuration))


def _ids(configuration: Configuration) -> list[dict[str, str]]:
    """Every model by its ids, whichever hosts have it: the exclusions by node do the rest."""
    every = [*configuration.specs, *(spec for specs in configuration.host_specs.values() for spec in specs)]
    plain = [{key: value for key, value in spec.items() if key != "address"} for spec in every]
    return [spec for number, spec in enumerate(plain) if spec not in plain[:number]]


def _set(key: str, value: list[Any]) -> str:
    # Single quotes: nothing in the values has one (names are checked).
    return f"sudo snap set openstack-hypervisor -t {key}='{json.dumps(value)}'"


def _notes(configuration: Configuration) -> tuple[str, ...]:
    del configuration
    return (
        (
            "Sunbeam writes the scheduler's filters itself: look that PciPassthroughFilter is in nova-scheduler's "
            "enabled_filters"
        ),
        (
            "the aliases reach nova-api through the nova charm (its pci-aliases), the hypervisors through their "
            "relation to it"
        ),
    )
