"""Each way in which a move goes wrong on a real Nova: found by audit, named by recover, repaired, and judged by truth.py.

Where only the database can repair, the very statements that recover printed are run, between their guard and their check.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from gpuctl.moves.recover.diagnosis import ABANDONED_S

from . import situations
from .clients import act, boot, settle, show, until
from .situations import HERE, SITUATIONS, THERE, hosts_of_rows
from .truth import wrongs

if TYPE_CHECKING:
    from collections.abc import Callable

    from .lab import Lab
    from .product import Product

pytestmark = [pytest.mark.lab_openstack, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Expected:
    """What should be said of one situation, and what it takes to repair it.

    Attributes:
        audit: what audit finds with the API and Placement alone.
        rows: what it finds besides with --nova-db and --ssh.
        case: how recover names it with the API and Placement alone.
        sure: how it names it besides with --nova-db and --ssh.
        words: options of the repair.
        person: what a person has to do first.
        statement: whether a statement has to be run.
        gone: the server is deleted.
    """

    audit: frozenset[str] = frozenset()
    rows: frozenset[str] = frozenset()
    case: frozenset[str] = frozenset()
    sure: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    person: Callable[[Lab], None] = lambda lab: None
    statement: bool = False
    gone: bool = False


def ids(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def old_host_is_back(lab: Lab) -> None:
    """The host that was evacuated is up again, and its audit came by."""
    lab.start_compute(HERE)
    lab.audit()


def foreign_guest_is_gone(lab: Lab) -> None:
    """Nobody else has a card of this host."""
    for one in lab.topology.host(HERE).raw["devices"]:
        lab.faults(HERE).free(one["address"])


LEFT = ids("domain-stale resize-leftover")
LEFT_CASES = ids("stale-resize stale-domain")
EXPECTED = {
    "finish-failed": Expected(
        audit=ids("server-error migration-error"),
        rows=ids("server-error row-elsewhere") | LEFT,
        case=ids("leaked-card finish-failed"),
        sure=LEFT_CASES,
        statement=True,
    ),
    "finish-failed-then-2016": Expected(
        audit=ids("migration-error"),
        rows=ids("row-elsewhere") | LEFT,
        case=ids("leaked-card finish-failed-and-started"),
        sure=LEFT_CASES,
        statement=True,
    ),
    "rolled-back": Expected(
        audit=ids("migration-error"), rows=ids("row-elsewhere"), case=ids("rolled-back"), statement=True
    ),
    "rolled-back-and-rebooted": Expected(
        audit=ids("server-error migration-error"),
        rows=ids("server-error row-elsewhere"),
        case=ids("leaked-card rolled-back-and-rebooted"),
        statement=True,
    ),
    "retried-after-leak": Expected(
        audit=ids("migration-error"),
        rows=ids("row-double"),
        case=ids("retried-after-leak"),
        words=("--accept", "shelve-unshelve"),
    ),
    "copy-failed": Expected(
        audit=ids("server-error migration-error"),
        rows=ids("server-error row-elsewhere"),
        case=ids("leaked-card copy-failed"),
        statement=True,
    ),
    # It waits for somebody: nothing is wrong before a day has passed.
    "left-in-verify-resize": Expected(case=ids("verify-resize-left")),
    "confirm-failed": Expected(
        audit=ids("server-error migration-error"),
        rows=ids("server-error row-elsewhere") | LEFT,
        case=ids("leaked-card confirm-failed"),
        sure=LEFT_CASES,
        statement=True,
    ),
    "revert-failed": Expected(
        audit=ids("server-error migration-error"), rows=ids("server-error"), case=ids("revert-failed")
    ),
    "reset-too-early": Expected(
        audit=ids("reset-too-early"),
        rows=ids("reset-too-early row-elsewhere") | LEFT,
        case=ids("reset-state-too-early"),
        sure=LEFT_CASES,
        statement=True,
    ),
    # Nova shows a deleted server's migrations to nobody: the database alone knows whose allocation this is.
    "reset-too-early-and-deleted": Expected(
        audit=ids("allocation-orphan"),
        rows=ids("allocation-orphan resize-leftover domain-unknown"),
        sure=LEFT_CASES | {"orphan-migration-allocation"},
        gone=True,
    ),
    "alias-missing": Expected(
        audit=ids("server-error migration-error"),
        rows=ids("server-error"),
        case=ids("alias-missing"),
        person=situations.aliases_back,
    ),
    # Nothing was changed, and nothing is to be found.
    "no-card-anywhere": Expected(case=ids("no-valid-host healthy")),
    "evacuated": Expected(
        audit=ids("evacuated-host-away compute-forced-down"),
        case=ids("evacuation-holds evacuated-old-host-away"),
        person=old_host_is_back,
    ),
    "evacuated-and-started": Expected(
        audit=ids("evacuated-host-away compute-forced-down"),
        case=ids("evacuation-holds evacuated-old-host-away evacuated-and-started"),
        person=old_host_is_back,
    ),
    "evacuated-and-back": Expected(audit=ids("compute-forced-down"), case=ids("evacuated-and-stopped")),
    "shelve-lost-its-snapshot": Expected(rows=ids("domain-missing"), case=ids("snapshot-failed")),
    # Nothing is held, and the server is where it says that it is: only recover has something to say.
    "unshelve-failed": Expected(case=ids("unshelve-failed")),
    "start-refused": Expected(case=ids("start-refused"), person=foreign_guest_is_gone),
}
# Records in `error` that own nothing stay as they are: no move is refused for their sake.
HARMLESS = {"retried-after-leak", "revert-failed", "alias-missing", "no-card-anywhere"}


def test_every_situation_has_its_expectation() -> None:
    assert EXPECTED.keys() == SITUATIONS.keys()


@pytest.mark.parametrize("name", SITUATIONS)
def test_found_named_and_repaired(gpuctl: Product, cloud: Lab, tracked: bool, name: str) -> None:
    expected = EXPECTED[name]
    server = boot(cloud, "gtx1080:1", HERE)
    SITUATIONS[name](cloud, server)
    try:
        before = state(cloud, server)
        audit(gpuctl, expected)
        named(gpuctl, server, expected)
        assert state(cloud, server) == before, "looking changes nothing"
        if expected.statement and not tracked:  # tracking changes nothing about what is safe
            only_what_is_safe(gpuctl, cloud, server)
    finally:
        expected.person(cloud)
    answer = gpuctl.repair(server, *expected.words)
    assert (answer.code, answer.result["state"]) == (0, "done"), answer.out + answer.err
    wrong = wrongs(cloud, {} if expected.gone else {server: 1}, tracked=tracked)
    if name in HARMLESS:
        wrong = [one for one in wrong if not (one.startswith("migration ") and one.endswith(" is error"))]
    assert wrong == []
    assert gpuctl.run("instance", "audit", "--deep", "--strict", db=True, ssh=True).found.keys() <= {
        "compute-forced-down"
    }


def audit(gpuctl: Product, expected: Expected) -> None:
    """`instance audit` finds what can be seen from where it stands; the exit code says so."""
    for seen, sight in ((expected.audit, {}), (expected.audit | expected.rows, {"db": True, "ssh": True})):
        answer = gpuctl.run("instance", "audit", **sight)
        # With the database the rows themselves are looked at, and a record alone is no finding any more.
        wanted = seen - ({"migration-error"} if sight else set())
        assert wanted <= answer.found.keys(), answer.out
        assert answer.code == (1 if "fail" in answer.found.values() else 0)


def named(gpuctl: Product, server: str, expected: Expected) -> None:
    """`instance recover --dry-run` names the cases."""
    for cases, sight in ((expected.case, {}), (expected.case | expected.sure, {"db": True, "ssh": True})):
        answer = gpuctl.run("instance", "recover", server, "--dry-run", **sight)
        if expected.gone and not sight:
            assert answer.code == 2, answer.out
            [record] = gpuctl.lab.migrations(server)
            consumer = gpuctl.run("instance", "recover", str(record["uuid"]), "--dry-run", db=True)
            assert consumer.result["server"] == server, consumer.out
            continue
        assert answer.code == 0, answer.out + answer.err
        found = [one["id"] for one in answer.result["findings"]]
        # What a cold move leaves in Placement depends on which card its claim took.
        assert set(found) - {"double-allocation"} == cases, answer.out


def state(cloud: Lab, server: str) -> tuple[Any, ...]:
    """All that a command could have changed."""
    rows = [(one["host"], one["address"]) for one in cloud.pci_rows() if one["instance_uuid"] == server]
    records = [(one["id"], one["status"]) for one in cloud.migrations(server)]
    guests = [(host, one.running) for host in cloud.hosts() for one in cloud.domains(host) if one.uuid == server]
    actions = cloud.sql("select id from nova.instance_actions where instance_uuid = %s order by id", server)
    return rows, records, guests, [one["id"] for one in actions]


def only_what_is_safe(gpuctl: Product, cloud: Lab, server: str) -> None:
    """With everything agreed to, and the card still held, no step touches the guest."""
    before = state(cloud, server)
    accepted = [word for step in ("hard-reboot", "start", "reset-state") for word in ("--accept", step)]
    answer = gpuctl.run("instance", "recover", server, "--yes", *accepted, db=True)
    assert (answer.code, answer.result["state"]) == (1, "unfinished"), answer.out
    assert answer.result["statements"], answer.out
    assert state(cloud, server) == before, answer.out


def test_no_start_while_the_old_host_is_away(gpuctl: Product, cloud: Lab, tracked: bool) -> None:
    server = boot(cloud, "gtx1080:1", HERE)
    situations.evacuated(cloud, server)
    try:
        before = state(cloud, server)
        answer = gpuctl.run(
            "instance", "recover", server, "--yes", "--accept", "start", "--accept", "hard-reboot", db=True, ssh=True
        )
        assert (answer.code, answer.result["state"]) == (3, "refused"), answer.out
        assert state(cloud, server) == before
        assert any("NOT TESTED" in one["why"] for one in answer.result["statements"])
    finally:
        old_host_is_back(cloud)
    assert gpuctl.repair(server).result["state"] == "done"
    assert wrongs(cloud, {server: 1}, tracked=tracked) == []


def test_a_server_with_cards_on_two_hosts_is_not_moved(gpuctl: Product, cloud: Lab) -> None:
    server = boot(cloud, "gtx1080:1", HERE)
    situations.rolled_back(cloud, server)
    before = state(cloud, server)
    for sight in ({}, {"db": True}):
        answer = gpuctl.run("instance", "migrate", server, "--yes", "--host", THERE, **sight)
        assert (answer.code, answer.result["state"]) == (3, "refused"), answer.out
    assert state(cloud, server) == before
    assert show(cloud, server)["status"] == "ACTIVE"
    assert hosts_of_rows(cloud, server) == [HERE, THERE]


def test_a_record_that_holds_nothing_keeps_no_server_from_moving(gpuctl: Product, cloud: Lab, tracked: bool) -> None:
    server = boot(cloud, "gtx1080:1", HERE)
    situations.revert_failed(cloud, server)
    assert gpuctl.repair(server).result["state"] == "done"
    answer = gpuctl.run("instance", "migrate", server, "--yes", db=True, ssh=True)
    assert (answer.code, answer.result["state"]) == (0, "done"), answer.out
    left = wrongs(cloud, {server: 1}, tracked=tracked)
    assert [one for one in left if not one.endswith(" is error")] == []


def aged(lab: Lab, server: str, seconds: int) -> None:
    """Nova's books last changed so long ago; nobody need wait for it."""
    for table, column in (("instances", "uuid"), ("migrations", "instance_uuid")):
        past = "update nova.{} set updated_at = updated_at - interval %s second where {} = %s"
        lab.sql(past.format(table, column), seconds, server)


def test_a_move_that_nova_dropped_at_a_restart(gpuctl: Product, cloud: Lab, tracked: bool) -> None:
    """At its start nova-compute rolls back what it copied, and leaves record, cards and allocations as they were."""
    server = boot(cloud, "gtx1080:1", HERE)
    before = cloud.allocations(server)
    hold = cloud.hold(HERE, "copy_file")
    act(cloud, server, {"migrate": {"host": THERE}})
    hold.wait_reached()
    cloud.stop_compute(HERE)
    hold.release()
    cloud.start_compute(HERE)
    # It first clears the task, then finds the guest off, as the copy had left it, and stops the server.
    until(lambda: show(cloud, server)["status"] == "SHUTOFF", "the restart")
    assert settle(cloud, server)["status"] == "SHUTOFF"
    assert [one["status"] for one in cloud.migrations(server)] == ["migrating"]
    assert hosts_of_rows(cloud, server) == [HERE, THERE]
    assert cloud.allocations(server) != before
    aged(cloud, server, ABANDONED_S)
    repaired = gpuctl.repair(server)
    assert (repaired.code, repaired.result["state"]) == (0, "done"), repaired.out + repaired.err
    assert cloud.allocations(server) == before
    act(cloud, server, {"os-start": None})
    until(lambda: show(cloud, server)["status"] == "ACTIVE", "the start")
    half = f"folder {server} on {THERE}"  # what was copied; the next move there goes on with it
    assert [one for one in wrongs(cloud, {server: 1}, tracked=tracked) if one != half] == []
