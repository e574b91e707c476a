"""Every situation provoked in the simulated cloud, named rightly, repaired; and then the cloud itself says that all is well."""

from __future__ import annotations

import pytest

from tests.unit.moves.recover.rig import HERE, THERE


def finish_failed(rig):
    rig.cloud.inject(THERE, "finish_migration")
    rig.migrate()


def finish_failed_and_started(rig):
    finish_failed(rig)
    rig.act("os-resetState", {"state": "active"})
    rig.act("os-stop")
    rig.act("os-start")


def finish_failed_and_rebooted(rig):
    finish_failed(rig)
    rig.act("reboot", {"type": "HARD"})


def finish_failed_and_reset(rig):
    finish_failed(rig)
    rig.act("os-resetState", {"state": "active"})


def rolled_back(rig):
    rig.cloud.inject(HERE, "ssh")
    rig.migrate()


def rolled_back_and_rebooted(rig):
    rolled_back(rig)
    rig.act("reboot", {"type": "HARD"})


def copy_failed(rig):
    rig.cloud.inject(HERE, "disk_copy")
    rig.migrate()


def retried_after_leak(rig):
    rolled_back(rig)
    rig.migrate()
    rig.act("confirmResize")


def left_in_verify_resize(rig):
    rig.migrate()


def confirm_failed(rig):
    rig.migrate()
    rig.cloud.inject(HERE, "confirm_migration")
    rig.act("confirmResize")


def revert_failed(rig):
    rig.migrate()
    rig.cloud.inject(HERE, "finish_revert_migration")
    rig.act("revertResize")


def reset_too_early(rig):
    rig.migrate()
    rig.act("os-resetState", {"state": "active"})


def reset_too_early_and_again(rig):
    reset_too_early(rig)
    rig.migrate("gpu-c")


def alias_missing(rig):
    rig.cloud.hosts[THERE].aliases.discard("gtx1080")
    rig.migrate()


def evacuated_and_back(rig):
    rig.cloud.stop_compute(HERE, machine=True)
    rig.cloud.hosts[HERE].forced_down = True
    rig.act("evacuate", {"host": THERE})
    rig.cloud.start_compute(HERE)
    rig.cloud.hosts[HERE].forced_down = False
    rig.cloud.audit()


def evacuated_started_and_back(rig):
    rig.cloud.stop_compute(HERE, machine=True)
    rig.cloud.hosts[HERE].forced_down = True
    rig.act("evacuate", {"host": THERE})
    rig.act("os-start")
    rig.cloud.start_compute(HERE)
    rig.cloud.hosts[HERE].forced_down = False
    rig.cloud.audit()


def snapshot_failed(rig):
    rig.cloud.inject(HERE, "snapshot")
    rig.act("shelve")


def unshelve_failed(rig):
    rig.act("shelve")
    rig.cloud.inject(THERE, "spawn")
    rig.act("unshelve", {"host": THERE})


def unshelved_before_the_audit(rig):
    rig.cloud.boot("bystander", THERE, "gtx1080:1")
    rig.migrate()
    rig.act("confirmResize")
    rig.act("shelve")
    rig.act("unshelve", {"host": HERE})
    rig.cloud.audit()


def unshelve_failed_before_its_claim(rig):
    """What the scheduler claimed stays, and its next claim is added to it (SchedulerReportClient.claim_resources)."""
    rig.act("shelve")
    rig.cloud.inject(THERE, "prep_block_device")
    rig.act("unshelve", {"host": THERE})
    assert rig.cloud.allocations_of(rig.server)


def start_refused(rig):
    rig.act("os-stop")
    rig.cloud.inject(HERE, "power_on")
    rig.act("os-start")


SITUATIONS = [
    (finish_failed, "finish-failed"),
    (finish_failed_and_started, "finish-failed-and-started"),
    (finish_failed_and_rebooted, "finish-failed-and-started"),
    (finish_failed_and_reset, "finish-failed"),
    (rolled_back, "rolled-back"),
    (rolled_back_and_rebooted, "rolled-back-and-rebooted"),
    (copy_failed, "copy-failed"),
    (retried_after_leak, "retried-after-leak"),
    (left_in_verify_resize, "verify-resize-left"),
    (confirm_failed, "confirm-failed"),
    (revert_failed, "revert-failed"),
    (reset_too_early, "reset-state-too-early"),
    (reset_too_early_and_again, "reset-state-too-early-and-again"),
    (alias_missing, "alias-missing"),
    (evacuated_and_back, "evacuated-and-stopped"),
    (evacuated_started_and_back, "evacuated-and-started"),
    (snapshot_failed, "snapshot-failed"),
    (unshelve_failed, "unshelve-failed"),
    (unshelve_failed_before_its_claim, "double-allocation"),
    (start_refused, "start-refused"),
    (unshelved_before_the_audit, "guest-wrong-cards"),
]


QUICK = (
    finish_failed,
    rolled_back,
    retried_after_leak,
    confirm_failed,
    reset_too_early_and_again,
    evacuated_and_back,
    unshelve_failed_before_its_claim,
)
"""Those of `make check`, with all views and doubled allocations; every one in every combination is slow."""

RUNS = [
    pytest.param(
        provoke,
        name,
        dict(database=database, tracking=tracking, double=double),
        id="-".join(
            (
                provoke.__name__,
                "database" if database else "api",
                "tracked" if tracking else "untracked",
                "doubled" if double else "single",
            )
        ),
        marks=() if provoke in QUICK and (database, tracking, double) == (True, True, 1.0) else pytest.mark.slow,
    )
    for provoke, name in SITUATIONS
    for database in (True, False)
    for tracking in (True, False)
    for double in (0.0, 1.0)
]


@pytest.mark.parametrize(("provoke", "name", "settings"), RUNS)
def test_named_and_repaired(rig, provoke, name, settings):
    one = rig(**settings)
    provoke(one)
    done_by_others = one.happened()
    assert name in one.cases()
    found = one.repair()
    assert [step for step in found.result.steps if step.state != "done"] == []
    assert found.result.state == "done", found
    assert one.cloud.broken() == []
    assert one.happened() == done_by_others


def test_shelved_as_a_repair_where_the_cloud_offloads_later(rig):
    """Shelved on its host it holds both cards still: only the offload frees them."""
    one = rig(shelved_offload_time=3600)
    retried_after_leak(one)
    done_by_others = one.happened()
    found = one.repair()
    assert [(step.step, step.state) for step in found.result.steps][-1:] == [("shelve-unshelve", "done")]
    assert found.result.state == "done", found
    assert one.cloud.broken() == []
    assert one.happened() == done_by_others


@pytest.mark.parametrize("database", [True, False], ids=["database", "api"])
def test_no_shelve_before_the_host_tracks_it(rig, database):
    """Else its cards would stay its own for good: the `error` migration of the first try keeps them."""
    one = rig(database=database)
    retried_after_leak(one)
    steps = [(step.step, step.state) for step in one.repair().result.steps]
    assert [one for one in steps if "shelve" in one[0] or "tracked" in one[0]] == [
        ("tracked-gpu-b", "done"),
        ("shelve-unshelve", "done"),
    ]


def came_back_without_its_allocation(one):
    """A revert whose exchange of allocations failed (ComputeManager.finish_revert_resize, AllocationMoveFailed)."""
    one.migrate()
    (migration,) = one.cloud.migrations_of(one.server)
    held = {name: dict(one.cloud.placement.consumers[name].held) for name in (one.server, migration.uuid)}
    one.act("revertResize")
    place = one.cloud.placement
    place.drop(one.server)
    for name, amounts in held.items():
        place.hold(name, amounts, project="p", user="1")
    return migration


@pytest.mark.parametrize("tracking", [True, False], ids=["tracked", "untracked"])
def test_what_the_server_itself_uses_is_not_given_away_with_its_migration(rig, tracking):
    one = rig(tracking=tracking)
    before = one.cloud.allocations_of(one.server)
    migration = came_back_without_its_allocation(one)
    assert one.cloud.allocations_of(one.server) != before
    found = one.repair()
    assert [case.id for case in found.before] == ["orphan-migration-allocation"]
    assert "Placement has what the server uses on gpu-a" in found.before[0].title
    assert found.result.state == "done", found.result
    assert one.cloud.allocations_of(one.server) == before
    assert one.cloud.allocations_of(migration.uuid) == []
    assert one.cloud.broken() == []


def restarted_while_it_copied(one):
    """nova-compute rolls back at its start, clears the task and leaves the rest (ComputeManager._init_instance)."""
    one.client.act(one.server, "migrate", {"host": THERE})
    server = one.cloud.servers[one.server]
    while (records := one.cloud.migrations_of(one.server)) == [] or records[-1].status != "migrating":
        one.cloud.advance(0.002)
    one.cloud.clock.clear()
    one.cloud.touch(server, vm_state="stopped", task_state=None, power_state=4)
    one.cloud.hosts[HERE].domains[server.id].running = False


def test_a_move_that_nova_dropped_at_a_restart(rig):
    one = rig()
    before = one.cloud.allocations_of(one.server)
    restarted_while_it_copied(one)
    assert one.cases() == ["in-progress"], "it may have begun between two readings"
    one.cloud.advance(130)
    done_by_others = one.happened()
    found = one.repair()
    assert [case.id for case in found.before] == ["stuck"]
    assert "nova-compute was restarted in the midst" in found.before[0].title
    assert found.result.state == "done", found.result
    assert one.cloud.allocations_of(one.server) == before
    assert one.cloud.broken() == []
    assert one.happened() == done_by_others


def test_killed_between_the_shelve_and_the_offload(rig):
    from gpuctl.moves.recover.owed import Owed, owe

    one = rig(shelved_offload_time=3600)
    retried_after_leak(one)
    owe("sim", one.server, Owed(THERE, stopped=False))
    one.act("shelve")
    assert one.cloud.server_state(one.server)["status"] == "SHELVED"
    found = one.repair()
    assert found.result.state == "done", found
    assert one.cloud.broken() == []
    assert one.cloud.server_state(one.server)["host"] == THERE
