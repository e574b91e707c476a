"""The words of `gpuctl flavor create` become an entry of a catalogue, so that both are judged by the same rules."""

from __future__ import annotations

from typing import Any

from gpuctl.cli.failure import Failure
from gpuctl.cli.sizes import size
from gpuctl.flavors.catalogue import SCHEMA, entries_of
from gpuctl.flavors.devices import find
from gpuctl.flavors.model import Entry

ALIAS = "nvidia"
"""The alias where none is named: what `gpuctl nova configure` calls the one model of a small cloud."""


def entry(name: str, said: dict[str, Any]) -> Entry:
    """Return the flavor that the command line describes.

    Raises:
        Failure: options that do not go together.
        BadCatalogue: a value that no catalogue may have.
    """
    if said["alias"] and said["model"]:
        raise Failure(
            "say --alias or --model",
            resolution="--alias is the name in nova.conf; --model takes gpuctl's own",
            exit_code=2,
        )
    device = find(said["model"] or said["alias"] or "")
    document: dict[str, Any] = {"name": name, "vcpus": said["vcpus"], "ram": size(said["ram"]), "disk": said["disk"]}
    if said["count"]:
        which = {"model": said["model"]} if said["model"] else {"alias": said["alias"] or ALIAS}
        document["gpus"] = [{**which, "count": said["count"]}]
    numa = {"nodes": said["numa_nodes"], "gpu_affinity": said["gpu_affinity"]}
    bits = said["address_bits"] or (device.address_bits if device and said["model"] else None)
    # Hidden where the card is not known: a driver that minds does not start, one that does not mind loses little.
    hide = bool(said["count"]) and (device is None or device.hide_kvm) if said["hide_kvm"] is None else said["hide_kvm"]
    optional = {
        "id": said["flavor_id"],
        "description": said["description"],
        "ephemeral": said["ephemeral"] or None,
        "swap": said["swap"] or None,
        "hide_kvm": hide,
        "numa": {key: value for key, value in numa.items() if value} or None,
        "cpu": {"policy": said["cpu_policy"]} if said["cpu_policy"] else None,
        "page_size": said["page_size"],
        "address_bits": int(str(bits)) if str(bits).isdigit() else bits,
        "extra_specs": dict(_pair(one) for one in said["properties"]) or None,
        "public": said["public"] or None,
        "access": list(said["projects"]) or None,
    }
    document.update((key, value) for key, value in optional.items() if value is not None)
    owner = {"catalogue": said["catalogue"]} if said["catalogue"] else {}
    (made,) = entries_of({"schema": SCHEMA, **owner, "flavors": [document]}, lambda _: "command line")
    return made


def _pair(text: str) -> tuple[str, str]:
    """Return the key and value of KEY=VALUE."""
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise Failure(f"--property {text}: must be KEY=VALUE", exit_code=2)
    return key, value
