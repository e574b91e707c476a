"""An entry's extra specs in the words of one release of Nova. No I/O.

Sources: nova/api/validation/extra_specs/*.py and the configuration reference of the releases named; microversions by
nova/api/openstack/compute/rest_api_version_history.rst. Where two releases share a microversion, the older one counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpuctl.flavors.model import ALIAS, OWNER, Entry, Wanted

VALIDATED = (2, 86)  # from here on Nova looks at names and values, if it is asked with 2.86 or more
UNVALIDATED = (2, 85)
# No release up to 34 has a validator for these, so that 2.86 refuses them.
REFUSED_BY_VALIDATION = ("hw:maxphysaddr_mode", "hw:maxphysaddr_bits")

HIDE_NEW = "hw:hide_hypervisor_id"  # 22.0.0; also in 21.2.0 and 20.6.1, which no microversion tells apart
HIDE_OLD = "hide_hypervisor_id"  # 18 to 34; keeps AggregateInstanceExtraSpecsFilter from passing any host (LP 1841932)


@dataclass(frozen=True, slots=True)
class Since:
    """From which microversion on a key is certainly known, and the release that is."""

    version: tuple[int, int]
    release: str


SINCE = {
    "hw:pci_numa_affinity_policy": Since((2, 87), "21 (Ussuri)"),
    "hw:locked_memory": Since((2, 93), "26 (Zed)"),
    "hw:maxphysaddr_mode": Since((2, 96), "29 (2024.1)"),
    "hw:maxphysaddr_bits": Since((2, 96), "29 (2024.1)"),
}
SOCKET_SINCE = Since((2, 88), "23 (Wallaby)")
MIXED_SINCE = Since((2, 88), "22 (Victoria)")


def wanted(entry: Entry, newest: tuple[int, int], access: tuple[str, ...] | None) -> Wanted:
    """Return what ``entry`` is on a cloud whose newest microversion is ``newest``; ``access`` are project ids."""
    specs, notes = extra_specs(entry, newest)
    return Wanted(
        name=entry.name,
        vcpus=entry.vcpus,
        ram=entry.ram,
        disk=entry.disk,
        ephemeral=entry.ephemeral,
        swap=entry.swap,
        public=entry.public,
        specs=specs,
        id=entry.id,
        description=entry.description,
        access=access,
        catalogue=entry.catalogue,
        notes=notes,
    )


def extra_specs(entry: Entry, newest: tuple[int, int]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the extra specs, and what that release cannot do."""
    specs = {**_plain(entry), **dict(entry.extra_specs)}
    notes = []
    for key in list(specs):
        since = SINCE.get(key)
        if specs[key] == "socket" and key == "hw:pci_numa_affinity_policy":
            since = SOCKET_SINCE
        if specs[key] == "mixed" and key == "hw:cpu_policy":
            since = MIXED_SINCE
        if since and newest < since.version and key not in dict(entry.extra_specs):
            notes.append(f"{key}={specs.pop(key)} left out: only Nova {since.release} and later know it")
    if entry.hide_kvm:
        hidden, note = hide_kvm(newest)
        specs.update(hidden)
        if note:
            notes.append(note)
    if entry.catalogue:
        specs[OWNER] = entry.catalogue
    return specs, tuple(notes)


def _plain(entry: Entry) -> dict[str, str]:
    """Return what is the same in every release."""
    found: dict[str, str | int | None] = {
        ALIAS: ",".join(f"{one.alias}:{one.count}" for one in entry.gpus) or None,
        "hw:numa_nodes": entry.numa.nodes or None,
        "hw:pci_numa_affinity_policy": entry.numa.gpu_affinity,
        "hw:cpu_policy": entry.cpu.policy,
        "hw:cpu_thread_policy": entry.cpu.threads,
        "hw:emulator_threads_policy": entry.cpu.emulator_threads,
        "hw:mem_page_size": entry.page_size,
        "hw:locked_memory": "true" if entry.locked_memory else None,
        "os:secure_boot": entry.secure_boot,
    }
    if entry.address_bits == "host":
        found["hw:maxphysaddr_mode"] = "passthrough"
    elif entry.address_bits is not None:
        found["hw:maxphysaddr_mode"] = "emulate"
        found["hw:maxphysaddr_bits"] = entry.address_bits
    found.update((f"trait:{name}", value) for name, value in entry.traits)
    found.update((f"aggregate_instance_extra_specs:{key}", value) for key, value in entry.aggregates)
    return {key: str(value) for key, value in found.items() if value is not None}


def hide_kvm(newest: tuple[int, int]) -> tuple[dict[str, str], str]:
    """Return the extra spec that hides KVM from the guest, and what else there is to say."""
    if newest >= (2, 88):
        return {HIDE_NEW: "true"}, ""
    if newest >= (2, 65):
        # 2.87 is 21 or 22, and 21.0 and 21.1 do not know the new spelling: the old one is honoured by them all.
        return {HIDE_OLD: "true"}, (
            "KVM is hidden by the older spelling (hide_hypervisor_id), which this release certainly knows; "
            "where AggregateInstanceExtraSpecsFilter is enabled, it lets no host pass (LP 1841932)"
        )
    if newest >= (2, 53):
        return (
            {},
            "this release hides KVM by an image alone: openstack image set --property img_hide_hypervisor_id=true",
        )
    return {}, "this release cannot hide KVM from a guest"


def batches(specs: dict[str, str], newest: tuple[int, int]) -> list[tuple[dict[str, str], tuple[int, int]]]:
    """Return ``specs`` as the requests that store them: all with validation, but what validation would refuse."""
    if newest < VALIDATED:
        return [(specs, newest)] if specs else []
    checked = {key: value for key, value in specs.items() if key not in REFUSED_BY_VALIDATION}
    rest = {key: value for key, value in specs.items() if key in REFUSED_BY_VALIDATION}
    return [(part, version) for part, version in ((checked, VALIDATED), (rest, UNVALIDATED)) if part]
