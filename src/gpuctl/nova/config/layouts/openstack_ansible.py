"""OpenStack-Ansible: variables of the role os_nova, for user_variables.yml and host_vars.

Read: os_nova's templates/nova.conf.j2 and defaults/main.yml. nova_device_spec may be a text, a dict or a list of them;
nova_pci_alias is a list of JSON texts; the filter line is nova_scheduler_default_filters and then
nova_scheduler_extra_filters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl.nova.config.header import header
from gpuctl.nova.config.layouts import Rendered
from gpuctl.nova.config.plan import Configuration, Spec, as_json
from gpuctl.nova.config.yaml_text import yaml_text
from gpuctl.nova.vocabulary import PCI_FILTER

if TYPE_CHECKING:
    from collections.abc import Iterable


def render(configuration: Configuration) -> Rendered:
    """Return user_variables_gpu.yml and, where hosts differ, host_vars/HOST.yml."""
    variables: dict[str, Any] = {"nova_pci_alias": [as_json(alias) for alias in configuration.aliases]}
    if configuration.filters_asked:
        variables["nova_scheduler_default_filters"] = list(configuration.filters)
    else:
        # Beside the role's own default, which is longer than Nova's.
        variables["nova_scheduler_extra_filters"] = [PCI_FILTER]
    overrides: dict[str, dict[str, bool]] = {}
    if configuration.report:
        overrides["pci"] = {"report_in_placement": True}
    if configuration.schedule:
        overrides["filter_scheduler"] = {"pci_in_placement": True}
    if overrides:
        # Single values only: an override is a dict, and a dict cannot hold device_spec twice.
        variables["nova_nova_conf_overrides"] = overrides
    files: dict[str, str] = {}
    if configuration.host_specs:
        # user_variables*.yml are extra variables, and those win over host_vars whatever these say: the common list
        # has to be a group's.
        about = "Goes to /etc/openstack_deploy/group_vars/; a host's own host_vars win over it."
        files["group_vars/nova_compute.yml"] = header(configuration, about) + yaml_text(
            _devices(configuration, configuration.specs)
        )
        for host, specs in configuration.host_specs.items():
            about = "Goes to /etc/openstack_deploy/host_vars/: the whole list of this host."
            files[f"host_vars/{host}.yml"] = header(configuration, about) + yaml_text(_devices(configuration, specs))
    else:
        variables = _devices(configuration, configuration.specs) | variables
    about = "Goes to /etc/openstack_deploy/; then the playbook os-nova-install.yml --tags nova-config."
    files["user_variables_gpu.yml"] = header(configuration, about) + yaml_text(variables)
    return Rendered(files, _notes(configuration))


def _devices(configuration: Configuration, specs: Iterable[Spec]) -> dict[str, Any]:
    """Under one name only: both would be added up by Nova."""
    if configuration.release.number >= 26:
        return {"nova_device_spec": [dict(spec) for spec in specs]}
    # The older role puts the text behind `passthrough_whitelist =` as it is; Nova takes a JSON list there.
    return {"nova_pci_passthrough_whitelist": "[" + ", ".join(as_json(spec) for spec in specs) + "]"}


def _notes(configuration: Configuration) -> tuple[str, ...]:
    notes = []
    if configuration.release.number >= 26:
        notes.append(
            "older branches of os_nova know nova_pci_passthrough_whitelist (a text) instead of nova_device_spec: look "
            "into the role's defaults/main.yml, and set one of the two, never both"
        )
    if configuration.release.number >= 28:
        notes.append(
            "older branches have AvailabilityZoneFilter in nova_scheduler_default_filters, which 28 and later no "
            "longer have: nova-scheduler does not start with it"
        )
    if configuration.report:
        notes.append("nova_nova_conf_overrides is one dict: merge it with the one that you have, or that one is lost")
    return tuple(notes)
