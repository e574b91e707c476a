"""Books made by hand: a guest on gpu-a with one h100, right in every view, for tests to spoil."""

from __future__ import annotations

from dataclasses import replace

from gpuctl.moves.model import (
    ALIAS,
    Allocation,
    Books,
    Compute,
    Domain,
    HostView,
    Migration,
    Provider,
    Row,
    Server,
)

GUEST = "aaaaaaaa-0000-4000-8000-000000000001"
NOW = "2026-11-21T12:00:00Z"


def server(**more):
    made = Server(
        id=GUEST, name="guest", status="ACTIVE", vm_state="active", task_state=None, power_state=1, host="gpu-a", node="gpu-a",
        instance_name="instance-00000001", locked=False, project="p", flavor="gpu.1", specs={ALIAS: "h100:1"}, vcpus=4, ram_mib=8192, root_gib=20,
        ephemeral_gib=0, swap_mib=0, image="i", volumes=(), zone="nova", created=NOW, updated=NOW,
    )  # fmt: skip
    return replace(made, **more)


def row(host="gpu-a", address="0000:04:00.0", owner=GUEST, *, status=None, network=False):
    return Row(
        host,
        address,
        "10de",
        "2330",
        "type-PF",
        status or ("allocated" if owner else "available"),
        owner,
        network=network,
    )


def migration(number=1, status="confirmed", kind="migration", source="gpu-b", dest="gpu-a", *, at=NOW):
    return Migration(number, f"m-{number}", GUEST, kind, status, source, dest, at, at)


def card(host="gpu-a", address="0000:04:00.0", used=1):
    return Provider(
        f"{host}/{address}",
        f"{host}_{address}",
        host,
        host,
        1,
        address,
        {"CUSTOM_PCI_10DE_2330": 1},
        {"CUSTOM_PCI_10DE_2330": used},
    )


def allocation(*cards, roots=("gpu-a",), consumer=GUEST):
    return Allocation(
        consumer, {**{root: {"VCPU": 4} for root in roots}, **{one: {"CUSTOM_PCI_10DE_2330": 1} for one in cards}}, 1
    )


def domain(host="gpu-a", *hostdevs, state="running", uuid=GUEST, name="instance-00000001"):
    return Domain(host, uuid, name, state, hostdevs or ("0000:04:00.0",))


def view(host, *domains, folders=(), vfio=("0000:04:00.0", "0000:05:00.0"), shared=False):
    lspci = dict.fromkeys(("0000:04:00.0", "0000:05:00.0", *(vfio or ())), "10de:2330")
    return HostView(host, tuple(domains), tuple(folders), shared, vfio, lspci)


def books(**more):
    """Everything is right; what is given is otherwise."""
    hosts = ("gpu-a", "gpu-b")
    cards = [
        card(host, address, used=int((host, address) == ("gpu-a", "0000:04:00.0")))
        for host in hosts
        for address in ("0000:04:00.0", "0000:05:00.0")
    ]
    roots = [Provider(host, host, host, None, 1, None, {}, {}) for host in hosts]
    made = Books(
        servers={GUEST: server()},
        migrations=(),
        computes={host: Compute(f"c-{host}", host, enabled=True, up=True) for host in hosts},
        newest=(2, 104),
        providers={one.uuid: one for one in (*roots, *cards)},
        allocations={GUEST: allocation("gpu-a/0000:04:00.0")},
        tracked=True,
        rows=(
            row(),
            row(address="0000:05:00.0", owner=None),
            row("gpu-b", owner=None),
            row("gpu-b", "0000:05:00.0", owner=None),
        ),
        hosts={"gpu-a": view("gpu-a", domain()), "gpu-b": view("gpu-b")},
        whole=True,
    )
    made = replace(made, **more)
    return made if made.rows is None else replace(made, rows=_whole(made.rows))


def _whole(rows):
    """These rows, and free ones for the cards that they leave out."""
    known = {(one.host, one.address) for one in rows}
    every = [(host, address) for host in ("gpu-a", "gpu-b") for address in ("0000:04:00.0", "0000:05:00.0")]
    return (*rows, *(row(host, address, owner=None) for host, address in every if (host, address) not in known))
