"""Puts the fake libvirt and the few other stand-ins in place before nova-compute starts.

Nova's LibvirtDriver itself runs unchanged; each patch below stands for a part of a real host that is not here.
"""

import functools
import logging
import os
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nova.conf
import nova.exception
import nova.privsep
from nova import context
from nova.compute import manager as compute_manager
from nova.compute import resource_tracker
from nova.compute import utils as compute_utils
from nova.pci import utils as pci_utils
from nova.virt.libvirt import driver, host
from nova.virt.libvirt import utils as libvirt_utils
from nova.virt.libvirt.volume import remotefs
from oslo_concurrency import processutils

from gpuctl_lab import transport
from gpuctl_lab.control import Control

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)
#: LibvirtDriver's methods at whose start a fault can be made to happen.
STEPS = (
    "spawn",
    "destroy",
    "cleanup",
    "power_on",
    "power_off",
    "reboot",
    "snapshot",
    "migrate_disk_and_power_off",
    "finish_migration",
    "confirm_migration",
    "finish_revert_migration",
)


def install() -> None:
    """Everything is in place; called before Nova reads its configuration."""
    folder = Path(os.environ["GPUCTL_LAB_HOST"])
    from gpuctl_lab import fakehost

    control = Control(
        folder / "control",
        {
            "libvirtError": fakehost.error,
            "ProcessExecutionError": lambda text: processutils.ProcessExecutionError(stderr=text, exit_code=255),
            "RuntimeError": RuntimeError,
        },
    )
    _libvirt(fakehost, folder, control)
    _machine(folder)
    remotefs.SshDriver = transport.make_driver(folder, control)
    for name in STEPS:
        _watch_step(driver.LibvirtDriver, name, control)
    # Before it waits for the tracker's lock, which an audit may have for long.
    _watch_step(resource_tracker.ResourceTracker, "update_usage", control)
    _answer_requests(folder)
    # Nova's privileged helpers run in this process: there is nothing here that needs privileges, and no sudo.
    nova.privsep.sys_admin_pctxt.set_client_mode(False)


def _libvirt(fakehost: Any, folder: Path, control: Control) -> None:
    """`import libvirt` gives the fake, with this host's connection."""
    connection = fakehost.Connection(folder, control)
    fakehost.fake.openAuth = lambda uri, auth, flags=0: connection
    sys.modules["libvirt"] = fakehost.fake
    for name in ("driver", "host", "guest", "migration"):
        module = sys.modules.get(f"nova.virt.libvirt.{name}")
        if module is not None:
            module.libvirt = fakehost.fake  # type: ignore[attr-defined]
    # Nothing to listen for, see Connection._emit_lifecycle.
    host.Host._init_events = lambda self: None


def _machine(folder: Path) -> None:
    """What Nova would read off the machine beside libvirt."""
    machine_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, folder.name))
    driver.LibvirtDriver._get_host_sysinfo_serial_os = lambda self: machine_id
    host.Host._get_avail_memory_kb = lambda self: 200 * 1024 * 1024
    host.Host._log_host_capabilities = lambda self, caps: None
    compute_utils.get_machine_ips = lambda: [CONF.my_ip]
    terabyte = 1024**4
    libvirt_utils.get_fs_info = lambda path: {"total": 8 * terabyte, "free": 8 * terabyte, "used": 0}

    def no_netdev(pci_addr: str, *_: Any, **__: Any) -> str:
        raise nova.exception.PciDeviceNotFoundById(id=pci_addr)

    pci_utils.get_mac_by_pci_address = no_netdev
    pci_utils.get_ifname_by_pci_address = no_netdev

    # All hosts share this machine's file system; a host sees only its own instances.
    def sees(self: driver.LibvirtDriver, ctxt: Any, data: dict[str, str]) -> bool:
        return data["filename"].startswith(CONF.instances_path + os.sep) and os.path.exists(data["filename"])

    driver.LibvirtDriver.check_instance_shared_storage_remote = sees


def _watch_step(of: type, name: str, control: Control) -> None:
    original: Callable[..., Any] = getattr(of, name)

    @functools.wraps(original)
    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        uuids = [a.uuid for a in (*args, *kwargs.values()) if type(a).__name__ == "Instance"]
        with control.step(name, server=uuids[0] if uuids else ""):
            return original(self, *args, **kwargs)

    setattr(of, name, watched)


def _answer_requests(folder: Path) -> None:
    """A file `audit-*.request` has the periodic audit run at once, and becomes `audit-*.done`; so has `sweep-*`."""
    managers: list[compute_manager.ComputeManager] = []
    original = compute_manager.ComputeManager.__init__

    def init(self: compute_manager.ComputeManager, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        managers.append(self)
        threading.Thread(target=serve, daemon=True).start()

    def serve() -> None:
        while True:
            time.sleep(0.1)
            for request in (folder / "control").glob("*.request"):
                try:
                    if request.name.startswith("sweep-"):
                        sweep()
                    else:
                        managers[0].update_available_resource(context.get_admin_context())
                except Exception:
                    LOG.exception("lab: %s failed", request.name)
                finally:
                    request.rename(request.with_suffix(".done"))

    def sweep() -> None:
        for domain in list(managers[0].driver._host.get_connection()._vms.values()):
            domain.destroy()
            domain.undefine()
        for path in (folder / "instances").iterdir():
            if path.name.count("-") == 4:
                shutil.rmtree(path, ignore_errors=True)

    compute_manager.ComputeManager.__init__ = init
