"""A fleet to draw: documents as real hosts give them, under many names."""

from __future__ import annotations

import copy

FIX = "run `gpuctl host prepare`, then reboot"
FINDINGS = (
    ("iommu-enabled", "fail", "host", "the kernel put no device in an IOMMU group", "/sys/kernel/iommu_groups is empty",
     "add intel_iommu=on to the kernel command line: run `gpuctl host prepare`"),
    ("gpu-driver", "fail", "0000:42:00.0", "0000:42:00.0 is on nouveau", "/sys/bus/pci/devices/0000:42:00.0/driver -> nouveau", FIX),
    ("drift", "warn", "host", "an installed kernel has no prepared initramfs", "images without our files: 6.1.0-99-amd64",
     "run `update-initramfs -u -k 6.1.0-99-amd64`"),
    ("group-isolated", "warn", "0000:84:00.0", "0000:84:00.0 shares its group with another card", "group 31: 0000:84:00.0 0000:85:00.0",
     "see the mainboard's manual for ACS"),
)  # fmt: skip
MODELS = ("NVIDIA H100 SXM5 80GB", "NVIDIA L40S", "AMD Instinct MI300X", "NVIDIA A10")


def facts(
    host: str, *, model: str = MODELS[0], cards: int = 8, kernel: str = "6.1.0-28-amd64", shared: bool = False
) -> dict:
    def card(number: int) -> dict:
        address = f"0000:{0x41 + number:02x}:00.0"
        peer = {
            "address": "0000:09:00.0",
            "vendor_id": "15b3",
            "device_id": "1021",
            "class": "0200",
            "driver": "mlx5_core",
            "bridge": False,
        }
        return {"address": address, "vendor_id": "10de", "device_id": "2330", "name": model, "class": "0302", "driver": "vfio-pci",
                "iommu_group": 20 + number, "numa_node": number * 2 // max(cards, 1), "functions": [], "holders": [],
                "group_peers": [peer] if shared and number == 1 else []}  # fmt: skip

    return {"schema": "gpuctl.host.facts/1", "host": host, "collected_at": "2026-11-21T10:00:00Z", "kernel": {"release": kernel},
            "gpus": [card(number) for number in range(cards)]}  # fmt: skip


def check(host: str, wrong: tuple[int, ...] = (), *, model: str = MODELS[0], cards: int = 8) -> dict:
    keys = ("id", "status", "subject", "title", "evidence", "fix")
    findings = [dict(zip(keys, FINDINGS[number]), doc="") for number in wrong]
    failed = [item for item in findings if item["status"] == "fail"]
    gpus = [{"address": f"0000:{0x41 + number:02x}:00.0", "name": model, "ready": not failed, "blockers": [item["id"] for item in failed]}
            for number in range(cards)]  # fmt: skip
    passed = {
        "id": "gpu-present",
        "status": "pass",
        "subject": "host",
        "title": "GPUs are there",
        "evidence": "",
        "fix": "",
        "doc": "",
    }
    return copy.deepcopy(
        {
            "schema": "gpuctl.host.check/1",
            "host": host,
            "ready": not failed,
            "gpus": gpus,
            "findings": [passed, *findings],
        }
    )


def fleet(count: int) -> dict[str, list[dict]]:
    """``count`` hosts in racks of 40, some of them ill."""
    hosts = {}
    for number in range(count):
        name = f"gpu{number + 1}.dc1"
        model = MODELS[number // 40 % len(MODELS)]
        wrong = tuple(at for at, every in ((0, 17), (1, 23), (2, 9), (3, 31)) if number % every == every - 1)
        hosts[name] = [facts(name, model=model, shared=3 in wrong), check(name, wrong, model=model)]
    return hosts
