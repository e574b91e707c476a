"""Facts made by hand: a host of which nothing is known, and the few things that a test says of it."""

from __future__ import annotations

from gpuctl_host.data import changed
from gpuctl_host.facts.model import Boot, Facts, Gpu, Iommu, Kernel, PciFunction, Software, System


def function(address, ids="10de:1b80", class_code="030000", **more):
    """Return a PCI function of which nothing but address, ids and class is known."""
    vendor, _, device = ids.partition(":")
    return changed(
        PciFunction(
            address=address,
            vendor_id=vendor,
            device_id=device,
            subsystem_vendor=None,
            subsystem_device=None,
            class_code=class_code,
            revision=None,
            driver=None,
            driver_override=None,
            iommu_group=None,
            numa_node=None,
            boot_vga=None,
            sriov_totalvfs=0,
            sriov_numvfs=0,
            physfn=None,
            reset_methods=None,
            bars=(),
            power_state=None,
            d3cold_allowed=None,
            power_control=None,
            modalias=None,
            header_type=None,
            config_dead=False,
            parent=None,
            path=f"/sys/devices/pci0000:00/{address}",
        ),
        **more,
    )


def gpu(address, functions=(), peers=(), holders=(), **more):
    """Return a GPU; ``functions`` are (role, PciFunction)."""
    return Gpu(function(address, **more), "a card", tuple(functions), tuple(peers), holders)


def facts(*gpus, pci=(), drivers_seen=True, **more):
    """Return facts of a host of which nothing else is known; ``more`` are fields of Facts, or dicts for its parts."""
    every = {item.address: item for item in pci}
    for card in gpus:
        every.update({item.address: item for item in (*card.members, *card.group_peers)})
    empty = Facts(
        host=None,
        collected_at="2026-11-20T19:00:00Z",
        vendors=("10de",),
        system=System(None, None, None, None, None, False, None, None, (), None, None),
        kernel=Kernel(None, None, None, None, None, None, None, ()),
        iommu=Iommu(None, None, None, None, None, (), ()),
        boot=Boot(None, None, None, None, None, None),
        software=Software(None, None, None, (), ()),
        pci=tuple(every.values()) or None,
        drivers_seen=drivers_seen,
        gpus=gpus,
        nvswitches=(),
        modprobe=None,
        iomem=None,
        needs=None,
        foreign=(),
        record=None,
        files={},
        images=None,
    )
    parts = {
        name: changed(getattr(empty, name), **value) if isinstance(value, dict) else value
        for name, value in more.items()
    }
    return changed(empty, **parts)


def by_id(findings, name):
    """Return the findings of one check."""
    return [item for item in findings if item.id == name]
