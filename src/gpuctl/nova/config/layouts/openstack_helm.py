"""OpenStack-Helm (and Genestack): values for the nova chart.

Read: helm-toolkit's to_oslo_conf (a list becomes one comma list; `type: multistring` becomes one line a value) and
OpenStack-Helm's node and label specific configurations (conf.overrides.nova_compute.hosts).
"""

from __future__ import annotations

from typing import Any

from gpuctl.nova.config.filters import default_note
from gpuctl.nova.config.header import header
from gpuctl.nova.config.ini import Setting, alias_settings, compute_settings, placement_settings, scheduler_settings
from gpuctl.nova.config.layouts import Rendered
from gpuctl.nova.config.plan import Configuration, as_json
from gpuctl.nova.config.yaml_text import yaml_text
from gpuctl.nova.releases import Option


def render(configuration: Configuration) -> Rendered:
    """Return values.yaml: one conf.nova for all services, and each host that differs as an override."""
    settings = compute_settings(configuration, configuration.specs)
    settings += scheduler_settings(configuration)
    conf: dict[str, Any] = {"nova": _values(settings, configuration)}
    if configuration.host_specs:
        hosts = []
        for host, specs in configuration.host_specs.items():
            whitelist = configuration.release.whitelist
            values = [as_json(spec) for spec in specs] or ["[]"]
            hosts.append({"name": host, "conf": {"nova": {whitelist.section: {whitelist.name: _multi(values)}}}})
        conf["overrides"] = {"nova_compute": {"hosts": hosts}}
    text = header(
        configuration,
        "helm upgrade nova openstack-helm/nova --reuse-values -f values.yaml",
        "The chart renders conf.nova for every service alike; only nova-compute looks at the devices.",
        "Hosts in overrides are node names as the kubelet has them (kubernetes.io/hostname).",
    ) + yaml_text({"conf": conf})
    return Rendered({"values.yaml": text}, (*default_note(asked=configuration.filters_asked), *_notes(configuration)))


def _multi(values: list[str]) -> dict[str, Any]:
    """A plain list would be joined with commas to one line, which is not JSON."""
    return {"type": "multistring", "values": values}


def _values(settings: list[Setting], configuration: Configuration) -> dict[str, dict[str, Any]]:
    repeated = {configuration.release.whitelist, *(option for option, _ in alias_settings(configuration))}
    sections: dict[str, dict[str, Any]] = {}
    for option in dict.fromkeys(option for option, _ in settings):
        texts = [value for each, value in settings if each == option]
        sections.setdefault(option.section, {})[option.name] = (
            _multi(texts) if option in repeated else _single(option, texts[-1])
        )
    return sections


def _single(option: Option, text: str) -> str | bool:
    return text == "true" if option.name.endswith("in_placement") else text


def _notes(configuration: Configuration) -> tuple[str, ...]:
    notes = ["helm replaces lists: conf.nova.pci here stands in place of the one in your values"]
    if placement_settings(configuration):
        notes.append(
            "conf.nova is one for all services: roll out with report_in_placement alone first, then add "
            "pci_in_placement"
        )
    return tuple(notes)
