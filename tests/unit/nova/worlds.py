"""Facts documents in few words, for the tests of gpuctl nova."""

from __future__ import annotations

NAMES = {
    "10de:1b80": "GP104 [GeForce GTX 1080]",
    "10de:2330": "GH100 [H100 SXM5 80GB]",
    "10de:20b0": "GA100 [A100 SXM4 40GB]",
    "10de:20b2": "GA100 [A100 SXM4 80GB]",
    "1002:74a1": "Aqua Vanjaram [Instinct MI300X]",
}


def gpu(line, functions=()):
    """Return a GPU of `address vendor:device driver [type-PF] [vfs=N] [numvfs=N] [pf=ADDRESS]`; driver - is none."""
    address, ids, driver, *more = line.split()
    keys = dict(word.split("=", 1) for word in more if "=" in word)
    kind = next((word for word in more if word.startswith("type-")), None)
    vfs = int(keys.get("vfs", 16 if kind == "type-PF" else 0))
    return {
        "address": address,
        "vendor_id": ids.split(":")[0],
        "device_id": ids.split(":")[1],
        "subsystem_id": None,
        "name": NAMES.get(ids, ""),
        "class": "0302",
        "driver": None if driver == "-" else driver,
        "iommu_group": 1,
        "numa_node": 0,
        "boot_vga": False,
        "sriov_totalvfs": vfs,
        "sriov_numvfs": int(keys.get("numvfs", 0)),
        "physfn": keys.get("pf"),
        "nova_device_type": kind or ("type-VF" if "pf" in keys else "type-PF" if vfs else "type-PCI"),
        "reset_methods": None,
        "bars": [],
        "holders": [],
        "functions": list(functions),
        "group_peers": [],
    }


def facts(host, text):
    """Return a facts document: one GPU a line; `+ address ids role driver` is a function of the GPU above, `nvswitch ...` a switch."""
    gpus, switches = [], []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        if line.startswith("+"):
            address, ids, role, driver = line[1:].split()
            vendor, device = ids.split(":")
            item = {
                "address": address,
                "role": role,
                "vendor_id": vendor,
                "device_id": device,
                "driver": driver,
                "iommu_group": 1,
            }
            gpus[-1]["functions"].append(item)
        elif line.startswith("nvswitch"):
            _, address, ids, driver = line.split()
            vendor, device = ids.split(":")
            switches.append(
                {"address": address, "vendor_id": vendor, "device_id": device, "driver": driver, "iommu_group": 2}
            )
        else:
            gpus.append(gpu(line))
    return {"schema": "gpuctl.host.facts/1", "host": host, "gpus": gpus, "nvswitches": switches}


FARM = {
    "gpu1": """
        0000:42:00.0 10de:1b80 vfio-pci
        + 0000:42:00.1 10de:10f0 audio -
        0000:84:00.0 10de:1b80 vfio-pci
        + 0000:84:00.1 10de:10f0 audio -
    """,
    "gpu2": """
        0000:42:00.0 10de:1b80 vfio-pci
        0000:84:00.0 10de:1b80 nvidia
        + 0000:84:00.1 10de:10f0 audio snd_hda_intel
    """,
}
HGX = "\n".join(
    f"0000:{bus}:00.0 10de:2330 vfio-pci type-PF" for bus in ("18", "2a", "3a", "5d", "9a", "ab", "ba", "db")
)
MIXED = {**FARM, "hgx.example.org": HGX + "\nnvswitch 0000:05:00.0 10de:22a3 nvidia-nvswitch"}


def documents(world):
    return [facts(host, text) for host, text in world.items()]


def hosts(world):
    from gpuctl.nova.hosts import host_of

    return tuple(host_of(document, origin=document["host"]) for document in documents(world))
