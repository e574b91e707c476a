"""Who goes where, on hand-made books."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuctl.moves.drain.caps import Caps
from gpuctl.moves.drain.estimate import Estimate, Measured
from gpuctl.moves.drain.plan import Wish, destinations, make_plan
from gpuctl.moves.drain.settings import Settings
from gpuctl.moves.guards import Group, Situation
from gpuctl.moves.model import Allocation, Domain, HostView
from gpuctl.moves.move import Move, Options, Sent, Track
from tests.unit.moves.ways.kit import books, card, compute, node, row, server

NOTHING = Estimate()
KIND = "CUSTOM_PCI_10DE_2330"


def cloud(count=3, *, hosts=("gpu-b", "gpu-c"), cards=2, room=None, computes=None, servers=None, **fields):
    """gpu-a has ``count`` servers with a card each; the other hosts have ``cards`` free ones each."""
    servers = servers or [server(id=f"s{n}", name=f"s{n}") for n in range(count)]
    providers = [node("gpu-a"), *(node(host, **(room or {})) for host in hosts)]
    providers += [card("gpu-a", n, used=1) for n in range(len(servers))]
    providers += [card(host, n) for host in hosts for n in range(cards)]
    held = {one.id: Allocation(one.id, {f"gpu-a-{n}": {KIND: 1}}, 1) for n, one in enumerate(servers)}
    there = {host: compute(host) for host in ("gpu-a", *hosts)}
    given = dict(
        servers={one.id: one for one in servers}, computes={**there, **(computes or {})}, tracked=True,
        providers={one.uuid: one for one in providers}, allocations=held,
    )  # fmt: skip
    return books(**{**given, **fields})


def plan(of, *, groups=None, busy=(), estimate=NOTHING, **settings):
    asked = Settings(options=Options(), **settings)
    found = [
        Situation(one, of, asked.options, groups=(groups or {}).get(one.id, ()), vnic_types=("normal",))
        for one in of.servers.values()
        if one.host == "gpu-a" and one.id not in {track.move.server.id for track in busy}
    ]
    return make_plan(Wish("gpu-a", of, found, asked, estimate, busy))


def places(made):
    return {one.server.id: one.planned.move.to for one in made.entries if one.planned.move}


def why(made, name):
    (entry,) = [one for one in made.refused if one.server.id == name]
    return "; ".join(f"{one.id}: {one.title}: {one.evidence}" for one in entry.planned.failed)


def test_every_server_has_a_place():
    made = plan(cloud(4))
    assert dict(destinations(made.entries)) == {"gpu-b": 2, "gpu-c": 2}
    assert made.refused == ()
    assert made.most


def test_too_few_cards():
    made = plan(cloud(4, cards=1))
    assert len(places(made)) == 2
    assert len(made.refused) == 2
    assert "taken by others of this drain" in why(made, made.refused[0].server.id)
    assert made.most


def test_memory_is_room_too():
    made = plan(cloud(4, cards=4, room={"MEMORY_MB": 8192}))
    assert dict(destinations(made.entries)) == {"gpu-b": 1, "gpu-c": 1}
    assert len(made.refused) == 2


def test_a_wide_server_moves_small_ones_aside():
    of = cloud(servers=[
        server(id="one", name="one"), server(id="two", name="two"),
        server(id="wide", name="wide", specs={"pci_passthrough:alias": "h100:2"}),
    ])  # fmt: skip
    of.allocations["wide"].holds["gpu-a-2"][KIND] = 2
    found = places(plan(of))
    assert len(found) == 3
    assert found["wide"] not in {found["one"], found["two"]}


@pytest.mark.parametrize("changed", [{"enabled": False}, {"up": False}, {"forced_down": True}])
def test_hosts_that_take_nobody(changed):
    made = plan(cloud(3, cards=3, computes={"gpu-b": compute("gpu-b", **changed)}))
    assert set(places(made).values()) == {"gpu-c"}


def test_only_and_avoid():
    assert set(places(plan(cloud(2), only=("gpu-c",))).values()) == {"gpu-c"}
    assert set(places(plan(cloud(2), avoid=frozenset({"gpu-c"}))).values()) == {"gpu-b"}
    made = plan(cloud(3), only=("gpu-c",))
    assert "gpu-b: not among --to" in why(made, made.refused[0].server.id)


def test_zones():
    away = {"gpu-b": compute("gpu-b", zone="other")}
    assert set(places(plan(cloud(2, computes=away))).values()) == {"gpu-c"}
    assert len(places(plan(cloud(4, computes=away)))) == 2
    assert len(places(plan(cloud(4, computes=away), any_zone=True))) == 4
    pinned = [server(id=f"s{n}", name=f"s{n}", pinned_zone="nova") for n in range(4)]
    made = plan(cloud(servers=pinned, computes=away), any_zone=True)
    assert len(places(made)) == 2
    assert "pinned to nova" in why(made, made.refused[0].server.id)


def test_anti_affinity_holds_among_those_that_move():
    members = {"s0": "gpu-a", "s1": "gpu-a", "s2": "gpu-a"}
    groups = {
        name: (Group("g", "anti-affinity", {one: host for one, host in members.items() if one != name}),)
        for name in members
    }
    made = plan(cloud(3, cards=3), groups=groups)
    found = places(made)
    assert len(found) == len(set(found.values())) == 2
    assert len(made.refused) == 1


def test_anti_affinity_with_one_that_is_there():
    groups = {"s0": (Group("g", "anti-affinity", {"x": "gpu-b"}),)}
    assert places(plan(cloud(1), groups=groups)) == {"s0": "gpu-c"}
    groups = {"s0": (Group("g", "soft-anti-affinity", {"x": "gpu-b"}),)}
    assert places(plan(cloud(1), groups=groups)) == {"s0": "gpu-c"}
    assert places(plan(cloud(1, hosts=("gpu-b",)), groups=groups)) == {"s0": "gpu-b"}


def test_what_a_guard_refuses_takes_no_room():
    servers = [server(id="s0", name="s0", locked=True), server(id="s1", name="s1"), server(id="s2", name="s2")]
    made = plan(cloud(servers=servers, cards=1))
    assert set(places(made)) == {"s1", "s2"}
    assert "move-locked" in why(made, "s0")


def test_where_nobody_shows_cards_nova_chooses():
    made = plan(cloud(3, tracked=False, providers=None, allocations=None))
    assert places(made) == {"s0": None, "s1": None, "s2": None}
    named = plan(cloud(3, tracked=False, providers=None, allocations=None), only=("gpu-b", "gpu-c"))
    assert dict(destinations(named.entries)) == {"gpu-b": 2, "gpu-c": 1}


def test_the_rows_are_a_view_too():
    of = cloud(2, tracked=False, providers=None, allocations=None,
               rows=(row("gpu-a", 0, owner="s0"), row("gpu-a", 1, owner="s1"), row("gpu-b", 0), row("gpu-c", 0, product="1b80")))  # fmt: skip
    made = plan(of)
    assert set(places(made).values()) == {"gpu-b"}
    assert len(made.refused) == 1
    assert "Nova's rows: 1 of 10de:2330 needed, 0 left" in why(made, made.refused[0].server.id)


def test_a_card_that_a_stranger_has_is_not_free():
    taken = {"gpu-b": HostView("gpu-b", (Domain("gpu-b", "x", "x", "running", ("0000:00:00.0", "0000:01:00.0")),), (), False,
                               ("0000:00:00.0", "0000:01:00.0"), dict.fromkeys(("0000:00:00.0", "0000:01:00.0"), "10de:2330"))}  # fmt: skip
    assert places(plan(replace(cloud(1), hosts=taken))) == {"s0": "gpu-c"}


def test_what_is_under_way_keeps_its_room():
    one = server(id="s0", name="s0")
    going = Track(Move("m", one, "gpu-a", "gpu-b", "cold"), sent=(Sent("migrate", 0.0),))
    made = plan(cloud(3, cards=1), busy=(going,))
    assert set(places(made).values()) == {"gpu-c"}
    assert len(made.refused) == 1
    assert made.resumed == (going,)


def test_the_longest_go_first_and_the_whole_is_estimated():
    servers = [server(id=f"s{n}", name=f"s{n}", root_gib=size) for n, size in enumerate((20, 400, 100))]
    measured = Estimate(tuple(Measured("shelve", gib, 10.0 + gib) for gib in (0, 50, 200)))
    made = plan(cloud(servers=servers), estimate=measured, caps=Caps(2, None, 2))
    assert [one.server.id for one in made.entries] == ["s1", "s2", "s0"]
    assert [round(one.seconds) for one in made.entries] == [410, 110, 30]
    assert round(made.seconds) == 410
    assert plan(cloud(servers=servers)).seconds is None


def test_old_nova_is_told_no_host():
    made = plan(cloud(2, newest=(2, 53), tracked=False))
    assert places(made) == {"s0": None, "s1": None}


def test_a_host_that_reports_no_cards_is_no_destination():
    made = plan(cloud(3, computes={"cpu-1": compute("cpu-1")}))
    assert set(places(made).values()) == {"gpu-b", "gpu-c"}
    assert "cpu-1: reports no cards" in why(plan(cloud(5, computes={"cpu-1": compute("cpu-1")})), "s4")
