"""Each guard: what passes, what it refuses, what it cannot know. One row a situation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuctl.moves.drain.room import lacking, need_of, room_of
from gpuctl.moves.guards import GUARDS, Group, Situation, guard
from gpuctl.moves.guards.supply import enough
from gpuctl.moves.model import Allocation, Domain, HostView, Unseen
from gpuctl.moves.move import Options
from tests.unit.moves.ways.kit import ID, books, card, compute, migration, node, row, server

CARDS = [
    node("gpu-a"),
    node("gpu-b"),
    node("gpu-c", MEMORY_MB=100),
    card("gpu-a", 1, used=1),
    card("gpu-b", 1),
    card("gpu-c", 1, used=1),
]
TRACKED = dict(
    tracked=True,
    providers={one.uuid: one for one in CARDS},
    allocations={ID: Allocation(ID, {"gpu-a-1": {"CUSTOM_PCI_10DE_2330": 1}}, 1)},
)
OURS = row("gpu-a", 1, owner=ID)


def situation(*, at_server=None, **fields):
    one = at_server or server()
    names = ("to", "strategy", "groups", "vnic_types", "busy", "options", "keepers")
    given = {name: fields.pop(name) for name in names if name in fields}
    situation_of = {"strategy": "cold", "options": Options(), "groups": (), "vnic_types": ("normal",), **given}
    return Situation(one, books(servers={ID: one}, **fields), **situation_of)


def said(name, **fields):
    found = [one for one in guard(situation(**fields)) if one.id == name]
    assert found, name
    return found[0].status


def view(host, *domains, vfio=("0000:01:00.0",)):
    return HostView(host, tuple(domains), (), False, vfio, dict.fromkeys(vfio, "10de:2330"))


def computes(**changed):
    found = {one: compute(one) for one in ("gpu-a", "gpu-b", "gpu-c")}
    return {
        **found,
        **{name.replace("_", "-"): compute(name.replace("_", "-"), **more) for name, more in changed.items()},
    }


ROWS = [
    ("move-cards", "pass", {}),
    ("move-cards", "warn", {"at_server": server(specs={})}),
    ("move-server-state", "pass", {}),
    ("move-server-state", "pass", {"at_server": server(vm_state="stopped", status="SHUTOFF", power_state=4)}),
    ("move-server-state", "fail", {"at_server": server(task_state="resize_prep")}),
    ("move-server-state", "fail", {"at_server": server(vm_state="error", status="ERROR")}),
    ("move-server-state", "fail", {"at_server": server(vm_state="resized", status="VERIFY_RESIZE")}),
    ("move-server-state", "fail", {"at_server": server(vm_state="shelved_offloaded", host=None)}),
    ("move-server-state", "fail", {"at_server": server(power_state=4)}),
    ("move-server-state", "fail", {"at_server": server(vm_state="stopped", power_state=4), "strategy": "live"}),
    ("move-locked", "pass", {}),
    ("move-locked", "fail", {"at_server": server(locked=True)}),
    ("move-locked", "warn", {"at_server": server(locked=True), "options": Options(force_locked=True)}),
    ("move-history", "pass", {}),
    ("move-history", "pass", {"migrations": (migration(status="confirmed"), migration(2, "reverted"), migration(3, "failed"))}),
    ("move-history", "fail", {"migrations": (migration(status="finished"),)}),
    ("move-history", "fail", {"migrations": (migration(status="post-migrating"),)}),
    ("move-history", "fail", {"migrations": (migration(status="error"),)}),
    ("move-history", "pass", {"migrations": (migration(status="error", dest=None),)}),
    ("move-history", "pass", {"migrations": (migration(status="error"),), "rows": (OURS,)}),
    ("move-history", "fail", {"migrations": (migration(status="error"),), "rows": (OURS, row("gpu-b", 1, owner=ID))}),
    ("move-history", "fail", {"migrations": (migration(status="error"),), "rows": (OURS, row("gpu-a", 2, owner=ID))}),
    ("move-history", "pass", {"migrations": (migration(status="error"),), "newest": (2, 79)}),
    ("move-history", "fail", {"migrations": (migration(status="error"),), "newest": (2, 87)}),
    ("move-history", "fail", {"migrations": (migration(status="done", kind="evacuation"),)}),
    # Without the rows, the history says which failed ones hold something; of other kinds than cold moves it does not.
    ("move-history", "pass", {"migrations": (migration(status="error"),), "keepers": frozenset()}),
    ("move-history", "fail", {"migrations": (migration(status="error"),), "keepers": frozenset({1})}),
    ("move-history", "fail", {"migrations": (migration(status="error", kind="live-migration"),), "keepers": frozenset()}),
    ("move-history", "fail", {"migrations": (migration(status="error"),), "keepers": frozenset(), "rows": (OURS, row("gpu-b", 1, owner=ID))}),
    ("move-microversion", "pass", {"to": "gpu-b"}),
    ("move-microversion", "fail", {"to": "gpu-b", "newest": (2, 53)}),
    ("move-microversion", "pass", {"newest": (2, 53)}),
    ("move-microversion", "fail", {"to": "gpu-b", "newest": (2, 90), "strategy": "shelve"}),
    ("move-source-up", "pass", {}),
    ("move-source-up", "fail", {"computes": computes(gpu_a={"up": False})}),
    ("move-source-up", "fail", {"computes": computes(gpu_a={"forced_down": True})}),
    ("move-source-up", "pass", {"computes": computes(gpu_a={"enabled": False})}),  # a host that is drained
    ("move-destination-up", "pass", {"to": "gpu-b"}),
    ("move-destination-up", "pass", {}),
    ("move-destination-up", "fail", {"to": "gpu-a"}),
    ("move-destination-up", "fail", {"to": "nosuch"}),
    ("move-destination-up", "fail", {"to": "gpu-b", "computes": computes(gpu_b={"up": False})}),
    ("move-destination-up", "fail", {"to": "gpu-b", "computes": computes(gpu_b={"enabled": False})}),
    ("move-destination-up", "fail", {"to": "gpu-b", "computes": computes(gpu_b={"forced_down": True})}),
    ("move-destination-up", "fail", {"computes": {"gpu-a": compute("gpu-a")}}),
    ("move-database", "pass", {}),
    ("move-database", "pass", {"unseen": (Unseen("database", "not asked for", asked=False),)}),
    ("move-database", "pass", {"rows": (OURS,)}),
    ("move-database", "fail", {"unseen": (Unseen("database", "it does not answer"),)}),
    ("move-free-card", "skip", {}),
    ("move-free-card", "skip", {"to": "gpu-b"}),
    ("move-free-card", "pass", {"to": "gpu-b", **TRACKED}),
    ("move-free-card", "fail", {"to": "gpu-c", **TRACKED}),
    ("move-free-card", "fail", {"to": "gpu-b", **TRACKED, "busy": {"gpu-b": 1}}),
    ("move-free-card", "pass", TRACKED),
    ("move-free-card", "pass", {"to": "gpu-b", "rows": (OURS, row("gpu-b", 1))}),
    ("move-free-card", "fail", {"to": "gpu-b", "rows": (OURS, row("gpu-b", 1, product="1b80"))}),
    ("move-free-card", "fail", {"rows": (OURS, row("gpu-b", 1, owner="x"))}),
    # Placement says free, the rows say held: a leaked card (4.5). The views must agree.
    ("move-free-card", "fail", {"to": "gpu-b", **TRACKED, "rows": (OURS, row("gpu-b", 1, owner="x"))}),
    # ... or a guest beside Nova has it.
    ("move-free-card", "fail", {"to": "gpu-b", **TRACKED, "hosts": {"gpu-b": view("gpu-b", Domain("gpu-b", "u", "x", "running", ("0000:01:00.0",)))}}),
    ("move-free-card", "pass", {"to": "gpu-b", **TRACKED, "hosts": {"gpu-b": view("gpu-b", Domain("gpu-b", "u", "x", "shut off", ("0000:01:00.0",)))}}),
    ("move-free-card", "fail", {"to": "gpu-b", "hosts": {"gpu-b": view("gpu-b", vfio=())}}),
    ("move-free-card", "pass", {"at_server": server(specs={}), "to": "gpu-b"}),
    ("move-alias", "skip", {"to": "gpu-b"}),
    ("move-alias", "pass", {"to": "gpu-b", "strategy": "shelve"}),
    ("move-one-time-use", "pass", TRACKED),
    ("move-one-time-use", "warn", {**TRACKED, "providers": {**TRACKED["providers"], "gpu-a-1": card("gpu-a", 1, traits=frozenset({"HW_PCI_ONE_TIME_USE"}))}}),
    ("move-headroom", "pass", {}),
    ("move-headroom", "skip", {"to": "gpu-b"}),
    ("move-headroom", "pass", {"to": "gpu-b", **TRACKED}),
    ("move-headroom", "fail", {"to": "gpu-c", **TRACKED}),
    ("move-group", "pass", {"to": "gpu-b"}),
    ("move-group", "skip", {"to": "gpu-b", "at_server": server(groups=None)}),
    ("move-group", "skip", {"to": "gpu-b", "at_server": server(groups=("g",)), "groups": None}),
    ("move-group", "fail", {"to": "gpu-b", "at_server": server(groups=("g",)), "groups": (Group("g", "anti-affinity", {"o": "gpu-b"}),)}),
    ("move-group", "pass", {"to": "gpu-b", "at_server": server(groups=("g",)), "groups": (Group("g", "anti-affinity", {"o": "gpu-c"}),)}),
    ("move-group", "pass", {"to": "gpu-b", "at_server": server(groups=("g",)), "groups": (Group("g", "anti-affinity", {"o": "gpu-b"}, 2),)}),
    ("move-group", "warn", {"to": "gpu-b", "at_server": server(groups=("g",)), "groups": (Group("g", "soft-anti-affinity", {"o": "gpu-b"}),)}),
    ("move-group", "fail", {"to": "gpu-b", "at_server": server(groups=("g",)), "groups": (Group("g", "affinity", {"o": "gpu-a"}),)}),
    ("move-group", "fail", {"at_server": server(groups=("g",)), "groups": (Group("g", "affinity", {"o": "gpu-a"}),)}),
    ("move-zone", "pass", {"to": "gpu-b"}),
    ("move-zone", "pass", {}),
    ("move-zone", "warn", {"to": "gpu-b", "computes": computes(gpu_b={"zone": "other"})}),
    ("move-zone", "fail", {"to": "gpu-b", "at_server": server(pinned_zone="nova"), "computes": computes(gpu_b={"zone": "other"})}),
    ("move-zone", "skip", {"to": "gpu-b", "computes": computes(gpu_b={"zone": None})}),
    ("move-disks", "warn", {}),
    ("move-disks", "pass", {"at_server": server(image=None)}),
    ("move-disks", "warn", {"strategy": "shelve"}),
    ("move-disks", "pass", {"strategy": "shelve", "at_server": server(image=None)}),
    ("move-disks", "fail", {"strategy": "shelve", "at_server": server(ephemeral_gib=1)}),
    ("move-disks", "warn", {"strategy": "shelve", "at_server": server(ephemeral_gib=1), "options": Options(accept_ephemeral_loss=True)}),
    ("move-ports", "pass", {}),
    ("move-ports", "skip", {"vnic_types": None}),
    ("move-ports", "warn", {"vnic_types": ("normal", "direct")}),
    ("move-ports", "fail", {"vnic_types": ("direct",), "strategy": "shelve", "newest": (2, 88)}),
    ("move-numa", "pass", {}),
    ("move-numa", "skip", {"at_server": server(specs={"pci_passthrough:alias": "h100:1", "hw:cpu_policy": "dedicated"})}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "status", "fields"), ROWS)
def test_guard(name, status, fields):
    assert said(name, **fields) == status


def test_every_guard_has_a_row_that_passes_and_one_that_does_not():
    names = {one.id for one in guard(situation())}
    assert len(names) == len(GUARDS)
    for name in names:
        statuses = {row[1] for row in ROWS if row[0] == name}
        assert "pass" in statuses, name
        assert statuses - {"pass"}, name


@pytest.mark.parametrize("fields", [row[2] for row in ROWS if row[1] == "fail"])
def test_what_fails_says_what_was_seen_and_what_to_do(fields):
    for one in guard(situation(**fields)):
        if one.status == "fail":
            assert one.title
            assert one.evidence
            assert one.fix


def traited(*, here=("CUSTOM_H100",), there=("CUSTOM_H100",), used=0, seen=True):
    """Books of a cloud whose device_spec gives all cards one resource class, and tells them apart by traits."""
    base = {"COMPUTE_MANAGED_PCI_DEVICE"}
    cards = [
        card("gpu-a", 1, used=1, kind="CUSTOM_GPU", traits=frozenset(base | {*here})),
        card("gpu-b", 1, used=used, kind="CUSTOM_GPU", traits=frozenset(base | {*there})),
    ]
    if not seen:  # a host without any room is in no summary: neither usages nor traits are known
        cards[0] = replace(cards[0], usages=None, inventories={}, traits=frozenset())
    held = {ID: Allocation(ID, {"gpu-a-1": {"CUSTOM_GPU": 1}}, 1)}
    return books(tracked=True, providers={one.uuid: one for one in cards}, allocations=held)


@pytest.mark.parametrize(
    ("found", "fields"),
    [
        (True, {}),
        (True, {"here": (), "there": ()}),
        (True, {"there": ("CUSTOM_H100", "HW_PCI_ONE_TIME_USE")}),
        (False, {"there": ("CUSTOM_A100",)}),
        (False, {"there": ()}),
        (False, {"here": ("CUSTOM_H100", "HW_PCI_LIVE_MIGRATABLE")}),
        (False, {"used": 1}),
        (None, {"seen": False}),
        (True, {"seen": False, "here": (), "there": ()}),
    ],
)
def test_cards_of_one_class_are_told_apart_by_their_traits(found, fields):
    made = traited(**fields)
    assert enough(made, server(), "gpu-b")[0] is found
    wanted_there = need_of(made, server(), room_of(made, "gpu-b"))
    assert wanted_there.sure is (found is not None)
    assert (not lacking(room_of(made, "gpu-b").free, wanted_there.takes)) is (found is not False)


def test_several_kinds_are_counted_each():
    both = server(specs={"pci_passthrough:alias": "h100:1,gtx:1"})
    rows = [row("gpu-a", 1, owner=ID), row("gpu-a", 2, owner=ID, product="1b80"), row("gpu-b", 1), row("gpu-b", 2)]
    assert enough(books(rows=tuple(rows)), both, "gpu-b")[0] is False
    rows.append(row("gpu-b", 3, product="1b80"))
    assert enough(books(rows=tuple(rows)), both, "gpu-b")[0] is True
