"""Evacuated from a host that never comes back: Nova's record of that stays `done` for ever, whatever its cards do."""

from __future__ import annotations

import pytest

from gpuctl.cloud import connect
from gpuctl.moves.audit import audit_cloud
from gpuctl.moves.migrate import prepare
from gpuctl.moves.move import Options
from tests.unit.moves.recover.rig import HERE, THERE


@pytest.fixture
def evacuated(rig):
    """Make a server that was evacuated from a host which is dead for good; freed: its rows there are put right."""

    def make(*, freed, **settings):
        one = rig(**settings)
        one.cloud.stop_compute(HERE, machine=True)
        one.cloud.hosts[HERE].forced_down = True
        one.act("evacuate", {"host": THERE})
        one.cloud.hosts[HERE].domains.clear()
        one.cloud.hosts[HERE].folders.clear()
        if freed:
            (statement,) = one.repair().result.statements
            assert one.cloud.execute(statement.sql) == 1
        return one

    return make


def audited(one):
    found = audit_cloud(connect(), database=one.database).findings
    return {each.id for each in found if each.subject == one.server}


def refused(one, database):
    (plan,) = prepare(connect(), [one.server], to="gpu-c", options=Options(), database=database).plans
    return {bad.id for bad in plan.failed}


@pytest.mark.parametrize("tracking", [True, False])
def test_once_its_rows_are_free_it_is_started_and_may_move(evacuated, tracking):
    one = evacuated(freed=True, tracking=tracking, double=1.0)
    assert one.cases()[0] == "evacuated-and-stopped"
    found = one.repair()
    assert found.result.state == "done", found.result.detail
    assert one.cloud.server_state(one.server)["status"] == "ACTIVE"
    assert one.cloud.happened.destroyed == []
    assert refused(one, one.database) == set()
    assert audited(one) == set()


def test_before_that_nothing_is_started_and_nothing_moves(evacuated):
    one = evacuated(freed=False)
    assert "evacuated-old-host-away" in one.cases()
    assert "move-history" in refused(one, one.database)
    assert "evacuated-host-away" in audited(one)


def test_without_the_database_nobody_knows_that_they_are_free(evacuated):
    one = evacuated(freed=True)
    one.database = None
    assert "evacuated-old-host-away" in one.cases()
    assert "move-history" in refused(one, None)
    assert "evacuated-host-away" in audited(one)


def test_a_host_that_is_up_again_has_to_clean_up_whatever_the_rows_say(evacuated):
    one = evacuated(freed=True)
    one.cloud.hosts[HERE].forced_down, one.cloud.hosts[HERE].up = False, True
    assert "evacuated-old-host-back" in one.cases()
    assert "evacuated-host-back" in audited(one)
