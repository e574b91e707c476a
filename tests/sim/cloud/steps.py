"""The steps of Nova's services: how long they take, what can be told to fail, and what only a test remembers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NEWEST = {13: "2.25", 14: "2.38", 15: "2.42", 16: "2.53", 17: "2.60", 18: "2.65", 19: "2.72", 20: "2.79", 21: "2.87", 22: "2.87", 23: "2.88",
          24: "2.90", 25: "2.90", 26: "2.93", 27: "2.95", 28: "2.95", 29: "2.96", 30: "2.96", 31: "2.100", 32: "2.100", 33: "2.103", 34: "2.104"}  # fmt: skip
#: Seconds that a step takes before it is scaled by `pace`; any other takes one.
SECONDS = {"api": 0.0, "conductor": 0.3, "prep_resize": 0.7, "resize_instance": 1.0, "copy_disks": 2.0, "handover": 0.3, "finish_resize": 2.0, "confirm": 1.0,
           "snapshot": 3.0, "spawn": 3.0, "power_off": 1.0, "power_on": 1.0, "update_usage": 0.1}  # fmt: skip
#: A migration in one of these is over for the resource tracker.
OVER = {"confirmed", "reverted", "failed", "completed", "cancelled", "done"}
BUSY = "Requested operation is not valid: PCI device {address} is in use by driver QEMU, domain {domain}"
SSH = "Unexpected error while running command.\nCommand: ssh -o BatchMode=yes {host} mkdir -p /var/lib/nova/instances\nExit code: 255\nStderr: 'Host key verification failed.'"
#: Scripted faults: the name, what Nova raises, its text. Each is looked for at the host that does the step.
FAULTS = {
    "finish_migration": ("libvirt.libvirtError", BUSY.format(address="{address}", domain="instance-00000bad")),
    "finish_revert_migration": ("libvirt.libvirtError", BUSY.format(address="{address}", domain="instance-00000bad")),
    "spawn": ("libvirt.libvirtError", BUSY.format(address="{address}", domain="instance-00000bad")),
    "power_on": ("libvirt.libvirtError", BUSY.format(address="{address}", domain="instance-00000bad")),
    "reboot": ("libvirt.libvirtError", BUSY.format(address="{address}", domain="instance-00000bad")),
    "ssh": ("nova.exception.ResizeError", SSH),
    "disk_copy": ("oslo_concurrency.processutils.ProcessExecutionError", "scp: No space left on device"),
    "confirm_migration": ("libvirt.libvirtError", "Cannot undefine domain: connection reset by peer"),
    "snapshot": ("RuntimeError", "No space left on device"),
    "prep_block_device": (
        "nova.exception.VolumeNotFound",
        "Volume could not be found.",
    ),  # of an unshelve, before its claim
    "prep_resize": ("nova.exception.ComputeResourcesUnavailable", "Insufficient compute resources: Claim pci failed."),
    "guest": ("", ""),  # starts, and is dead a moment later: nobody in Nova notices
}
#: Nova's own exceptions, whose text is shown.
PLAIN = {"nova.exception.ResizeError", "nova.exception.ComputeResourcesUnavailable"}


@dataclass
class Scripted:
    """A fault that waits for its step."""

    fault: str
    host: str | None
    times: int
    server: str | None = None


@dataclass
class Happened:
    """What a test wants to know afterwards and no book holds."""

    faults: list[tuple[str, str, str]] = field(default_factory=list)  # (fault, host, server) that struck
    confirmed_unproven: list[dict[str, Any]] = field(default_factory=list)
    overlaps: list[str] = field(default_factory=list)  # servers whose move began while another was open
    leaky: list[str] = field(default_factory=list)  # servers whose move began while they had rows on two hosts
    destroyed: list[str] = field(default_factory=list)  # running guests that a failed reboot or start destroyed
    bugs: list[str] = field(default_factory=list)  # of the simulator
