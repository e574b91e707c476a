"""Each thing that is never done, and the reason that is given: on books made by hand."""

from __future__ import annotations

import pytest

from gpuctl.moves.model import Allocation, Books, Compute, Domain, HostView, Migration, Provider, Row, Server
from gpuctl.moves.recover.never import never
from gpuctl.moves.recover.sight import FORCE_LOCKED, ROWS_CHECKED, Sight
from gpuctl.moves.recover.step import Act, Put

ID, MOVE = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
STATES = {
    "ACTIVE": "active",
    "SHUTOFF": "stopped",
    "ERROR": "error",
    "VERIFY_RESIZE": "resized",
    "SHELVED_OFFLOADED": "shelved_offloaded",
}
REBOOT, START = Act({"reboot": {"type": "HARD"}}), Act({"os-start": None})
RESET, CONFIRM, REVERT = (
    Act({"os-resetState": {"state": "active"}}),
    Act({"confirmResize": None}),
    Act({"revertResize": None}),
)
SHELVE, UNSHELVE = Act({"shelve": None}), Act({"unshelve": None})


def server(status="ACTIVE", host="b", **more):
    said = dict(
        id=ID, name="guest", status=status, vm_state=STATES[status], task_state=None, power_state=1, host=host, node=host,
        instance_name="instance-1", locked=False, project="p", flavor="f", specs={"pci_passthrough:alias": "gtx:1"}, vcpus=1,
        ram_mib=1, root_gib=1, ephemeral_gib=0, swap_mib=0, image="i", volumes=(), zone="nova", created="", updated="2026-11-21T12:00:00",
    )  # fmt: skip
    return Server(**{**said, **more})


def migration(status, number=1, source="a", dest="b", kind="migration", uuid=MOVE):
    return Migration(number, uuid, ID, kind, status, source, dest, "2026-11-21T11:00:00", "2026-11-21T11:00:00")


def row(host, address="0000:04:00.0"):
    return Row(host, address, "10de", "1b80", "type-PCI", "allocated", ID)


def sight(one=None, *migrations, rows=None, newest=(2, 100), up=("a", "b"), views=(), believed=(), **more):
    computes = {name: Compute(name, name, enabled=True, up=name in up) for name in ("a", "b")}
    books = Books(
        {ID: one} if one else {}, tuple(migrations), computes, newest, rows=rows, hosts={view.host: view for view in views}, **more
    )  # fmt: skip
    return Sight(ID, books, now="2026-11-21T12:00:00", believed=frozenset(believed))


def view(host, state="running", hostdevs=("0000:04:00.0",)):
    return HostView(host, (Domain(host, ID, "instance-1", state, hostdevs),), (), shared=False)


GOOD = view("b")
BOTH = (row("a"), row("b"))
HERE_ALONE = (row("b"),)


@pytest.mark.parametrize("request_", [REBOOT, START])
@pytest.mark.parametrize("newest", [(2, 87), (2, 90), (2, 93), (2, 104), (3, 1)])
def test_no_start_with_rows_on_two_hosts(request_, newest):
    seen = sight(server("ERROR"), migration("error"), rows=BOTH, newest=newest)
    assert "cards of a are held" in never(request_, seen)


@pytest.mark.parametrize("request_", [REBOOT, START])
def test_no_start_with_two_rows_on_its_own_host(request_):
    assert "are held" in never(request_, sight(server("SHUTOFF"), rows=(row("b"), row("b", "0000:05:00.0"))))


def test_no_start_where_a_leak_is_only_inferred():
    assert "cards of a are held" in never(REBOOT, sight(server("ERROR"), migration("error")))


def test_no_start_where_it_is_unknown_whether_the_audit_came_by():
    fresh = migration("failed")
    fresh = type(fresh)(*[getattr(fresh, name) for name in fresh.__slots__[:-1]], "2026-11-21T11:59:30")
    seen = sight(server("ERROR"), fresh)
    assert "unknown" in never(REBOOT, seen)
    assert never(REBOOT, sight(server("ERROR"), fresh, believed=[ROWS_CHECKED])) == ""
    assert never(REBOOT, sight(server("ERROR"), fresh, rows=HERE_ALONE)) == ""


def test_a_start_is_right_with_rows_on_one_host():
    assert never(REBOOT, sight(server("ERROR"), migration("failed"), rows=HERE_ALONE)) == ""


def test_no_start_is_needed_to_be_feared_on_21():
    assert never(START, sight(server("SHUTOFF"), migration("error"), newest=(2, 79))) == ""


@pytest.mark.parametrize("request_", [RESET])
def test_no_reset_in_verify_resize(request_):
    assert "confirm or revert" in never(request_, sight(server("VERIFY_RESIZE"), migration("finished"), rows=BOTH))


def test_no_reset_while_a_migration_is_finished():
    assert "buries it" in never(RESET, sight(server("ERROR"), migration("finished"), rows=BOTH))


def test_no_start_after_an_evacuation_while_the_old_host_is_away():
    seen = sight(server("SHUTOFF"), migration("done", kind="evacuation"), rows=HERE_ALONE)
    assert "a has not cleaned up" in never(START, seen)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (view("b", "shut off"), "does not run"),
        (HostView("b", (), (), shared=False), "no domain"),
        (view("b", hostdevs=()), "has 0 of 1 cards|the books say"),
        (view("b", hostdevs=("0000:05:00.0",)), "the books say"),
    ],
    ids=["off", "no domain", "no card", "another card"],
)
def test_no_confirm_of_a_guest_that_is_not_good_whoever_asks(bad, why):
    import re

    seen = sight(server("VERIFY_RESIZE"), migration("finished"), rows=BOTH, views=[bad])
    assert re.search(why, never(CONFIRM, seen, accepted=True))


def test_no_confirm_unproven_unless_agreed_to_by_name():
    seen = sight(server("VERIFY_RESIZE"), migration("finished"), rows=BOTH)
    assert "not proven good" in never(CONFIRM, seen)
    assert never(CONFIRM, seen, accepted=True) == ""
    assert never(CONFIRM, sight(server("VERIFY_RESIZE"), migration("finished"), rows=BOTH, views=[GOOD])) == ""


@pytest.mark.parametrize("request_", [CONFIRM, REVERT])
def test_no_confirm_or_revert_with_two_finished(request_):
    both = (migration("finished"), migration("finished", 2, "b", "a"))
    seen = sight(server("VERIFY_RESIZE"), *both, rows=BOTH, views=[GOOD])
    assert "would take the old one" in never(request_, seen)


@pytest.mark.parametrize(("request_", "down"), [(CONFIRM, "a"), (REVERT, "a"), (REVERT, "b")])
def test_no_confirm_or_revert_with_a_host_down(request_, down):
    up = {"a", "b"} - {down}
    seen = sight(server("VERIFY_RESIZE"), migration("finished"), rows=BOTH, views=[GOOD], up=up)
    assert f"{down} is down" in never(request_, seen)


@pytest.mark.parametrize("request_", [REBOOT, START, RESET, CONFIRM, REVERT, SHELVE, UNSHELVE])
def test_nothing_while_something_is_under_way(request_):
    assert "under way" in never(request_, sight(server(), migration("migrating"), rows=HERE_ALONE))
    assert "Nova is at work" in never(request_, sight(server(task_state="resize_migrating"), rows=HERE_ALONE))


@pytest.mark.parametrize("name", ["migrate", "resize", "evacuate", "os-migrateLive", "forceDelete", "rebuild"])
def test_no_new_move_after_a_failure(name):
    assert "no move begun" in never(Act({name: None}), sight(server(), rows=HERE_ALONE))


@pytest.mark.parametrize("request_", [REBOOT, START, RESET, SHELVE])
def test_nothing_while_its_guest_runs_on_another_host(request_):
    assert "runs on a" in never(request_, sight(server(), rows=HERE_ALONE, views=[view("a"), GOOD]))


def test_no_shelve_with_cards_on_another_host():
    assert "a are held for it" in never(SHELVE, sight(server(), migration("error"), rows=BOTH))


def test_no_unshelve_with_cards_anywhere():
    seen = sight(server("SHELVED_OFFLOADED", host=None), migration("error"), rows=(row("a"),))
    assert "are held" in never(UNSHELVE, seen)


def test_nothing_of_a_locked_server():
    assert "it is locked (mine)" in never(REBOOT, sight(server(locked=True, locked_reason="mine"), rows=HERE_ALONE))
    assert never(REBOOT, sight(server(locked=True), rows=HERE_ALONE, believed=[FORCE_LOCKED])) == ""


def test_nothing_of_a_server_that_is_gone():
    assert never(REBOOT, sight(None)) == "the server is gone"


# ---------------------------------------------------------------- Placement

PROVIDERS = {
    "root-b": Provider("root-b", "b", "b", None, 1),
    **{f"{host}-{n}": Provider(f"{host}-{n}", f"{host}_0000:0{n}:00.0", host, f"root-{host}", 1, f"0000:0{n}:00.0") for host in "ab" for n in (4, 5)},
}  # fmt: skip
CARD = {"CUSTOM_PCI_10DE_1B80": 1}


def put(*providers, consumer=ID, generation=3):
    return Put(Allocation(consumer, dict.fromkeys(providers, CARD), generation, "p", "u"))


def placed(one, *migrations, **more):
    return sight(one, *migrations, providers=PROVIDERS, allocations={}, **more)


def test_an_allocation_is_put_right_only_to_the_number_of_its_cards_on_its_host():
    assert never(put("root-b", "b-4"), placed(server())) == ""
    assert "2 cards would be left of 1" in never(put("b-4", "b-5"), placed(server()))
    assert "0 cards would be left" in never(put("root-b"), placed(server()))
    assert "not on b" in never(put("a-4"), placed(server()))


def test_no_allocation_is_put_without_its_generation():
    assert "generation" in never(put("b-4", generation=None), placed(server()))


def test_no_allocation_is_put_while_a_move_is_not_over():
    assert "not over" in never(put("b-4"), placed(server("VERIFY_RESIZE"), migration("finished")))
    assert "not over" in never(put("b-4"), placed(server(), migration("migrating")))


def test_no_unshelve_while_its_old_host_has_not_let_go_of_it():
    seen = sight(server("SHELVED_OFFLOADED", host="b"), rows=())
    assert "b has not let go of it" in never(UNSHELVE, seen)
    assert "of a are its own still" in never(UNSHELVE, sight(server("SHELVED_OFFLOADED", host="a"), rows=(row("a"),)))
    assert never(UNSHELVE, sight(server("SHELVED_OFFLOADED", host=None), rows=())) == ""
    long_ago = server("SHELVED_OFFLOADED", host="b", updated="2026-11-21T11:00:00")
    assert never(UNSHELVE, sight(long_ago, rows=())) == ""


def test_an_orphans_allocation_is_emptied_only_if_it_is_a_migration_of_this_server_that_is_over():
    assert never(put(consumer=MOVE), placed(server(), migration("failed"))) == ""
    assert "neither this server nor a migration" in never(put(consumer="x"), placed(server(), migration("failed")))
    assert "is given nothing" in never(put("b-4", consumer=MOVE), placed(server(), migration("failed")))
    for status in ("finished", "migrating", "confirming", "reverting"):
        assert "still needs" in never(put(consumer=MOVE), placed(server(), migration(status)))
    assert "still needs" in never(put(consumer=MOVE), placed(server(), migration("done", kind="evacuation")))
    assert never(put(consumer=MOVE), placed(None, migration("finished"))) == ""  # its server was deleted
