"""A compute host's libvirt: Nova's own fake, made to remember domains and to refuse devices as libvirt does.

What Nova's fake lacks and GPU moves need: it forgets all domains when the process ends, gives back other XML than it
was given, and starts two guests with one device without a word.
"""

# ruff: noqa: N802, N803  # libvirt's names

from __future__ import annotations

import json
import sys
import threading
import types
from pathlib import Path
from typing import Any

import nova.tests
from lxml import etree

from gpuctl_lab.control import Control

# nova.tests.fixtures imports all of Nova's test requirements in its __init__; its libvirt part needs none of them.
_package = types.ModuleType("nova.tests.fixtures")
_package.__path__ = [str(Path(nova.tests.__path__[0]) / "fixtures")]
sys.modules["nova.tests.fixtures"] = _package

from nova.tests.fixtures import libvirt as fake  # noqa: E402  # needs the package above

_OPERATION_INVALID = 55
_DEVICE_MISSING = 38
_lock = threading.RLock()


def error(message: str, code: int = _OPERATION_INVALID) -> Exception:
    """A libvirtError as the QEMU driver raises it."""
    made: Exception = fake.make_libvirtError(
        fake.libvirtError, message, error_code=code, error_domain=fake.VIR_FROM_QEMU, error_message=message
    )
    return made


class Domain(fake.Domain):
    """A domain that keeps the XML that it was defined with."""

    def __init__(self, connection: Connection, xml: str, *, running: bool = False, transient: bool = False) -> None:
        super().__init__(connection=connection, xml=xml, running=running, transient=transient)
        self._tree = etree.fromstring(xml)

    def XMLDesc(self, flags: int) -> str:
        """The XML as defined, with the devices that were attached and without those detached."""
        text: str = etree.tostring(self._tree, pretty_print=True).decode()
        return text

    def createWithFlags(self, flags: int) -> None:
        """The domain runs, unless a device of it is missing or in use."""
        connection = self._connection
        with _lock:
            mine = self.addresses()
            connection.control.reach("domain_create", domain=self.name(), address=(mine or ["0000:00:00.0"])[0])
            for address in mine:
                connection.check_free(address, self)
            super().createWithFlags(flags)
            connection.save(self)

    def destroy(self) -> None:
        """The domain is off."""
        super().destroy()
        self._connection.save(self)

    def shutdown(self) -> None:
        """The guest obeys at once."""
        self.destroy()

    def suspend(self) -> None:
        """The domain is paused, with its devices."""
        super().suspend()
        self._connection.save(self)

    def resume(self) -> None:
        """The domain runs again."""
        super().resume()
        self._connection.save(self)

    def managedSave(self, flags: int) -> None:
        """The domain's memory is on disk, and the domain is off."""
        super().managedSave(flags)
        self.destroy()

    def attachDevice(self, xml: str) -> Any:
        """The device is part of the domain."""
        done = super().attachDevice(xml)
        self._tree.find("devices").append(etree.fromstring(xml))
        self._connection.save(self)
        return done

    def detachDevice(self, xml: str) -> Any:
        """The device is no part of the domain."""
        done = super().detachDevice(xml)
        wanted = etree.fromstring(xml)
        for device in self._tree.findall(f"devices/{wanted.tag}"):
            if _source(device) == _source(wanted):
                device.getparent().remove(device)
        self._connection.save(self)
        return done

    def addresses(self) -> list[str]:
        """The PCI addresses of its host devices."""
        found = self._tree.findall("devices/hostdev[@type='pci']/source/address")
        return [
            "{:04x}:{:02x}:{:02x}.{:x}".format(*(int(a.get(k), 16) for k in ("domain", "bus", "slot", "function")))
            for a in found
        ]


class Connection(fake.Connection):
    """The host's libvirt: domains in files, devices from the lab's topology."""

    def __init__(self, folder: Path, control: Control) -> None:
        raw = json.loads((folder / "host.json").read_text(encoding="utf-8"))
        pci = fake.HostPCIDevicesInfo(num_pci=0, num_pfs=0, num_vfs=0)
        for group, device in enumerate(raw["devices"], start=1):
            _add(pci, device, group)
        info = fake.HostInfo(
            cpu_nodes=raw["numa_nodes"],
            cpu_sockets=1,
            cpu_cores=raw["cores_per_node"],
            cpu_threads=raw["threads"],
            kB_mem=raw["memory_mib"] * 1024,
        )
        super().__init__("qemu:///system", hostname=raw["name"], host_info=info, pci_info=pci)
        self.control = control
        self._folder = folder / "libvirt"
        for path in sorted(self._folder.glob("*.xml")):
            running = path.with_suffix(".state").read_text(encoding="utf-8") == "running"
            domain = Domain(self, path.read_text(encoding="utf-8"), running=running)
            self._vms[domain.name()] = domain

    def defineXML(self, xml: str) -> Domain:
        """The domain is defined, and off."""
        with _lock:
            domain = Domain(self, xml)
            self._vms[domain.name()] = domain
            self.save(domain)
        return domain

    def _undefine(self, dom: Domain) -> None:
        with _lock:
            super()._undefine(dom)
            for suffix in (".state", ".xml"):
                (self._folder / f"{dom.name()}{suffix}").unlink(missing_ok=True)

    def _emit_lifecycle(self, dom: Domain, event: int, detail: int) -> None:
        """No events: the fake would emit them in the thread that causes them, in the midst of Nova's own steps."""

    def save(self, domain: Domain) -> None:
        """The domain's file says what the domain is."""
        with _lock:
            if self._vms.get(domain.name()) is not domain:
                return
            active = domain._state in (fake.VIR_DOMAIN_RUNNING, fake.VIR_DOMAIN_PAUSED)
            path = self._folder / f"{domain.name()}.xml"
            path.with_suffix(".state").write_text("running" if active else "shut off", encoding="utf-8")
            part = path.with_suffix(".part")
            part.write_text(domain.XMLDesc(0), encoding="utf-8")
            part.rename(path)

    def check_free(self, address: str, domain: Domain) -> None:
        """No other guest has the device; else libvirt's error."""
        name = f"pci_{address.replace(':', '_').replace('.', '_')}"
        if self.pci_info.get_device_by_name(name) is None:
            raise error(f"Device {address} not found: could not access /sys/bus/pci/devices/{address}/config: "
                        "No such file or directory", _DEVICE_MISSING)  # fmt: skip
        user = next(
            (other.name() for other in self._vms.values()
             if other is not domain and other._state != fake.VIR_DOMAIN_SHUTOFF and address in other.addresses()),
            "instance-00000bad" if self.control.held(address) else None,
        )  # fmt: skip
        if user:
            raise error(f"Requested operation is not valid: PCI device {address} is in use by driver QEMU, "
                        f"domain {user}")  # fmt: skip

    def getCPUStats(self, cpuNum: int, flag: int) -> dict[str, int]:
        """Nova's fake has two CPUs."""
        stats: dict[str, int] = super().getCPUStats(min(cpuNum, 1), flag)
        return stats


def _add(pci: Any, device: dict[str, Any], group: int) -> None:
    bus, slot, function = (int(part, 16) for part in device["address"][5:].replace(".", ":").split(":"))
    vendor, product = device["id"].split(":")
    pci.add_device(
        dev_type=device["type"],
        bus=bus,
        slot=slot,
        function=function,
        iommu_group=device.get("iommu_group", group),
        numa_node=device["numa"],
        # A card that could have virtual functions and has none enabled, which is how a GPU is passed through whole.
        vf_ratio=0 if device["type"] == "PF" else None,
        vend_id=vendor,
        vend_name="NVIDIA Corporation" if vendor == "10de" else "Intel Corporation",
        prod_id=product,
        prod_name=device["name"],
        driver_name=device.get("driver", "vfio-pci"),
    )


def _source(device: Any) -> str:
    source = device.find("source")
    if source is None:
        return ""
    text: str = etree.tostring(source, method="c14n").decode()
    return "".join(text.split())
