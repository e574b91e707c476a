"""Cards that are virtual functions: Placement counts them at their physical one, and calls them by its address."""

from __future__ import annotations

import pytest

from gpuctl.moves.audit import audit_cloud
from gpuctl.moves.placement_api import PlacementApi
from gpuctl.moves.recover.accounts import right_allocation
from gpuctl.moves.recover.diagnosis import diagnose
from gpuctl.moves.recover.never import never
from gpuctl.moves.recover.reader import Reader
from gpuctl.moves.recover.step import Put
from tests.unit.moves.engine.kit import SimLook, clean


@pytest.fixture
def virtual(tmp_path, monkeypatch):
    """Make a cloud of two hosts with two physical cards each, four virtual ones in all, and a server with one of them."""
    from tests.sim.cloud import MovesSim
    from tests.unit.moves.engine.kit import made

    clouds = []

    def make(alias="a16:1", **settings):
        sim = MovesSim(release=34, tracking=True, **settings).__enter__()
        clouds.append(sim)
        for name in ("gpu-a", "gpu-b"):
            sim.add_host(name, ["a16"] * 4)
        server = sim.boot("guest", "gpu-a", alias)
        return made(sim, tmp_path, monkeypatch), server

    yield make
    for sim in clouds:
        sim.__exit__(None, None, None)


@pytest.mark.parametrize("strategy", ["cold", "shelve"])
@pytest.mark.parametrize("views", [{"db": True}, {"look": True}, {"db": True, "look": True}, {}])
@pytest.mark.parametrize("alias", ["a16:1", "a16:2"])
def test_a_good_move_is_called_good(virtual, strategy, views, alias):
    rig, _ = virtual(alias, double=0.0)
    result = rig.one("guest", to="gpu-b", strategy=strategy, **views)
    assert result.state == "done", (result.detail, [one for one in result.findings if one.status == "fail"])
    clean(rig)


def test_a_doubled_allocation_is_put_right(virtual):
    rig, server = virtual()
    result = rig.one("guest", to="gpu-b", strategy="cold", db=True)
    assert result.state == "done", result.detail
    assert [one.step for one in result.steps].count("allocation") == 1
    clean(rig)
    assert len(rig.sim.allocations_of(server.id)) == 2


@pytest.mark.parametrize("views", [{"db": True}, {"look": True}, {"db": True, "look": True}])
def test_nothing_is_found_in_what_is_right(virtual, views):
    rig, _ = virtual("a16:2")
    rig.sim.boot("another", "gpu-b", "a16:1")
    given = {
        "database": rig.database() if "db" in views else None,
        "hosts": SimLook(rig.sim) if "look" in views else None,
    }
    found = [one for one in audit_cloud(rig.cloud, **given).findings if one.status != "skip"]
    assert found == []


def test_half_of_what_placement_holds_of_one_physical_card_may_be_too_much(virtual):
    rig, server = virtual(double=0.0)
    held = rig.sim.placement.consumers[server.id].held
    (card,) = [uuid for uuid in held if rig.sim.placement.providers[uuid].parent]
    (kind,) = held[card]
    held[card] = {kind: 2}
    rig.sim.placement.touch(held)
    findings = audit_cloud(rig.cloud, database=rig.database()).findings
    assert [one.id for one in findings if one.status == "fail"] == ["allocation-double"]
    sight = Reader(rig.cloud, None, rig.database()).read(server.id)
    (case,) = diagnose(sight)
    assert (case.id, case.right) == ("double-allocation", ("0000:04:00.0",))
    right = right_allocation(sight, case.right)
    assert never(Put(right), sight) == ""
    PlacementApi(rig.cloud.service("placement")).put(right, what="put it right")
    assert rig.sim.placement.consumers[server.id].held[card] == {kind: 1}
    clean(rig)
