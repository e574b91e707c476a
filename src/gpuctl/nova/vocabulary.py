"""Words and since when Nova knows them: keys of device specs and aliases, filters, GPU extra specs.

Numbers are major releases; 14 stands for "14 or earlier". Sources: nova/pci/devspec.py, nova/pci/request.py,
nova/conf/pci.py, nova/scheduler/filters/*.py and nova/api/validation/extra_specs/*.py of the releases 15.1.5 to 34.0.0.
"""

from __future__ import annotations

# device_spec / passthrough_whitelist. There is no schema: a key that a release does not know is a tag without effect.
SPEC_KEYS = {
    "vendor_id": 14,
    "product_id": 14,
    "address": 14,
    "devname": 14,
    "physical_network": 14,
    "trusted": 18,
    "remote_managed": 25,
    "resource_class": 26,
    "traits": 26,
    "managed": 31,
    "live_migratable": 31,
    "one_time_use": 32,
}
# The keys that choose devices; a spec without any of them chooses all.
SPEC_SELECTORS = ("vendor_id", "product_id", "address", "devname")
# An address as an object of regular expressions: 14 takes strings alone.
ADDRESS_OBJECT_SINCE = 15
ADDRESS_PARTS = ("domain", "bus", "slot", "function")
SPEC_BOOLEANS = ("managed", "live_migratable", "one_time_use")

# alias: a JSON schema with additionalProperties false, so that an unknown key is an error.
ALIAS_KEYS = {
    "name": 14,
    "vendor_id": 14,
    "product_id": 14,
    "device_type": 14,
    "capability_type": 14,
    "numa_policy": 17,
    "resource_class": 27,
    "traits": 27,
    "live_migratable": 31,
}
DEVICE_TYPES = ("type-PCI", "type-PF", "type-VF")
NUMA_POLICIES = {"legacy": 17, "preferred": 17, "required": 17, "socket": 23}

# What oslo.utils takes for yes and no when it is strict (strutils.bool_from_string).
TRUE_WORDS = ("1", "t", "true", "on", "y", "yes")
FALSE_WORDS = ("0", "f", "false", "off", "n", "no")

# Filters that are gone -> the first release without them. Naming one keeps nova-scheduler from starting
# (SchedulerHostFilterNotFound, nova/scheduler/host_manager.py).
FILTERS_GONE = {
    "TrustedFilter": 17,
    "TypeAffinityFilter": 17,
    "ExactCoreFilter": 18,
    "ExactDiskFilter": 18,
    "ExactRamFilter": 18,
    "CoreFilter": 20,
    "RamFilter": 20,
    "DiskFilter": 20,
    "RetryFilter": 22,
    "AggregateCoreFilter": 22,
    "AggregateRamFilter": 22,
    "AggregateDiskFilter": 22,
    "AvailabilityZoneFilter": 28,
}
FILTERS_KEPT = (
    "AggregateImagePropertiesIsolation",
    "AggregateInstanceExtraSpecsFilter",
    "AggregateIoOpsFilter",
    "AggregateMultiTenancyIsolation",
    "AggregateNumInstancesFilter",
    "AggregateTypeAffinityFilter",
    "AllHostsFilter",
    "ComputeCapabilitiesFilter",
    "ComputeFilter",
    "DifferentHostFilter",
    "ImagePropertiesFilter",
    "IoOpsFilter",
    "IsolatedHostsFilter",
    "JsonFilter",
    "MetricsFilter",
    "NUMATopologyFilter",
    "NumInstancesFilter",
    "PciPassthroughFilter",
    "SameHostFilter",
    "ServerGroupAffinityFilter",
    "ServerGroupAntiAffinityFilter",
    "SimpleCIDRAffinityFilter",
)
PCI_FILTER = "PciPassthroughFilter"
NUMA_FILTER = "NUMATopologyFilter"
AGGREGATE_FILTER = "AggregateInstanceExtraSpecsFilter"

# Extra specs that GPU flavors use -> since. API 2.86 and later refuses unknown names within hw:, os:, ... -
# and hw:maxphysaddr_* too, for which there is no validator in any release (run 33.0.2): write these below 2.86.
EXTRA_SPECS = {
    "pci_passthrough:alias": 14,
    "hw:cpu_policy": 14,
    "hw:numa_nodes": 14,
    "hw:mem_page_size": 14,
    "hide_hypervisor_id": 18,
    "hw:emulator_threads_policy": 16,
    "hw:pci_numa_affinity_policy": 21,
    "hw:hide_hypervisor_id": 22,
    "hw:tpm_version": 22,
    "hw:locked_memory": 26,
    "hw:viommu_model": 26,
    "hw:maxphysaddr_mode": 29,
    "hw:maxphysaddr_bits": 29,
    "hw:cpu_max_sockets": 30,
    "hw:mem_encryption_model": 32,
}
UNVALIDATED_EXTRA_SPECS = ("hw:maxphysaddr_mode", "hw:maxphysaddr_bits")
VALIDATION_MICROVERSION = "2.86"
