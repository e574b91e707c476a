"""What each deployment tool makes of our files: the nova.conf of a compute host, the API and the scheduler.

Written after the tools' own templates (see the layouts' docstrings), so that what we hand them is tried to the end.
"""

from __future__ import annotations

import json
import shlex

import yaml


def conf(layout, files, host, role, number):
    """Return the nova.conf text (what concerns us) that this tool would give to a role on a host."""
    return {
        "plain": plain,
        "kolla-ansible": kolla,
        "openstack-ansible": openstack_ansible,
        "openstack-k8s-operators": operators,
        "juju": juju,
        "sunbeam": sunbeam,
        "openstack-helm": helm,
        "tripleo": tripleo,
    }[layout](files, host, role, number)


def plain(files, host, role, number):
    if role == "compute":
        return files.get(f"compute.{host}.conf", files["compute.conf"])
    return files[f"{role}.conf"]


def sections(text):
    """Parse ini as kolla-ansible's merge_configs does: section -> key -> list of values."""
    found, section = {}, None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("["):
            section = line[1:-1]
            continue
        key, _, value = line.partition("=")
        found.setdefault(section, {}).setdefault(key.strip(), []).append(value.strip())
    return found


def ini(found):
    lines = []
    for section, options in found.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {value}" for key, values in options.items() for value in values]
    return "\n".join(lines) + "\n"


def kolla(files, host, role, number):
    for text in files.values():
        assert "{{" not in text
        assert "{%" not in text
        assert "{#" not in text
    merged = {}
    for name in (f"nova/nova-{role}.conf", *([f"nova/{host}/nova.conf"] if role == "compute" else [])):
        for section, options in sections(files.get(name, "")).items():
            merged.setdefault(section, {}).update(options)
    return ini(merged)


def openstack_ansible(files, host, role, number):
    variables = {}
    for name in ("group_vars/nova_compute.yml", f"host_vars/{host}.yml", "user_variables_gpu.yml"):
        if name in files and (role == "compute" or name.startswith("user")):
            variables.update(yaml.safe_load(files[name]))
    found = {"pci": {}, "filter_scheduler": {}}
    spec = variables.get("nova_device_spec")
    if spec:
        found["pci"]["device_spec"] = [item if isinstance(item, str) else json.dumps(item) for item in spec]
    if variables.get("nova_pci_passthrough_whitelist"):
        found["pci"]["passthrough_whitelist"] = [variables["nova_pci_passthrough_whitelist"]]
    found["pci"]["alias"] = variables["nova_pci_alias"]
    own = ["ComputeFilter", "NUMATopologyFilter"]
    line = [*variables.get("nova_scheduler_default_filters", own), *variables.get("nova_scheduler_extra_filters", [])]
    found["filter_scheduler"]["enabled_filters"] = [",".join(line)]
    for section, options in variables.get("nova_nova_conf_overrides", {}).items():
        found[section].update({key: [str(value)] for key, value in options.items()})
    return ini(found)


def operators(files, host, role, number):
    if role == "compute":
        own = next((text for name, text in files.items() if name == f"nova-gpu-{host.replace('.', '-')}.yaml"), None)
        document = next(yaml.safe_load_all(own or files["nova-extra-config.yaml"]))
        (text,) = document["data"].values()
        return text
    template = yaml.safe_load(files["control-plane.yaml"])["spec"]["nova"]["template"]
    if role == "conductor":
        return (
            template.get("cellTemplates", {})
            .get("cell1", {})
            .get("conductorServiceTemplate", {})
            .get("customServiceConfig", "")
        )
    return template[f"{role}ServiceTemplate"]["customServiceConfig"]


def _lines(text):
    loaded = json.loads(text)
    return [json.dumps(item) for item in (loaded if isinstance(loaded, list) else [loaded])]


def juju(files, host, role, number):
    applications = yaml.safe_load(files["overlay.yaml"])["applications"]
    if role == "compute":
        options = applications.get(f"nova-compute-{host.split('.')[0]}", applications["nova-compute"])["options"]
        found = {
            "pci": {
                "alias": _lines(options["pci-alias"]),
                "passthrough_whitelist": [options["pci-passthrough-whitelist"]],
            }
        }
        if number < 15:
            found = {
                "DEFAULT": {
                    "pci_alias": found["pci"]["alias"],
                    "pci_passthrough_whitelist": found["pci"]["passthrough_whitelist"],
                }
            }
        return ini(found)
    options = applications["nova-cloud-controller"]["options"]
    if number < 15:
        return ini(
            {
                "DEFAULT": {
                    "pci_alias": _lines(options["pci-alias"]),
                    "scheduler_default_filters": [options["scheduler-default-filters"]],
                }
            }
        )
    return ini(
        {
            "pci": {"alias": _lines(options["pci-alias"])},
            "filter_scheduler": {"enabled_filters": [options["scheduler-default-filters"]]},
        }
    )


def sunbeam(files, host, role, number):
    pci = yaml.safe_load(files["manifest.yaml"])["core"]["config"]["pci"]
    settings = {}
    for line in files[f"snap.{host}.sh"].splitlines():
        words = shlex.split(line, comments=True)
        if words:
            assert words[:5] == ["sudo", "snap", "set", "openstack-hypervisor", "-t"]
            key, _, value = words[5].partition("=")
            settings[key] = json.loads(value)
    assert settings["compute.pci-device-specs"] == pci["device_specs"]
    assert settings["compute.pci-aliases"] == pci["aliases"]
    assert settings["compute.pci-excluded-devices"] == pci["excluded_devices"].get(host, [])
    found = {"pci": {"alias": [json.dumps(item) for item in pci["aliases"]]}}
    if role == "compute":
        found["pci"]["device_spec"] = [json.dumps(item) for item in pci["device_specs"]]
        found["excluded"] = {"address": pci["excluded_devices"].get(host, [])}
    return ini(found)


def helm(files, host, role, number):
    values = yaml.safe_load(files["values.yaml"])["conf"]
    merged = {section: dict(options) for section, options in values["nova"].items()}
    if role == "compute":
        for override in values.get("overrides", {}).get("nova_compute", {}).get("hosts", []):
            if override["name"] == host:
                for section, options in override["conf"]["nova"].items():
                    merged.setdefault(section, {}).update(options)
    found = {}
    for section, options in merged.items():
        for key, value in options.items():
            found.setdefault(section, {})[key] = _oslo(value)
    return ini(found)


def _oslo(value):
    """What to_oslo_conf makes of a value: one line each of a multistring, one comma list of a list."""
    if isinstance(value, dict):
        assert value["type"] == "multistring"
        return value["values"]
    return [",".join(value)] if isinstance(value, list) else [str(value)]


def tripleo(files, host, role, number):
    parameters = yaml.safe_load(files["gpu.yaml"])["parameter_defaults"]
    name = "Compute" + host.split(".")[0].capitalize()
    own = parameters.get(f"{name}Parameters", parameters["ComputeParameters"])
    controller = parameters["ControllerExtraConfig"]
    aliases = controller.get("nova::pci::aliases") or controller.get("nova::api::pci_alias")
    filters = parameters.get("NovaSchedulerEnabledFilters") or parameters["NovaSchedulerDefaultFilters"]
    section, whitelist, alias = (
        ("pci", "passthrough_whitelist", "alias")
        if number >= 15
        else ("DEFAULT", "pci_passthrough_whitelist", "pci_alias")
    )
    if role == "compute":
        extra = parameters.get(f"{name}ExtraConfig", parameters["ComputeExtraConfig"])
        aliases = extra.get("nova::pci::aliases", [])
        found = {
            section: {
                whitelist: [json.dumps(item) for item in own["NovaPCIPassthrough"]],
                alias: [json.dumps(item) for item in aliases],
            }
        }
        for key, value in extra.get("nova::config::nova_config", {}).items():
            found.setdefault(key.split("/")[0], {})[key.split("/")[1]] = [str(value["value"])]
        return ini(found)
    found = {section: {alias: [json.dumps(item) for item in aliases]}}
    where, option = (
        ("filter_scheduler", "enabled_filters") if number >= 15 else ("DEFAULT", "scheduler_default_filters")
    )
    found.setdefault(where, {})[option] = [",".join(filters)]
    return ini(found)
