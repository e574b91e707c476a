"""Which way, and why: one row a situation."""

from __future__ import annotations

import pytest

from gpuctl.moves.guards import Situation
from gpuctl.moves.guards.releases import Span, span
from gpuctl.moves.model import Allocation, HostView
from gpuctl.moves.move import Options
from gpuctl.moves.ways.choice import choose
from tests.unit.moves.ways.kit import ID, books, card, migration, node, row, server

CARDS = [
    node("gpu-a"),
    node("gpu-b"),
    node("gpu-c"),
    card("gpu-a", 1, used=1),
    card("gpu-b", 1),
    card("gpu-c", 1, used=1),
]
TRACKED = dict(
    tracked=True,
    providers={one.uuid: one for one in CARDS},
    allocations={ID: Allocation(ID, {"gpu-a-1": {"CUSTOM_PCI_10DE_2330": 1}, "gpu-a": {"VCPU": 4}}, 1)},
)
ROWS = dict(rows=(row("gpu-a", 1, owner=ID), row("gpu-b", 1), row("gpu-c", 1, product="1b80")))
VIEW = {"gpu-b": HostView("gpu-b", (), (), False, ("0000:01:00.0",), {"0000:01:00.0": "10de:2330"})}


def chosen(*, at_server=None, to=None, options=None, **fields):
    one = at_server or server()
    return choose(Situation(one, books(servers={ID: one}, **fields), options or Options(), to))


@pytest.mark.parametrize(
    ("fields", "strategy", "to"),
    [
        ({}, "cold", None),
        ({"to": "gpu-b"}, "cold", "gpu-b"),
        (TRACKED, "shelve", "gpu-b"),
        ({**TRACKED, "to": "gpu-c"}, "shelve", "gpu-c"),
        # Placement could not be read: none is chosen, one may be asked for; before 26 there is nothing to know.
        ({"tracked": None, "to": "gpu-b"}, None, "gpu-b"),
        ({"tracked": None, "to": "gpu-b", "options": Options("shelve")}, "shelve", "gpu-b"),
        ({"tracked": None, "to": "gpu-b", "options": Options("cold")}, "cold", "gpu-b"),
        ({"tracked": None, "newest": (2, 90)}, "cold", None),
        ({"at_server": server(image=None), **ROWS}, "shelve", "gpu-b"),
        ({"at_server": server(image=None)}, "cold", None),
        ({"at_server": server(image=None), "to": "gpu-b"}, "cold", "gpu-b"),
        (ROWS, "cold", None),
        ({**TRACKED, "at_server": server(ephemeral_gib=5)}, None, None),
        ({**TRACKED, **ROWS, "at_server": server(ephemeral_gib=5)}, "cold", None),
        ({**TRACKED, "hosts": VIEW, "at_server": server(ephemeral_gib=5)}, "cold", None),
        ({**TRACKED, "at_server": server(ephemeral_gib=5), "options": Options(accept_ephemeral_loss=True)}, "shelve", "gpu-b"),
        ({**TRACKED, "newest": (2, 90)}, None, None),
        ({"options": Options(live_aliases=("h100",))}, "live", None),
        ({"options": Options(live_aliases=("h100",)), "newest": (2, 96)}, "cold", None),
        ({"options": Options(live_aliases=("other",))}, "cold", None),
        ({"options": Options(live_aliases=("h100",)), "at_server": server(vm_state="stopped")}, "cold", None),
        ({"options": Options("legacy")}, None, None),
        ({"options": Options("legacy"), "newest": (2, 87)}, None, None),  # 21 or 22: the more careful one
        ({"options": Options("legacy"), "newest": (2, 79)}, "legacy", None),
        ({"options": Options("live")}, None, None),
        ({"options": Options("shelve")}, None, None),
        ({"options": Options("shelve"), "to": "gpu-b"}, "shelve", "gpu-b"),
        ({"options": Options("cold"), **TRACKED}, "cold", None),
    ],
)  # fmt: skip
def test_the_way(fields, strategy, to):
    choice = chosen(**fields)
    assert (choice.strategy, choice.to) == (strategy, to), choice.why
    assert choice.why
    assert choice.strategy not in choice.refused


@pytest.mark.parametrize(
    ("status", "fields", "why"),
    [
        (
            "confirmed",
            {},
            "after the move that it has had, any way may leave two allocations, and which is wrong nobody can tell here",
        ),
        (
            "completed",
            ROWS,
            "after the move that it has had, any way may leave two allocations, which is put right afterwards",
        ),
        ("reverted", {}, "a cold move would leave two allocations"),
    ],
)
def test_a_shelve_after_another_move_is_not_said_to_keep_the_allocation(status, fields, why):
    found = choose(
        Situation(server(), books(migrations=(migration(1, status),), **{**TRACKED, **fields}), Options(), None)
    )
    assert (found.strategy, found.why) == ("shelve", f"Placement tracks cards: {why}")


def test_a_refusal_says_why():
    assert "KeyError" in chosen(options=Options("legacy")).why
    assert "live_migratable" in chosen(options=Options("live")).why
    assert "--nova-db" in chosen(**TRACKED, at_server=server(ephemeral_gib=5)).why


@pytest.mark.parametrize(
    ("newest", "low", "high"),
    [((2, 87), 21, 22), ((2, 95), 27, 28), ((2, 79), 20, 20), ((2, 104), 34, 34), ((2, 105), 34, 35), ((2, 1), 13, 14), ((2, 89), 23, 24)],
)  # fmt: skip
def test_releases(newest, low, high):
    assert span(newest) == Span(low, high)
