"""Hand-made records."""

from __future__ import annotations

from gpuctl.moves.model import Books, Compute, Migration, Provider, Row, Server

ID = "11111111-1111-4111-8111-111111111111"


def server(**fields):
    given = dict(
        id=ID, name="guest", status="ACTIVE", vm_state="active", task_state=None, power_state=1, host="gpu-a", node="gpu-a",
        instance_name="instance-1", locked=False, project="p", flavor="gpu.1", specs={"pci_passthrough:alias": "h100:1"},
        vcpus=4, ram_mib=8192, root_gib=20, ephemeral_gib=0, swap_mib=0, image="i", volumes=(), zone="nova",
        created="2026-01-01T00:00:00Z", updated="2026-01-01T00:00:00Z", groups=(),
    )  # fmt: skip
    return Server(**{**given, **fields})


def migration(number=1, status="finished", **fields):
    given = dict(
        id=number, uuid=f"m-{number}", server=ID, kind="migration", status=status, source="gpu-a", dest="gpu-b",
        created="2026-01-01T00:00:00", updated="2026-01-01T00:00:00",
    )  # fmt: skip
    return Migration(**{**given, **fields})


def compute(host, **fields):
    return Compute(**{**dict(id=host, host=host, enabled=True, up=True, zone="nova"), **fields})


def card(host, n, *, used=0, kind="CUSTOM_PCI_10DE_2330", **fields):
    given = dict(
        uuid=f"{host}-{n}", name=f"{host}_0000:0{n}:00.0", host=host, parent=host, generation=1,
        address=f"0000:0{n}:00.0", inventories={kind: 1}, usages={kind: used},
    )  # fmt: skip
    return Provider(**{**given, **fields})


def node(host, **left):
    room = {"VCPU": 64, "MEMORY_MB": 100_000, "DISK_GB": 1000, **left}
    return Provider(host, host, host, None, 1, None, room, dict.fromkeys(room, 0))


def row(host, n, *, owner=None, product="2330"):
    status = "allocated" if owner else "available"
    return Row(host, f"0000:0{n}:00.0", "10de", product, "type-PF", status, owner)


def books(**fields):
    computes = {one.host: one for one in (compute("gpu-a"), compute("gpu-b"), compute("gpu-c"))}
    given = dict(servers={ID: server()}, migrations=(), computes=computes, newest=(2, 104), tracked=False)
    return Books(**{**given, **fields})
