"""What tests ask of a running machine again and again: functions and drivers, a snapshot, VFIO opened for real."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .connection import Result
from .machine import Machine

TOOLS = Path(__file__).parent / "inside"

_LOOK = r"""
cd /sys/bus/pci/devices && for d in *; do
  v=$(cat $d/vendor); p=$(cat $d/device); s=$(cat $d/subsystem_vendor):$(cat $d/subsystem_device)
  drv=$(basename "$(readlink $d/driver)"); grp=$(basename "$(readlink $d/iommu_group)")
  echo "$d|${v#0x}:${p#0x}|$s|$(cat $d/class)|$drv|$grp|$(cat $d/driver_override)"
done
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One PCI function as the guest's sysfs shows it; empty text where there is none."""

    ids: str
    subsystem: str
    class_code: str
    driver: str
    group: str
    override: str


def functions(machine: Machine) -> dict[str, Seen]:
    """Address -> what is there, for every PCI function of the guest."""
    found = {}
    for line in machine.ssh(_LOOK).out.splitlines():
        address, *rest = line.split("|")
        found[address] = Seen(*rest)
    return found


def snapshot(machine: Machine, *folders: str) -> dict[str, dict[str, Any]]:
    """Path -> type, mode, owner and hash of everything below the guest's folders (inside/snapshot.py)."""
    machine.put(TOOLS / "snapshot.py", "/run/snapshot.py")
    names = " ".join(map(shlex.quote, folders or ("/etc", "/boot")))
    found: dict[str, dict[str, Any]] = json.loads(machine.ssh(f"python3 /run/snapshot.py {names}", timeout=1800).out)
    return found


def vfio_open(machine: Machine, *addresses: str) -> list[dict[str, Any]]:
    """Each function with group, viable, opened, ids, error, as the guest's VFIO gave them (inside/vfio_open.py)."""
    machine.put(TOOLS / "vfio_open.py", "/run/vfio_open.py")
    done = machine.ssh(f"python3 /run/vfio_open.py {' '.join(map(shlex.quote, addresses))}", check=False)
    answer: list[dict[str, Any]] = json.loads(done.out)["functions"]
    return answer


def inner_qemu(machine: Machine, *addresses: str, timeout: float = 600) -> Result:
    """A QEMU in the guest, with these functions by VFIO and no guest of its own; `out` is its `info pci`.

    It fails as it would for a real instance: group not viable, device busy, no driver.
    """
    devices = " ".join(f"-device vfio-pci,host={shlex.quote(address)}" for address in addresses)
    line = f"qemu-system-x86_64 -M q35 -accel tcg -m 64 -nodefaults -display none -S -monitor stdio {devices}"
    return machine.ssh(f"printf 'info pci\\nquit\\n' | {line}", check=False, timeout=timeout)


def hold(machine: Machine, *addresses: str) -> int:
    """A QEMU in the guest has these functions open and stays; its pid is returned. `let_go` ends it."""
    devices = " ".join(f"-device vfio-pci,host={shlex.quote(address)}" for address in addresses)
    line = (
        f"qemu-system-x86_64 -name tenant -M q35 -accel tcg -m 64 -nodefaults -display none -S -monitor none {devices}"
    )
    machine.ssh(f"systemd-run --quiet --collect --unit=lab-tenant {line}")
    # a device's descriptor, not the group's alone: only then every part of it is held
    held = "p=$(systemctl show -P MainPID lab-tenant); ls -l /proc/$p/fd | grep -q 'vfio-device' && echo $p && exit"
    looked = machine.ssh(f"for i in $(seq 300); do {held}; sleep 1; done; journalctl -u lab-tenant; exit 1")
    return int(looked.out)


def let_go(machine: Machine) -> None:
    """The QEMU of `hold` has ended."""
    machine.ssh("systemctl stop lab-tenant")


def driver_map(machine: Machine) -> dict[str, tuple[str, str]]:
    """Address -> driver and driver_override, for every PCI function of the guest."""
    return {address: (seen.driver, seen.override) for address, seen in functions(machine).items()}


def changed(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[str]:
    """The paths of two snapshots that differ in anything: bytes too, also of an initramfs."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
