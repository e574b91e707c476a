"""What recover does not do: on the simulated cloud, which counts every request."""

from __future__ import annotations

import pytest

from gpuctl.moves.errors import Busy
from gpuctl.moves.journal import Journal
from gpuctl.moves.recover.diagnosis import diagnose
from tests.unit.moves.recover.rig import HERE, THERE, Operator
from tests.unit.moves.recover.test_on_sim import (
    evacuated_and_back,
    finish_failed,
    left_in_verify_resize,
    reset_too_early,
    retried_after_leak,
    rolled_back,
)


def changes(rig):
    """Every request that was to change something."""
    return [one for one in rig.cloud.counts() if not one.startswith("GET ") and "/auth/" not in one]


def test_a_healthy_server_is_left_alone(rig):
    one = rig()
    one.cloud.clear_counts()
    found = one.repair()
    assert [case.id for case in found.before] == ["healthy"]
    assert (found.result.state, found.result.steps, changes(one)) == ("done", (), [])


def test_a_dry_run_changes_nothing_and_shows_the_statement(rig):
    one = rig()
    finish_failed(one)
    one.cloud.clear_counts()
    found = one.repair(dry_run=True)
    assert found.result.state == "planned"
    assert [step.id for step in found.plan.steps] == ["end-migration-1", "hard-reboot", f"leftovers-{HERE}"]
    assert "status='failed'" in found.result.statements[0].sql
    assert changes(one) == []
    assert one.operator.ran_sql == []


def test_nothing_is_started_while_the_statement_was_not_run(rig):
    one = rig()
    finish_failed(one)
    one.operator = Operator(one, obeys=False)
    one.cloud.clear_counts()
    found = one.repair()
    assert found.result.state == "unfinished"
    assert [step.step for step in found.result.steps] == ["end-migration-1"]
    assert len(found.result.statements) == 1
    assert changes(one) == []


def test_nothing_is_started_before_the_audit_came_by(rig):
    """The record is `failed`, and the row is there still: a hard reboot now would destroy the guest."""
    one = rig()
    finish_failed(one)
    one.operator = Operator(one, audits=False)
    one.cloud.clear_counts()
    found = one.repair()
    assert found.result.state == "unfinished"
    assert "still holds" in found.result.steps[0].detail
    assert changes(one) == []


def test_without_the_database_a_person_has_to_say_that_the_row_is_free(rig):
    one = rig(database=False)
    finish_failed(one)
    one.cloud.execute(one.repair(dry_run=True).result.statements[0].sql)
    one.operator = Operator(one, obeys=False)
    one.cloud.clear_counts()
    found = one.repair()
    assert [step.step for step in found.result.steps] == ["look"]
    assert (found.result.state, changes(one)) == ("unfinished", [])
    one.cloud.audit()
    assert one.repair(rows_checked=True).result.state == "done"
    assert one.cloud.broken() == []


def test_a_step_that_was_not_agreed_to_is_not_done(rig):
    one = rig()
    left_in_verify_resize(one)
    one.operator = Operator(one, agrees=False)
    one.cloud.clear_counts()
    found = one.repair()
    assert (found.result.state, changes(one)) == ("unfinished", [])
    assert one.cloud.server_state(one.server)["status"] == "VERIFY_RESIZE"


def test_a_guest_that_is_dead_on_its_new_host_is_not_confirmed_but_reverted(rig):
    one = rig()
    one.cloud.inject(THERE, "guest")
    left_in_verify_resize(one)
    found = one.repair()
    assert [step.step for step in found.result.steps] == ["revert"]
    assert (found.result.state, found.result.dest) == ("done", HERE)
    assert one.cloud.happened.confirmed_unproven == []


def test_a_server_that_was_stopped_before_is_confirmed_though_its_guest_is_off(rig):
    one = rig()
    one.act("os-stop")
    left_in_verify_resize(one)
    found = one.repair()
    assert [step.step for step in found.result.steps] == ["confirm"]
    assert one.cloud.broken() == []


def test_a_move_is_taken_back_where_that_was_asked_for(rig):
    one = rig()
    left_in_verify_resize(one)
    assert one.repair(back=True).result.dest == HERE
    assert one.cloud.broken() == []


def test_by_the_api_alone_a_confirm_needs_its_name(rig):
    one = rig(hosts=False)
    left_in_verify_resize(one)
    (step,) = one.repair(dry_run=True).plan.steps
    assert (step.id, bool(step.destroys)) == ("confirm", True)


def test_no_start_after_an_evacuation_while_the_old_host_is_away(rig):
    one = rig()
    one.cloud.stop_compute(HERE, machine=True)
    one.cloud.hosts[HERE].forced_down = True
    one.act("evacuate", {"host": THERE})
    one.cloud.clear_counts()
    found = one.repair()
    assert found.result.state == "refused"
    assert "evacuated-old-host-away" in [case.id for case in found.before]
    assert changes(one) == []
    (statement,) = found.result.statements
    assert "NOT TESTED" in statement.why
    assert one.cloud.execute(statement.sql) == 1  # it does what it says, of this host alone
    assert {host for host, *_ in one.cloud.rows(one.server)} == {THERE}


def test_an_old_host_that_is_up_again_but_has_not_cleaned_up(rig):
    one = rig()
    one.cloud.stop_compute(HERE, machine=True)
    one.cloud.hosts[HERE].forced_down = True
    one.act("evacuate", {"host": THERE})
    one.cloud.hosts[HERE].forced_down, one.cloud.hosts[HERE].up = False, True
    found = one.repair(dry_run=True)
    assert "evacuated-old-host-back" in [case.id for case in found.before]
    assert "start" not in [step.id for step in found.plan.steps]


def test_a_move_under_way_is_waited_for(rig):
    one = rig(pace=100.0)
    one.client.act(one.server, "migrate", {"host": THERE})
    one.cloud.clear_counts()
    found = one.repair()
    assert [case.id for case in found.before] == ["in-progress"]
    assert (found.result.state, changes(one)) == ("refused", [])


def test_a_move_found_no_host_and_nothing_is_to_be_done(rig):
    one = rig()
    for number in range(3):
        one.cloud.boot(f"filler-{number}", THERE)
        one.cloud.boot(f"more-{number}", "gpu-c")
    one.act("migrate")
    one.cloud.clear_counts()
    found = one.repair()
    assert [case.id for case in found.before] == ["no-valid-host", "healthy"]
    assert (found.result.state, changes(one)) == ("done", [])


@pytest.mark.parametrize("release", [21, 25, 34])
def test_every_era(rig, release):
    """21 heals by itself; 25 doubles host devices, which no book shows, where somebody starts it with both cards."""
    one = rig(release=release, tracking=False)
    finish_failed(one)
    one.cloud.audit()
    found = one.repair()
    assert found.result.state == "done", found
    assert [step.step for step in found.result.steps if step.step.startswith("end-")] == (
        [] if release <= 21 else ["end-migration-1"]
    )
    assert one.cloud.broken() == []


def test_the_allocation_is_not_touched_where_nobody_knows_which_card_is_right(rig):
    one = rig(database=False, hosts=False, double=1.0)
    left_in_verify_resize(one)
    one.act("confirmResize")
    one.cloud.clear_counts()
    found = one.repair()
    assert [case.id for case in found.before] == ["double-allocation"]
    assert (found.result.state, changes(one)) == ("refused", [])
    assert "--nova-db or --ssh" in found.result.resolution


@pytest.mark.parametrize(("database", "hosts"), [(True, False), (False, True)])
def test_the_allocation_is_put_right_by_the_database_or_by_the_domain(rig, database, hosts):
    one = rig(database=database, hosts=hosts, double=1.0)
    left_in_verify_resize(one)
    one.act("confirmResize")
    assert one.repair().result.state == "done"
    assert one.cloud.broken() == []


def test_the_allocation_of_a_deleted_servers_move_is_given_back(rig):
    one = rig()
    reset_too_early(one)
    one.client.call("compute", "DELETE", f"/servers/{one.server}")
    one.cloud.settle()
    one.cloud.audit()
    found = one.repair()
    assert "orphan-migration-allocation" in [case.id for case in found.before]
    assert "orphan-1" in [step.step for step in found.result.steps if step.state == "done"]
    assert not [one for one in one.cloud.broken() if "holds" in one]


def test_a_guest_on_two_hosts_is_nobodys_to_repair_by_a_program(rig):
    one = rig()
    left_in_verify_resize(one)
    one.act("confirmResize")
    domain = one.cloud.hosts[THERE].domains[one.server]
    one.cloud.hosts[HERE].domains[one.server] = type(domain)("twin", one.server, True, ("0000:04:00.0",))
    one.cloud.clear_counts()
    found = one.repair()
    assert [case.id for case in found.before] == ["two-guests"]
    assert (found.result.state, changes(one)) == ("refused", [])


def test_a_locked_server_is_left_alone(rig):
    one = rig()
    finish_failed(one)
    one.cloud.server(one.server).locked = True
    one.cloud.clear_counts()
    found = one.repair()
    assert "locked" in found.result.steps[-1].detail
    assert changes(one) == []
    assert one.repair(force_locked=True).result.state == "done"


def test_another_gpuctl_has_the_server(rig):
    one = rig()
    finish_failed(one)
    with Journal.open("sim", one.server), pytest.raises(Busy, match="pid"):
        one.repair()


def test_a_start_that_is_refused_because_of_another_guest_names_it(rig):
    one = rig()
    one.act("os-stop")
    one.cloud.occupy(HERE, "0000:04:00.0")
    one.act("os-start")
    one.cloud.clear_counts()
    found = one.repair()
    assert "start-refused" in [case.id for case in found.before]
    assert "0000:04:00.0" in found.result.detail
    assert (found.result.state, changes(one)) == ("unfinished", [])


def test_killed_between_shelve_and_unshelve_it_is_unshelved_by_the_next_run(rig, monkeypatch):
    one = rig()
    retried_after_leak(one)

    class Killed(BaseException):
        pass

    def kill(*_, **__):
        raise Killed

    reader = one.reader()
    act, asked = type(reader.nova).act, []

    def first_only(self, server, body, what, **more):
        asked.append(body)
        return act(self, server, body, what, **more) if len(asked) == 1 else kill()

    with monkeypatch.context() as patch:
        patch.setattr(type(reader.nova), "act", first_only)
        with pytest.raises(Killed):
            one.repair()
    assert one.cloud.server_state(one.server)["status"] == "SHELVED_OFFLOADED"
    assert one.cases()[0] == "shelved-in-repair"
    assert one.repair().result.state == "done"
    assert one.cloud.server_state(one.server)["host"] == THERE
    assert one.cloud.broken() == []


@pytest.mark.parametrize("kind", ["reset-after", "504-after", 500])
def test_an_answer_that_is_lost_is_not_asked_for_again(rig, kind):
    one = rig()
    left_in_verify_resize(one)
    one.cloud.clear_counts()
    one.cloud.fail("POST", "action#confirmResize", kind)
    found = one.repair()
    posts = [count for name, count in one.cloud.counts().items() if name.endswith("#confirmResize")]
    assert posts == [1]
    assert found.result.state == ("unknown" if kind == 500 else "done")


def test_leaks_without_the_database_are_likely_and_say_what_would_prove_them(rig):
    one = rig(database=False)
    rolled_back(one)
    case = diagnose(one.sight())[0]
    assert (case.id, case.certainty) == ("rolled-back", "likely")
    assert "--nova-db" in case.proof


def test_after_a_completed_evacuation_a_start_is_offered_and_not_forced(rig):
    one = rig()
    evacuated_and_back(one)
    one.operator = Operator(one, agrees=False)
    found = one.repair()
    assert found.result.state == "unfinished"
    assert one.cloud.server_state(one.server)["status"] == "SHUTOFF"


def test_what_changed_while_a_person_was_thinking_is_not_overrun(rig, monkeypatch):
    """Somebody confirms in another window while gpuctl asks whether to revert."""
    monkeypatch.setattr("gpuctl.moves.recover.run.THINKING_S", -1.0)
    one = rig()
    left_in_verify_resize(one)

    class Slow(Operator):
        def agrees(self, step):
            if step.id == "revert":
                one.act("confirmResize")
                one.cloud.clear_counts()
            return super().agrees(step)

    one.operator = Slow(one)
    found = one.repair(back=True)
    assert "it changed" in found.result.steps[0].detail
    assert not [name for name in changes(one) if "revertResize" in name]
