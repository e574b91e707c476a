"""Facts as the contract's JSON document `gpuctl.host.facts/1`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl_host.data import plain

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Facts, Gpu, PciFunction

SCHEMA = "gpuctl.host.facts/1"


def facts_document(facts: Facts) -> dict[str, Any]:
    """Return the document; its keys are those of the contract, and some more."""
    system, kernel, iommu, software = facts.system, facts.kernel, facts.iommu, facts.software
    return {
        "schema": SCHEMA,
        "host": facts.host,
        "collected_at": facts.collected_at,
        "system": {
            "vendor": system.vendor,
            "product": system.product,
            "arch": system.arch,
            "cpu_vendor": system.cpu_vendor,
            "cpu_virtualization": system.cpu_virtualization,
            "hypervisor": system.hypervisor,
            "distribution": system.distribution,
            "distribution_version": system.distribution_version,
            "numa": [
                {"node": node.number, "cpus": node.cpus, "memory_mib": node.memory_mib} for node in system.numa or ()
            ]
            or None,
        },
        "kernel": {
            "release": kernel.release,
            "cmdline": list(kernel.cmdline) if kernel.cmdline is not None else None,
            "lockdown": kernel.lockdown,
            "installed": list(kernel.installed),
        },
        "iommu": {
            "enabled": iommu.enabled,
            "kind": iommu.kind,
            "firmware_tables": list(iommu.firmware_tables) if iommu.firmware_tables is not None else None,
            "interrupt_remapping": iommu.interrupt_remapping,
            "groups": iommu.groups,
            "units": list(iommu.units),
            "reserved_direct": [{"group": group, "region": region} for group, region in iommu.reserved_direct],
        },
        "boot": {
            "loader": facts.boot.loader,
            "initramfs": facts.boot.initramfs,
            "configured": plain(facts.boot.configured),
            "entries": plain(facts.boot.entries),
            "secure_boot": facts.boot.secure_boot,
            "kdump": facts.boot.kdump,
        },
        "software": {
            "qemu": software.qemu,
            "libvirt": software.libvirt,
            "vfio_pci": software.vfio_pci,
            "services": list(software.services),
        },
        "gpus": [_gpu(gpu) for gpu in facts.gpus],
        "nvswitches": [_switch(item) for item in facts.nvswitches],
        "bridges": [_bridge(item) for item in _above(facts)],
        "needs": plain(facts.needs),
        "needs_unknown": list(facts.needs_unknown),
        "foreign": plain(facts.foreign),
        "record": plain(facts.record),
    }


def _gpu(gpu: Gpu) -> dict[str, Any]:
    pci = gpu.pci
    subsystem = (
        f"{pci.subsystem_vendor}:{pci.subsystem_device}" if pci.subsystem_vendor and pci.subsystem_device else None
    )
    return {
        "address": pci.address,
        "vendor_id": pci.vendor_id,
        "device_id": pci.device_id,
        "subsystem_id": subsystem,
        "name": gpu.name,
        "class": pci.base_class or None,
        "driver": pci.driver,
        "driver_override": pci.driver_override,
        "iommu_group": pci.iommu_group,
        "numa_node": pci.numa_node,
        "boot_vga": pci.boot_vga,
        "sriov_totalvfs": pci.sriov_totalvfs,
        "sriov_numvfs": pci.sriov_numvfs,
        "physfn": pci.physfn,
        "nova_device_type": gpu.nova_device_type,
        "reset_methods": list(pci.reset_methods) if pci.reset_methods is not None else None,
        "bars": [{"index": bar.index, "size": bar.size, "flags": bar.flags} for bar in pci.bars],
        "power_state": pci.power_state,
        "config_dead": pci.config_dead,
        "path": pci.path,
        "holders": [{"kind": holder.kind, "name": holder.name} for holder in gpu.holders or ()],
        "holders_known": gpu.holders is not None,
        "persistence": gpu.persistence,
        "functions": [_function(role, item) for role, item in gpu.functions],
        "group_peers": [_peer(item) for item in (*gpu.group_peers, *_beside(gpu))],
    }


def _beside(gpu: Gpu) -> list[PciFunction]:
    """The card's functions behind a bridge of its own that share its group: to the group they are other devices."""
    return [
        item
        for _, item in gpu.functions
        if item.slot != gpu.pci.slot and item.iommu_group is not None and item.iommu_group == gpu.pci.iommu_group
    ]


def _function(role: str, item: PciFunction) -> dict[str, Any]:
    return {
        "address": item.address,
        "role": role,
        "vendor_id": item.vendor_id,
        "device_id": item.device_id,
        "class": item.base_class or None,
        "driver": item.driver,
        "iommu_group": item.iommu_group,
        "path": item.path,
    }


def _peer(item: PciFunction) -> dict[str, Any]:
    return {
        "address": item.address,
        "vendor_id": item.vendor_id,
        "device_id": item.device_id,
        "class": item.base_class or None,
        "driver": item.driver,
        "bridge": item.is_bridge,
        "path": item.path,
    }


def _switch(item: PciFunction) -> dict[str, Any]:
    return {
        "address": item.address,
        "vendor_id": item.vendor_id,
        "device_id": item.device_id,
        "driver": item.driver,
        "iommu_group": item.iommu_group,
        "numa_node": item.numa_node,
        "path": item.path,
    }


def _above(facts: Facts) -> list[PciFunction]:
    """The root ports and bridges on the way to GPUs and NVSwitches."""
    ways = (*(gpu.pci.path for gpu in facts.gpus), *(item.path for item in facts.nvswitches))
    passed = {part for way in ways for part in way.split("/")[:-1]}
    return [item for item in facts.pci or () if item.address in passed]


def _bridge(item: PciFunction) -> dict[str, Any]:
    return {
        "address": item.address,
        "vendor_id": item.vendor_id,
        "device_id": item.device_id,
        "iommu_group": item.iommu_group,
    }
