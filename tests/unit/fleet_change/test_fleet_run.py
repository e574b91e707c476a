"""The order of things in a changing run: canary, batches, limits, reboots, drains, interrupts, and the run after it."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("click")

from gpuctl.fleet.ansible.playbook import Ended
from gpuctl.fleet.prepare import FleetRun, Told, idle, left, plan
from gpuctl.fleet.run_state import HostState, exit_code, run_document
from gpuctl.fleet.run_state_journal import Journal
from tests.unit.fleet_change.ansible_sim import SimAnsible, SimDrainer, SimHost
from tests.unit.fleet_change.runs import fleet, run, states, wish


def test_the_canary_goes_alone_and_then_the_rest():
    ansible = fleet(4)
    one, found = run(ansible)
    assert [hosts for _, hosts, _ in ansible.plays] == [("h1",), ("h2", "h3", "h4")]
    assert set(states(found).values()) == {"reboot-needed"}
    assert exit_code([state.state for state in found.values()], interrupted=one.interrupted) == 4


def test_a_canary_that_fails_is_the_only_host_touched():
    ansible = fleet(5, h1="disk")
    one, found = run(ansible, wish(max_fail=100.0))
    assert sum(host.writes for host in ansible.hosts.values()) == 0
    assert len(ansible.plays) == 1
    assert "h1 went first" in one.stopped
    assert states(found) == {"h1": "failed", "h2": "skipped", "h3": "skipped", "h4": "skipped", "h5": "skipped"}


def test_the_last_size_of_serial_repeats():
    ansible = fleet(10)
    run(ansible, wish(serial=("2", "30%")))
    assert [len(hosts) for _, hosts, _ in ansible.plays] == [1, 2, 3, 3, 1]


def test_it_stops_only_when_more_than_max_fail_did_not_make_it():
    ansible = fleet(10, h2="dead", h5="disk")
    one, found = run(ansible, wish(serial=("2",), max_fail=10.0))
    assert states(found)["h4"] == "reboot-needed"  # after h2: 10 %, which is not more
    assert states(found)["h6"] == "skipped"  # after h5: 20 %
    assert "2 of 10" in one.stopped
    assert ansible.hosts["h6"].writes == 0


def test_each_problem_is_told_by_its_own_state_and_by_what_to_do():
    ansible = fleet(6, h2="dead", h3="changed-key", h4="disk", h5="refuses", h6="silent")
    _, found = run(ansible, wish(max_fail=100.0))
    assert states(found) == {
        "h1": "reboot-needed", "h2": "unreachable", "h3": "unreachable", "h4": "failed", "h5": "refused", "h6": "failed",
    }  # fmt: skip
    assert "power" in found["h2"].resolution
    assert "fleet trust" in found["h3"].resolution
    assert found["h4"].resolution == "make room there"
    assert found["h5"].resolution == "end the guest"
    assert "nothing of it" in found["h6"].what


@pytest.mark.parametrize(
    ("came_to", "code"),
    [
        (["done", "done"], 0), (["done", "reboot-needed"], 4), (["done", "failed"], 5), (["reboot-needed", "unreachable"], 5),
        (["refused", "refused"], 3), (["unreachable", "unreachable"], 6), (["failed", "skipped"], 1),
        (["refused", "unreachable"], 1), (["unreachable", "skipped"], 6), (["done", "skipped"], 5), ([], 0),
    ],
)  # fmt: skip
def test_exit_codes(came_to, code):
    assert exit_code(came_to, interrupted=False) == code
    assert exit_code(came_to, interrupted=True) == 130


def test_reboot_waits_checks_and_says_done():
    ansible = fleet(3, h2="no-return", h3="not-ready")
    _, found = run(ansible, wish(reboot=True, canary=0, max_fail=100.0))
    assert states(found) == {"h1": "done", "h2": "failed", "h3": "failed"}
    assert found["h1"].changes, "what was done before the reboot is still told"
    assert found["h3"].findings[0]["id"] == "iommu-enabled"
    assert [name for name, _, _ in ansible.plays] == ["prepare", "reboot"]


def test_what_needs_no_reboot_gets_none():
    ansible = fleet(2)
    ansible.hosts["h2"].needs_reboot = False
    _, found = run(ansible, wish(reboot=True, canary=0))
    assert states(found) == {"h1": "done", "h2": "done"}
    assert ansible.hosts["h2"].reboots == 0


def test_drained_before_and_enabled_after_only_if_done():
    ansible, drainer = fleet(3, h3="disk"), SimDrainer(stuck=("h2",))
    _, found = run(ansible, wish(reboot=True, drain=True, canary=0, max_fail=100.0), drainer=drainer)
    assert drainer.asked == [("drain", ("h1", "h2", "h3")), ("enable", "h1")]
    assert ansible.hosts["h2"].writes == 0, "a host that is not empty is not touched"
    assert "no free card" in found["h2"].what
    assert "stays disabled" in found["h3"].what


def test_a_host_with_nothing_to_do_is_not_drained():
    ansible, drainer = fleet(2), SimDrainer()
    ansible.hosts["h1"] = SimHost(prepared=True, live=True)
    planned, _ = plan(ansible, wish(), list(ansible.hosts), Told(lambda _event: None, 2))
    run(ansible, wish(drain=True, reboot=True, canary=0), drainer=drainer, idle=idle(planned))
    assert drainer.asked == [("drain", ("h2",)), ("enable", "h2")]


class TestGivenBack:
    """A host that was taken from the scheduler comes back, or it is said that it did not."""

    def again(self, ansible, drainer):
        journal = Journal.load("last")
        return run(ansible, journal=journal, hosts=left(journal), drainer=drainer)[1]

    def test_done_and_then_interrupted_is_given_back_by_the_next_run(self):
        ansible, drainer = fleet(2), SimDrainer()
        ansible.hosts["h1"].needs_reboot = False  # done before its batch is over
        ansible.interrupt_at = "h2"
        _, found = run(ansible, wish(drain=True, canary=0), drainer=drainer)
        assert states(found) == {"h1": "done", "h2": "unknown"}
        assert drainer.asked == [("drain", ("h1", "h2"))]
        assert all("stays disabled" in one.what for one in found.values())
        ansible.interrupt_at, ansible.hosts["h2"].needs_reboot = "", False
        found = self.again(ansible, drainer)
        assert drainer.asked[1:] == [("enable", "h1"), ("drain", ("h2",)), ("enable", "h2")]
        assert states(found) == {"h1": "done", "h2": "done"}
        assert {one.what for one in found.values()} == {""}
        assert Journal.load("last").away == {}

    @pytest.mark.parametrize("killed", [False, True])
    def test_done_without_a_reboot_is_checked_and_given_back_only_if_ready(self, killed):
        ansible, drainer = fleet(2, h1="not-ready"), SimDrainer()
        for host in ansible.hosts.values():
            host.needs_reboot = False
        if killed:  # before they were checked
            ansible.play = lambda *a, **k: Ended(1, True, "") if a[0] == "check" else SimAnsible.play(ansible, *a, **k)
        _, found = run(ansible, wish(drain=True, canary=0, variables={"prepare_vendors": ["any"]}), drainer=drainer)
        if killed:
            assert ("enable", "h2") not in drainer.asked
            del ansible.play
            found = self.again(ansible, drainer)
        assert states(found) == {"h1": "failed", "h2": "done"}
        assert [one for one in drainer.asked if one[0] == "enable"] == [("enable", "h2")]
        assert ("not ready" in found["h1"].what, "stays disabled" in found["h1"].what) == (True, True)
        assert found["h2"].check == {"ready": True, "gpus": []}
        assert ansible.variables[-1]["check_vendors"] == ["any"]
        assert ansible.hosts["h1"].writes == 1

    def test_not_enabled_is_a_failure_that_is_tried_again(self):
        ansible, drainer = fleet(2), SimDrainer(refuses=("h1",))
        for host in ansible.hosts.values():
            host.needs_reboot = False
        _, found = run(ansible, wish(drain=True, canary=0), drainer=drainer)
        assert states(found) == {"h1": "failed", "h2": "done"}
        assert ("nova-compute is down" in found["h1"].what, found["h1"].resolution) == (True, "start it")
        drainer.refuses = ()
        assert states(self.again(ansible, drainer)) == {"h1": "done", "h2": "done"}
        assert ansible.hosts["h1"].writes == 1

    def test_what_somebody_else_disabled_is_not_enabled(self):
        ansible, drainer = fleet(1), SimDrainer(shut=("h1",))
        _, found = run(ansible, wish(drain=True, reboot=True, canary=0), drainer=drainer)
        assert (states(found), drainer.asked) == ({"h1": "done"}, [("drain", ("h1",))])

    def test_what_is_restored_is_not_for_the_scheduler(self):
        ansible, drainer = fleet(1), SimDrainer()
        ansible.hosts["h1"].needs_reboot = False
        _, found = run(ansible, wish(verb="restore", drain=True, canary=0), drainer=drainer)
        assert (states(found), drainer.asked) == ({"h1": "done"}, [("drain", ("h1",))])
        assert "stays disabled" in found["h1"].what

    def test_interrupted_in_its_drain_no_host_is_changed(self):
        ansible, drainer = fleet(2), SimDrainer(interrupt_at="h1")
        one, found = run(ansible, wish(drain=True, canary=0), drainer=drainer)
        assert one.interrupted
        assert (ansible.plays, states(found)) == ([], {"h1": "unknown", "h2": "unknown"})
        assert "stays disabled" in found["h1"].what


def test_too_many_that_cannot_even_be_planned_and_nothing_is_begun():
    ansible = fleet(4)
    with Journal.new(wish(), list(ansible.hosts)) as journal:
        journal.settle(HostState("h4", "unreachable", what="dead"))
        one = FleetRun(ansible, journal, Told(lambda _event: None, 4))
        found = one.go(["h1", "h2", "h3"])
    assert ansible.plays == []
    assert "1 of 4" in one.stopped
    assert [state.state for state in found] == ["skipped", "skipped", "skipped", "unreachable"]


def test_a_plan_changes_nothing_and_its_fingerprint_is_what_is_applied():
    ansible = fleet(2)
    planned, interrupted = plan(ansible, wish(), list(ansible.hosts), Told(lambda _event: None, 2))
    assert not interrupted
    assert [state.state for state in planned] == ["planned", "planned"]
    assert ansible.plays[0][2] == ("--check", "--diff")
    assert not any(host.writes for host in ansible.hosts.values())
    run(ansible, wish(canary=0), fingerprints={state.host: state.fingerprint for state in planned})
    assert ansible.variables[-1]["gpuctl_agreed"] == {"h1": "print-h1", "h2": "print-h2"}
    assert "gpuctl_agreed" in ansible.variables[-1]["prepare_fingerprint"]


def test_what_the_inventory_says_of_batches_and_reboots_does_not_hold_here():
    ansible = fleet(2)
    run(ansible, wish(variables={"prepare_audio": "leave"}))
    for given in ansible.variables:
        assert given["gpuctl_serial"] == "100%"
        assert given["prepare_reboot"] is False
    assert ansible.variables[0]["prepare_audio"] == "leave"


class TestInterrupted:
    def test_who_had_answered_is_known_and_the_rest_is_not_guessed(self):
        ansible = fleet(4)
        ansible.interrupt_at = "h3"
        one, found = run(ansible)
        assert one.interrupted
        assert states(found) == {"h1": "reboot-needed", "h2": "reboot-needed", "h3": "unknown", "h4": "unknown"}

    def test_the_next_run_does_the_rest_and_nothing_twice(self):
        ansible = fleet(6)
        ansible.interrupt_at = "h4"
        run(ansible, wish(serial=("2",)))
        ansible.interrupt_at = ""
        journal = Journal.load("last")
        todo = left(journal)
        assert todo == ["h4", "h5", "h6"]
        _, found = run(ansible, journal=journal, hosts=todo)
        assert set(states(found).values()) == {"reboot-needed"}
        assert [host.writes for host in ansible.hosts.values()] == [1] * 6

    def test_a_host_interrupted_in_its_reboot_is_asked_again(self):
        ansible = fleet(2)

        def reboot_interrupts(name, heard, **more):
            ansible.interrupt_at = "h2" if name == "reboot" else ""
            return SimAnsible.play(ansible, name, heard, **more)

        ansible.play = reboot_interrupts
        _, found = run(ansible, wish(reboot=True, canary=0))
        assert states(found) == {"h1": "done", "h2": "unknown"}
        del ansible.play
        ansible.interrupt_at = ""
        journal = Journal.load("last")
        _, found = run(ansible, journal=journal, hosts=left(journal))
        assert states(found) == {"h1": "done", "h2": "done"}
        assert [host.writes for host in ansible.hosts.values()] == [1, 1]


def test_the_document_counts_every_host_once():
    ansible = fleet(5, h2="dead", h3="refuses")
    one, found = run(ansible, wish(max_fail=100.0))
    document = run_document("r", wish(), list(found.values()), stopped="", interrupted=False, before=frozenset({"h1"}))
    assert document["schema"] == "gpuctl.fleet.run/1"
    assert sum(document["summary"].values()) == len(document["hosts"]) == 5
    assert [host["done_before"] for host in document["hosts"]] == [True, False, False, False, False]
    assert [host["changed"] for host in document["hosts"]] == [True, False, False, True, True]
    assert document["exit_code"] == 5
    assert not one.stopped
    json.dumps(document)
