"""A cloud's flavors become a catalogue; applying it changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl.flavors.catalogue import SCHEMA, entries_of
from gpuctl.flavors.errors import BadCatalogue
from gpuctl.flavors.model import ALIAS, OWNER, Standing
from gpuctl.flavors.specs import HIDE_NEW, HIDE_OLD, extra_specs

if TYPE_CHECKING:
    from collections.abc import Sequence

# extra spec -> (block, key) in the catalogue; a block of "" is the flavor itself
_KEYS = {
    "hw:pci_numa_affinity_policy": ("numa", "gpu_affinity"),
    "hw:cpu_policy": ("cpu", "policy"),
    "hw:cpu_thread_policy": ("cpu", "threads"),
    "hw:emulator_threads_policy": ("cpu", "emulator_threads"),
    "hw:mem_page_size": ("", "page_size"),
    "os:secure_boot": ("", "secure_boot"),
}


def export(flavors: Sequence[Standing], newest: tuple[int, int]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a catalogue, and one line for each flavor that no catalogue can hold.

    Args:
        flavors: with their access lists read.
        newest: the cloud's newest microversion, whose spelling applies.
    """
    owners = {flavor.owner for flavor in flavors}
    owner = owners.pop() if len(owners) == 1 else None
    document: dict[str, Any] = {"schema": SCHEMA, **({"catalogue": owner} if owner else {}), "flavors": []}
    left_out = []
    for flavor in sorted(flavors, key=lambda one: one.name):
        for said in (_short(flavor), _long(flavor)):
            if _same(said, flavor, owner, newest):
                document["flavors"].append(said)
                break
        else:
            left_out.append(f"{flavor.name}: {_why(_long(flavor))}")
    return document, tuple(left_out)


def _sizes(flavor: Standing) -> dict[str, Any]:
    """Return everything but the extra specs."""
    said: dict[str, Any] = {"name": flavor.name, "id": flavor.id}
    if flavor.description:
        said["description"] = flavor.description
    said.update(vcpus=flavor.vcpus, ram=_size(flavor.ram), disk=flavor.disk)
    said.update({key: value for key, value in (("ephemeral", flavor.ephemeral), ("swap", flavor.swap)) if value})
    if flavor.public:
        said["public"] = True
    elif flavor.access is not None:
        said["access"] = list(flavor.access)
    return said


def _size(mib: int) -> int | str:
    """Return 65536 as "64 GiB"."""
    return f"{mib // 1024} GiB" if mib and not mib % 1024 else mib


def _long(flavor: Standing) -> dict[str, Any]:
    """Return the flavor with its extra specs as they are."""
    specs = {key: value for key, value in sorted(flavor.specs.items()) if key != OWNER}
    return {**_sizes(flavor), **({"extra_specs": specs} if specs else {})}


def _short(flavor: Standing) -> dict[str, Any]:
    """Return the flavor in the catalogue's own words, as far as they go."""
    said = _sizes(flavor)
    rest = {key: value for key, value in flavor.specs.items() if key != OWNER}
    if ALIAS in rest:
        said["gpus"] = [_gpus(one) for one in rest.pop(ALIAS).split(",")]
    if rest.get(HIDE_NEW) == "true" or rest.get(HIDE_OLD) == "true":
        said["hide_kvm"] = True
        rest = {key: value for key, value in rest.items() if key not in {HIDE_NEW, HIDE_OLD}}
    if rest.get("hw:numa_nodes", "").isdigit():
        said["numa"] = {"nodes": int(rest.pop("hw:numa_nodes"))}
    for spec, (block, key) in _KEYS.items():
        if spec in rest:
            (said.setdefault(block, {}) if block else said)[key] = rest.pop(spec)
    if rest.get("hw:locked_memory") == "true":
        said["locked_memory"] = rest.pop("hw:locked_memory") == "true"
    if rest.get("hw:maxphysaddr_mode") == "passthrough":
        del rest["hw:maxphysaddr_mode"]
        said["address_bits"] = "host"
    for prefix, block in (("trait:", "traits"), ("aggregate_instance_extra_specs:", "aggregates")):
        found = {key.removeprefix(prefix): rest.pop(key) for key in list(rest) if key.startswith(prefix)}
        if found:
            said[block] = dict(sorted(found.items()))
    return {**said, **({"extra_specs": dict(sorted(rest.items()))} if rest else {})}


def _gpus(one: str) -> dict[str, Any]:
    alias, _, count = one.strip().partition(":")
    return {"alias": alias, "count": int(count) if count.isdigit() else count}


def _same(said: dict[str, Any], flavor: Standing, owner: str | None, newest: tuple[int, int]) -> bool:
    """Say whether applying this would change nothing."""
    try:
        (entry,) = entries_of({"schema": SCHEMA, **({"catalogue": owner} if owner else {}), "flavors": [said]})
    except BadCatalogue:
        return False
    specs = {key: value for key, value in flavor.specs.items() if owner or key != OWNER}
    return extra_specs(entry, newest)[0] == specs


def _why(said: dict[str, Any]) -> str:
    try:
        entries_of({"schema": SCHEMA, "flavors": [said]})
    except BadCatalogue as error:
        return " ".join(error.details.split())
    return "it would not come out the same"
