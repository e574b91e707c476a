"""Clouds of several cells: each has a database of its own, with its own numbers, and one of them may not answer."""

from __future__ import annotations

import pytest

from gpuctl.cloud import connect
from gpuctl.moves.audit import audit_cloud
from gpuctl.moves.books import NovaDatabase, read_books
from gpuctl.moves.drain.prepare import prepare
from gpuctl.moves.drain.settings import Settings
from gpuctl.moves.errors import CellSilent
from gpuctl.moves.migrate import prepare as prepare_move
from gpuctl.moves.move import Options
from gpuctl.moves.nova_api import NovaApi
from tests.sim.cloud import Client


@pytest.fixture
def cells(sim):
    """Make a cloud of two cells with two hosts and a GPU server each: near on gpu-a, far on gpu-c."""

    def make(**settings):
        cloud = sim(**settings)
        for name, cell in (("gpu-a", 1), ("gpu-b", 1), ("gpu-c", 2), ("gpu-d", 2)):
            cloud.add_host(name, ["h100"] * 2, cell=cell)
        return cloud, cloud.boot("near", "gpu-a", "h100:1"), cloud.boot("far", "gpu-c", "h100:1")

    return make


def migrate(cloud, guest, to):
    Client(cloud.url).act(guest.id, "migrate", {"host": to})
    cloud.settle()


def found(**views):
    return {(one.id, one.status) for one in audit_cloud(connect(), **views).findings if one.status != "skip"}


def test_the_cells_count_their_migrations_each_for_itself(cells):
    cloud, near, far = cells(tracking=False)
    migrate(cloud, near, "gpu-b")
    migrate(cloud, far, "gpu-d")
    assert [one.id for one in cloud.migrations] == [1, 1]
    books = read_books(connect())
    assert [len(books.migrations_of(one.id)) for one in (near, far)] == [1, 1]
    assert found() == set(), "both wait for their confirm, and rightly hold cards on two hosts"


def test_a_failed_move_is_found_in_either_cell(cells):
    cloud, near, far = cells(tracking=False)
    for guest, host, to in ((near, "gpu-a", "gpu-b"), (far, "gpu-c", "gpu-d")):
        cloud.inject(host, "ssh")
        migrate(cloud, guest, to)
    said = [one.subject for one in audit_cloud(connect()).findings if one.id == "migration-error"]
    assert sorted(said) == sorted([near.id, far.id])


@pytest.mark.parametrize("tracking", [True, False])
def test_what_a_silent_cell_has_is_unknown_and_no_orphan(cells, tracking):
    cloud, _, far = cells(tracking=tracking)
    migrate(cloud, far, "gpu-d")
    cloud.silent = {2}
    audit = audit_cloud(connect())
    assert [one for one in audit.findings if one.status in {"fail", "warn"}] == []
    (said,) = [one.evidence for one in audit.findings if one.id == "not-seen" and one.evidence.startswith("cells")]
    assert "gpu-c, gpu-d" in said
    assert audit.exit_code() == 5, "all is well as far as it was seen, which is not all"


def test_a_server_of_a_silent_cell_is_neither_gone_nor_moved(cells):
    cloud, near, far = cells()
    cloud.silent = {2}
    api = NovaApi.of(connect().service("compute"))
    with pytest.raises(CellSilent, match="does not answer"):
        api.server(far.id)
    with pytest.raises(CellSilent):
        prepare_move(connect(), [far.id], to=None, options=Options())
    assert api.server(near.id).name == "near"
    assert prepare_move(connect(), [near.id], to=None, options=Options()).plans[0].move.to == "gpu-b"


def test_the_database_of_another_cell_does_not_say_that_nothing_is_held(cells, tmp_path):
    cloud, near, far = cells(tracking=False)
    cloud.inject("gpu-c", "ssh")
    migrate(cloud, far, "gpu-d")
    urls = [cloud.dump(tmp_path / f"cell{number}.sqlite", number) for number in (1, 2)]
    first, both = NovaDatabase.of(urls[:1]), NovaDatabase.of(urls)

    def refused(guest, database):
        (one,) = prepare_move(connect(), [guest.id], to=None, options=Options(), database=database).plans
        return {bad.id for bad in one.failed}

    assert refused(far, both) == {"move-history"}
    assert "move-database" in refused(far, first)
    assert refused(near, first) == set(), "its own cell's is all that it takes"
    assert found(database=both) == {("row-elsewhere", "fail")}
    assert found(database=first) == {("migration-error", "warn")}, "what the API shows, and no row called missing"
    assert audit_cloud(connect(), database=first).exit_code() == 5


def test_no_server_is_sent_to_another_cell(cells, tmp_path, monkeypatch):
    """Nova keeps an unshelve to the server's cell: shelved for a host of another one, it would stay off."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    cloud, near, far = cells()
    cloud.boot("first", "gpu-b", "h100:1")
    cloud.boot("second", "gpu-b", "h100:1")  # no card is free in the first cell but near's neighbour
    both = NovaDatabase.of([cloud.dump(tmp_path / f"cell{number}.sqlite", number) for number in (1, 2)])

    def planned(guest, to=None):
        return prepare_move(connect(), [guest.id], to=to, options=Options(), database=both).plans[0]

    assert planned(far).move.to == "gpu-d"
    (bad,) = [one for one in planned(near, "gpu-d").failed if one.id == "move-destination-up"]
    assert "another cell" in bad.title
    assert planned(near).move is None
    drain = prepare(connect(), "gpu-a", Settings(), database=both)
    (entry,) = drain.plan.refused
    assert "gpu-c: in another cell" in entry.planned.failed[0].evidence
    assert [one.planned.move.to for one in prepare(connect(), "gpu-c", Settings(), database=both).plan.entries] == [
        "gpu-d"
    ]


@pytest.mark.parametrize("more", [{}, {"evacuate": True, "confirmed_dead": "gpu-c"}])
def test_a_host_of_a_silent_cell_is_neither_drained_nor_called_dead(cells, more, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    cloud, _, _ = cells()
    cloud.silent = {2}
    with pytest.raises(CellSilent, match="cell of gpu-c"):
        prepare(connect(), "gpu-c", Settings(**more))
