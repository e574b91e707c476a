"""openstack-k8s-operators (RHOSO): a merge patch for the control plane, ConfigMaps for the compute nodes.

Read: the architecture repository's PCI examples (customServiceConfig of api, conductors and scheduler;
nova-extra-config for the data plane) and install_yamls (OpenStackDataPlaneService with dataSources and
edpmServiceType).
"""

from __future__ import annotations

import re
from typing import Any

from gpuctl.nova.config.filters import default_note
from gpuctl.nova.config.header import header
from gpuctl.nova.config.ini import api_settings, compute_settings, ini, placement_settings, scheduler_settings
from gpuctl.nova.config.layouts import Rendered
from gpuctl.nova.config.plan import Configuration, Spec
from gpuctl.nova.config.yaml_text import Block, yaml_text
from gpuctl.nova.problem import Problem

# Files in nova.conf.d are read in the order of their names; the operator's own start with 01.
_FILE = "37-gpuctl-pci.conf"
_SINCE = 27


def render(configuration: Configuration) -> Rendered:
    """Return control-plane.yaml, nova-extra-config.yaml, and a ConfigMap with its service for each host that differs.

    Raises:
        Problem: a release before the operators.
    """
    if configuration.release.number < _SINCE:
        raise Problem(
            f"openstack-k8s-operators do not deploy Nova {configuration.release}",
            details="they begin with 2023.1 (27)",
            resolution="use --layout tripleo for what came before, or --layout plain",
        )
    files = {
        "control-plane.yaml": header(
            configuration,
            "oc patch openstackcontrolplane NAME --type=merge --patch-file control-plane.yaml",
            "A merge replaces the whole text of a customServiceConfig: add what yours has today.",
            "cell1 is the usual cell of the computes; name yours.",
        )
        + yaml_text(_control_plane(configuration)),
        "nova-extra-config.yaml": header(
            configuration,
            "oc apply -f nova-extra-config.yaml, then an OpenStackDataPlaneDeployment: it restarts nova-compute.",
            "If this ConfigMap exists, add the key to it: apply replaces its other keys.",
        )
        + yaml_text(_config_map("nova-extra-config", configuration, configuration.specs)),
    }
    for host, specs in configuration.host_specs.items():
        name = "nova-gpu-" + re.sub(r"[^a-z0-9-]+", "-", host.lower()).strip("-")
        files[f"{name}.yaml"] = (
            header(
                configuration,
                f"{host} needs a node set of its own, whose services list {name} where others list nova.",
            )
            + yaml_text(_config_map(name, configuration, specs))
            + "---\n"
            + yaml_text(_service(name))
        )
    return Rendered(files, (*default_note(asked=configuration.filters_asked), *_notes(configuration)))


def _template(text: str) -> dict[str, Block]:
    return {"customServiceConfig": Block(text)}


def _control_plane(configuration: Configuration) -> dict[str, Any]:
    template: dict[str, Any] = {
        "apiServiceTemplate": _template(ini(api_settings(configuration))),
        "schedulerServiceTemplate": _template(ini(scheduler_settings(configuration))),
    }
    conductor = placement_settings(configuration)
    if conductor:
        cell = {"conductorServiceTemplate": _template(ini(conductor))}
        template["cellTemplates"] = {"cell0": cell, "cell1": {**cell}}
    return {"spec": {"nova": {"template": template}}}


def _config_map(name: str, configuration: Configuration, specs: tuple[Spec, ...]) -> dict[str, Any]:
    text = Block(ini(compute_settings(configuration, specs)))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "openstack"},
        "data": {_FILE: text},
    }


def _service(name: str) -> dict[str, Any]:
    """A nova service that reads another ConfigMap; never nova-extra-config as well, whose list would be added."""
    return {
        "apiVersion": "dataplane.openstack.org/v1beta1",
        "kind": "OpenStackDataPlaneService",
        "metadata": {"name": name, "namespace": "openstack"},
        "spec": {
            "playbook": "osp.edpm.nova",
            "edpmServiceType": "nova",
            "caCerts": "combined-ca-bundle",
            "dataSources": [
                {"secretRef": {"name": "nova-cell1-compute-config"}},
                {"secretRef": {"name": "nova-migration-ssh-key"}},
                {"configMapRef": {"name": name}},
            ],
        },
    }


def _notes(configuration: Configuration) -> tuple[str, ...]:
    notes = ["every key of the ConfigMaps becomes a file in nova.conf.d: device lists in several of them are added up"]
    if configuration.schedule:
        notes.append(
            "apply nova-extra-config.yaml and wait for its deployment before control-plane.yaml: computes report first"
        )
    return tuple(notes)
