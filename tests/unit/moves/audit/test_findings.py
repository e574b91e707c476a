"""Each finding on books made by hand: there when it is so, and not when it is nearly so."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from gpuctl.moves.audit import audit
from gpuctl.moves.model import Fault, Folder, Unseen
from tests.unit.moves.books.made import (
    GUEST,
    allocation,
    books,
    domain,
    migration,
    row,
    server,
    view,
)

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
HOURS_AGO, YESTERDAY = "2026-11-21T09:00:00Z", "2026-11-20T09:00:00.000000"


def found(made, **more):
    return {one.id: one for one in audit(made, now=NOON, **more).findings if one.status in {"fail", "warn"}}


def ids(made, **more):
    return set(found(made, **more))


def test_nothing_is_wrong_with_what_is_right():
    assert ids(books()) == set()
    assert ids(books(rows=None, hosts={}, providers=None, allocations=None, tracked=None)) == set()


RIGHT_WHILE_MOVING = [
    dict(servers={GUEST: server(task_state="resize_migrating")}),
    dict(migrations=(migration(status="migrating", dest="gpu-b", source="gpu-a"),)),
]


@pytest.mark.parametrize("more", RIGHT_WHILE_MOVING)
def test_a_server_under_way_is_left_alone(more):
    wrong = dict(
        rows=(row(), row("gpu-b")), allocations={GUEST: allocation("gpu-a/0000:04:00.0", "gpu-a/0000:05:00.0")}
    )
    assert ids(books(**wrong)) == {"row-elsewhere", "allocation-double"}
    assert ids(books(**wrong, **more)) == set()


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (allocation("gpu-a/0000:04:00.0", "gpu-a/0000:05:00.0"), {"allocation-double"}),
        (allocation(), {"allocation-missing"}),
        (allocation("gpu-a/0000:04:00.0", "gpu-b/0000:04:00.0"), {"allocation-elsewhere"}),
        (allocation("gpu-a/0000:04:00.0", roots=("gpu-a", "gpu-b")), {"allocation-elsewhere"}),
        (allocation("gpu-a/0000:05:00.0"), {"hostdev-mismatch"}),
    ],
)
def test_placement(held, expected):
    assert ids(books(allocations={GUEST: held})) == expected


def test_placement_of_a_host_that_does_not_report_its_cards():
    made = books(allocations={GUEST: allocation()})
    made = replace(
        made, providers={uuid: one for uuid, one in made.providers.items() if one.host != "gpu-a" or not one.address}
    )
    assert ids(made) == set()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((row(), row("gpu-b")), {"row-elsewhere"}),
        ((row(), row("gpu-b", status="claimed")), {"row-elsewhere"}),
        ((row(), row(address="0000:05:00.0")), {"row-double"}),
        ((row(owner=None),), {"row-missing"}),
        ((row(address="0000:05:00.0"), row(owner=None)), {"hostdev-mismatch"}),
        ((row(), row(address="0000:05:00.0", network=True)), set()),  # a port's card is not of the flavor
    ],
)
def test_rows(rows, expected):
    assert ids(books(rows=rows)) == expected


def test_a_move_that_was_tried_again_and_again_is_one_finding_for_each_host():
    tries = tuple(migration(number, "error", source="gpu-a", dest="gpu-b") for number in range(1, 31))
    other = migration(31, "error", source="gpu-a", dest="gpu-c")
    every = audit(books(rows=None, migrations=(*tries, other)), now=NOON).findings
    said = [one.evidence for one in every if one.id == "migration-error"]
    assert len(said) == 2
    assert said[0].startswith("migration 30 (migration gpu-a -> gpu-b) is `error`, and 29 older ones")
    assert said[1].startswith("migration 31 (migration gpu-a -> gpu-c) is `error`;")


def test_rows_say_which_migration_holds_them():
    made = books(rows=(row(), row("gpu-b")), migrations=(migration(7, "error", source="gpu-a", dest="gpu-b"),))
    assert found(made)["row-elsewhere"].evidence == (
        "pci_devices has gpu-b/0000:04:00.0 allocated to it; Nova has it on gpu-a; held by the migration in `error` 7 (migration gpu-a -> gpu-b)"
    )


@pytest.mark.parametrize(
    ("domains", "expected"),
    [
        ({"gpu-a": view("gpu-a")}, {"domain-missing"}),
        ({"gpu-a": view("gpu-a", domain(state="shut off"))}, {"domain-missing"}),
        ({"gpu-a": view("gpu-a", domain()), "gpu-b": view("gpu-b", domain("gpu-b"))}, {"domain-elsewhere"}),
        (
            {"gpu-a": view("gpu-a", domain()), "gpu-b": view("gpu-b", domain("gpu-b", state="shut off"))},
            {"domain-stale"},
        ),
        ({"gpu-a": view("gpu-a", domain("gpu-a", "0000:05:00.0"))}, {"hostdev-mismatch"}),
        ({"gpu-a": view("gpu-a", domain("gpu-a", "0000:04:00.0", "0000:84:00.0"))}, {"hostdev-mismatch"}),
        ({"gpu-a": replace(view("gpu-a"), domains=None)}, set()),
    ],
)
def test_domains(domains, expected):
    assert ids(books(hosts=domains)) == expected
    blind = books(hosts=domains, rows=None, providers=None, allocations=None)
    assert ids(blind) == (set() if domains["gpu-a"].domains == (domain("gpu-a", "0000:05:00.0"),) else expected), (
        "the number alone can be known"
    )


def test_a_stopped_guest_needs_no_domain():
    made = books(
        servers={GUEST: server(vm_state="stopped", status="SHUTOFF", power_state=4)}, hosts={"gpu-a": view("gpu-a")}
    )
    assert ids(made) == set()


def test_error_shows_the_last_line_of_the_fault():
    fault = Fault("libvirtError", "Traceback\n  File\nlibvirtError: in use by driver QEMU\n")
    made = books(servers={GUEST: server(status="ERROR", vm_state="error", fault=fault)})
    assert found(made)["server-error"].evidence == "status ERROR on gpu-a: libvirtError: in use by driver QEMU"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (dict(task_state="resize_prep", updated=HOURS_AGO), {"server-stuck"}),
        (dict(task_state="resize_prep"), set()),
        (dict(task_state="resize_prep", updated="no time"), set()),
        (dict(power_state=4), {"active-powered-off"}),
        (dict(power_state=4, task_state="powering-off"), set()),
    ],
)
def test_states(more, expected):
    assert ids(books(servers={GUEST: server(**more)}, hosts={})) == expected


RESIZED = dict(servers={GUEST: server(status="VERIFY_RESIZE", vm_state="resized")})


@pytest.mark.parametrize(
    ("record", "more", "expected"),
    [
        (migration(status="finished"), {}, {"reset-too-early"}),
        (migration(status="finished"), RESIZED, set()),
        (migration(status="finished", at=HOURS_AGO), RESIZED, set()),
        (migration(status="finished", at=YESTERDAY), RESIZED, {"verify-resize-left"}),
        (migration(status="finished", kind="live-migration"), {}, set()),
        (migration(status="migrating", at=HOURS_AGO), {}, {"migration-stuck"}),
        (migration(status="migrating"), {}, set()),
        (migration(status="error"), dict(rows=None), {"migration-error"}),
        (migration(status="error"), {}, set()),  # the rows are known: nothing is held
        (migration(status="error", dest=None), dict(rows=None), set()),
        (migration(status="error"), dict(rows=None, newest=(2, 79)), set()),
        (
            migration(status="error"),
            dict(rows=None, servers={GUEST: server(host=None, vm_state="shelved_offloaded")}, hosts={}, allocations={}),
            set(),
        ),
        (migration(status="done", kind="evacuation"), {}, {"evacuated-host-back"}),
        (migration(status="done", kind="evacuation", source="gpu-gone"), {"rows": None}, {"evacuated-host-away"}),
        # The rows show that nothing waits for that host any more; one of a compute node that was purged may be of it.
        (migration(status="done", kind="evacuation", source="gpu-gone"), {}, set()),
        (
            migration(status="done", kind="evacuation", source="gpu-gone"),
            {"rows": (row(), row("compute node 7"))},
            {"evacuated-host-away", "row-elsewhere"},
        ),
        (migration(status="completed", kind="evacuation"), {}, set()),
    ],
)
def test_migrations(record, more, expected):
    assert ids(books(migrations=(record,), **more)) == expected


def test_what_a_migration_explains():
    waiting = dict(**RESIZED, migrations=(migration(status="finished"),), rows=(row(), row("gpu-b")))
    both = {
        "gpu-a": view("gpu-a", domain()),
        "gpu-b": view(
            "gpu-b", domain("gpu-b", state="shut off"), folders=[Folder("gpu-b", f"{GUEST}_resize", GUEST, "resize")]
        ),
    }
    assert ids(books(**waiting, hosts=both)) == set()
    assert ids(books(**{**waiting, "migrations": (migration(),)}, hosts=both)) == {
        "row-elsewhere",
        "domain-stale",
        "resize-leftover",
    }


def test_leftovers_of_nobody_of_ours_are_left_alone():
    left = {"gpu-b": view("gpu-b", folders=[Folder("gpu-b", "x_resize", "x", "resize")])}
    assert ids(books(hosts=left)) == {"resize-leftover"}
    assert ids(books(hosts=left, others={"x": "gpu-a"})) == set(), "a server without cards may be in VERIFY_RESIZE"
    assert ids(books(hosts=left, whole=False)) == set(), "who was not asked for is not known"


def test_a_folder_on_shared_storage_is_said_once():
    folder = Folder("gpu-a", f"{GUEST}_resize", GUEST, "resize")
    hosts = {
        host: view(host, *([domain()] if host == "gpu-a" else []), folders=[replace(folder, host=host)], shared=True)
        for host in ("gpu-a", "gpu-b")
    }
    made = [one for one in audit(books(hosts=hosts), now=NOON).findings if one.id == "resize-leftover"]
    assert len(made) == 1
    assert "shared storage" in made[0].evidence


def test_domains_of_nobody():
    def with_domain(*args, **more):
        made = found(books(hosts={"gpu-b": view("gpu-b", domain(*args, uuid="x", **more))}))
        return made["domain-unknown"].status if made else None

    assert with_domain("gpu-b", "0000:05:00.0", name="mine") == "fail"
    assert with_domain("gpu-b", "0000:05:00.0", name="mine", state="shut off") == "warn"
    assert with_domain("gpu-b", name="instance-00000009", state="shut off") == "warn"
    plain = replace(domain("gpu-b", uuid="x", name="mine"), hostdevs=())
    assert ids(books(hosts={"gpu-b": view("gpu-b", plain)})) == set(), "a guest of somebody's that has no card"


def test_cards():
    assert (
        found(books(hosts={"gpu-a": view("gpu-a", domain(), vfio=("0000:04:00.0", "0000:05:00.0", "0000:06:00.0"))}))[
            "card-unbooked"
        ].subject
        == "gpu-a/0000:06:00.0"
    )
    made = found(books(hosts={"gpu-a": view("gpu-a", domain(), vfio=("0000:04:00.0",))}))
    assert (made["card-not-vfio"].status, made["card-not-vfio"].subject) == ("warn", "gpu-a/0000:05:00.0")
    made = found(books(hosts={"gpu-a": view("gpu-a", domain(), vfio=("0000:05:00.0",))}, rows=None))
    assert (made["card-not-vfio"].status, made["card-not-vfio"].subject) == ("fail", "gpu-a/0000:04:00.0")
    assert ids(books(hosts={"gpu-a": view("gpu-a", domain(), vfio=None)})) == set()
    sound = replace(view("gpu-a", domain()), vfio=("0000:04:00.0", "0000:04:00.1", "0000:05:00.0"))
    assert ids(books(hosts={"gpu-a": sound})) == set(), "a card's own functions are no cards"


def test_rows_of_the_dead():
    made = books(rows=(row(), row(address="0000:05:00.0", owner="dead")), gone=frozenset({"dead"}))
    assert found(made)["row-orphan"].subject == "gpu-a/0000:05:00.0"
    assert ids(replace(made, gone=frozenset())) == set(), "who was not looked up is not dead"


def test_allocations_of_nobody():
    held = {
        GUEST: allocation("gpu-a/0000:04:00.0"),
        "x": allocation("gpu-b/0000:04:00.0", roots=("gpu-b",), consumer="x"),
    }
    made = found(books(allocations=held, gone=frozenset({"x"})))["allocation-orphan"]
    assert (made.status, made.subject, made.fix) == (
        "fail",
        "gpu-b/0000:04:00.0",
        "openstack resource provider allocation show x",
    )
    cardless = {**held, "x": allocation(roots=("gpu-b",), consumer="x")}
    made = found(books(allocations=cardless, gone=frozenset({"x"})))["allocation-orphan"]
    assert (made.status, made.subject) == ("warn", "gpu-b/x"), "another service's, perhaps"
    held["m-3"] = replace(held.pop("x"), consumer="m-3")
    made = found(books(allocations=held, gone=frozenset({"m-3"}), migrations=(migration(3, "confirmed"),)))[
        "allocation-orphan"
    ]
    assert (made.subject, made.fix) == (GUEST, f"gpuctl instance recover {GUEST}")
    assert ids(books(allocations=held, gone=frozenset({"m-3"})), only=["gpu-a"]) == set()


def test_computes():
    made = books()
    closed = replace(made.computes["gpu-b"], enabled=False, reason="gpuctl drain 1 by root", forced_down=True)
    assert ids(replace(made, computes={**made.computes, "gpu-b": closed})) == {
        "compute-forced-down",
        "compute-disabled",
    }


def test_what_was_not_seen_is_said_of_its_host():
    made = audit(
        books(
            unseen=(
                Unseen("host gpu-b", "no route"),
                Unseen("placement", "forbidden"),
                Unseen("hosts", "not asked", asked=False),
            )
        ),
        now=NOON,
    )
    skips = [(one.subject, one.evidence) for one in made.findings if "aliases" not in one.evidence]
    assert skips == [
        ("gpu-b", "host gpu-b: no route"),
        ("cloud", "placement: forbidden"),
        ("cloud", "hosts: not asked"),
    ]
    assert [one.view for one in made.blind] == ["placement"]


def test_a_check_that_breaks_hides_nothing(monkeypatch):
    monkeypatch.setattr("gpuctl.moves.audit.strays.folders", lambda sight: 1 / 0)
    from gpuctl.moves.audit import run, strays

    monkeypatch.setattr(run, "_OF_THE_CLOUD", (strays.folders, strays.rows, strays.unseen))
    made = books(rows=(row(), row(address="0000:05:00.0", owner="dead")), gone=frozenset({"dead"}))
    every = audit(made, now=NOON).findings
    assert {one.id for one in every} == {"row-orphan", "not-seen"}
    assert any("ZeroDivisionError" in one.evidence for one in every)
