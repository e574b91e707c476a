"""The extra specs whose names Nova 34 validates, so that a slip of the pen is found before anything is sent.

Source: nova/api/validation/extra_specs/{hw,os,hw_rng,hw_video,quota,accel,pci_passthrough}.py of 34.0.0, and the two
hw:maxphysaddr_* that nova/virt/hardware.py reads without a validator.
"""

from __future__ import annotations

import difflib
import re

NAMES = frozenset(
    [
        "hw:boot_menu",
        "hw:cpu_cores",
        "hw:cpu_dedicated_mask",
        "hw:cpu_max_cores",
        "hw:cpu_max_sockets",
        "hw:cpu_max_threads",
        "hw:cpu_policy",
        "hw:cpu_realtime",
        "hw:cpu_realtime_mask",
        "hw:cpu_sockets",
        "hw:cpu_thread_policy",
        "hw:cpu_threads",
        "hw:emulator_threads_policy",
        "hw:ephemeral_encryption",
        "hw:ephemeral_encryption_format",
        "hw:hide_hypervisor_id",
        "hw:locked_memory",
        "hw:maxphysaddr_bits",
        "hw:maxphysaddr_mode",
        "hw:mem_encryption",
        "hw:mem_encryption_model",
        "hw:mem_page_size",
        "hw:numa_nodes",
        "hw:pci_numa_affinity_policy",
        "hw:pmem",
        "hw:pmu",
        "hw:redirected_usb_ports",
        "hw:serial_port_count",
        "hw:sound_model",
        "hw:tpm_model",
        "hw:tpm_secret_security",
        "hw:tpm_version",
        "hw:usb_model",
        "hw:vif_multiqueue_enabled",
        "hw:viommu_model",
        "hw:virtio_packed_ring",
        "hw:watchdog_action",
        "hw_rng:allowed",
        "hw_rng:rate_bytes",
        "hw_rng:rate_period",
        "hw_video:ram_max_mb",
        "os:secure_boot",
        "pci_passthrough:alias",
        "accel:device_profile",
        "hw:max_cpu_cores",
        "hw:max_cpu_sockets",
        "hw:max_cpu_threads",
    ]
)
CHECKED = frozenset({"hw", "os", "hw_rng", "hw_video", "pci_passthrough", "accel"})
_NUMBERED = re.compile(r"hw:numa_(cpus|mem)\.\d+")


def complaint(key: str) -> str:
    """Return what is wrong with an extra spec's name; "" for one that Nova knows, or does not look at."""
    if key.partition(":")[0] not in CHECKED or ":" not in key or key in NAMES or _NUMBERED.fullmatch(key):
        return ""
    near = difflib.get_close_matches(key, NAMES, 1, 0.7)
    return f"Nova has no extra spec {key}" + (f"; is {near[0]} meant?" if near else "")
