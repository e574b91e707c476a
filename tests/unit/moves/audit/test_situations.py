"""Every way in which a move is known to go wrong, made to happen, and what an audit finds: by the API alone, and with all views.

The rows of facts/openstack-lab.md sections 5, 6 and 9 on the simulated cloud; what else is wrong there must be found too,
and nothing may be found in what is right.
"""

from __future__ import annotations

import pytest

from gpuctl.cloud import connect
from gpuctl.moves.audit import audit_cloud
from gpuctl.moves.books import NovaDatabase
from tests.sim.cloud import Client
from tests.unit.moves.books.looks import SimLook

DOUBLE = "allocation-double"  # with PCI in Placement alone


def migrate(cloud, guest, *then):
    act = Client(cloud.url, min(cloud.newest, "2.96", key=lambda one: int(one[2:]))).act
    act(guest.id, "migrate", {"host": "gpu-b"})
    for name, said in then:
        cloud.settle()
        act(guest.id, name, said)


CONFIRM, REVERT, ACTIVE = ("confirmResize", None), ("revertResize", None), ("os-resetState", {"state": "active"})


def fails(host, fault, *then):
    def way(cloud, guest):
        cloud.inject(host, fault)
        migrate(cloud, guest, *then)

    return way


def moves(*then):
    return lambda cloud, guest: migrate(cloud, guest, *then)


def delete_after_reset(cloud, guest):
    migrate(cloud, guest, ACTIVE)
    cloud.settle()
    Client(cloud.url).call("compute", "DELETE", f"/servers/{guest.id}")


def evacuate(cloud, guest, *, back=False):
    cloud.stop_compute("gpu-a", machine=True)
    client = Client(cloud.url)
    client.call("compute", "PUT", f"/os-services/{cloud.hosts['gpu-a'].service}", {"forced_down": True})
    client.act(guest.id, "evacuate", {"host": "gpu-b"})
    cloud.settle()


def evacuate_and_pretend_to_be_back(cloud, guest):
    evacuate(cloud, guest)
    cloud.hosts["gpu-a"].up, cloud.hosts["gpu-a"].forced_down = True, False


def shelve_without_snapshot(cloud, guest):
    cloud.inject("gpu-a", "snapshot")
    Client(cloud.url).act(guest.id, "shelve")


def shelve_and_unshelve(cloud, guest):
    act = Client(cloud.url).act
    act(guest.id, "shelve")
    cloud.settle()
    act(guest.id, "unshelve", {"host": "gpu-b"})


def nowhere_to_go(cloud, guest):
    Client(cloud.url).act(guest.id, "migrate", {"host": "gpu-c"})


ROWS = {"row-elsewhere"}
LEFT = {"domain-stale", "resize-leftover"}
# way -> (found by the API alone, found with the database and the hosts)
SITUATIONS = {
    "nothing": (lambda cloud, guest: None, set(), set()),
    "moved and confirmed": (moves(CONFIRM), {DOUBLE}, {DOUBLE}),
    "moved and reverted": (moves(REVERT), set(), set()),
    "waits for its confirm": (moves(), {DOUBLE}, {DOUBLE}),
    "shelved and unshelved": (shelve_and_unshelve, set(), set()),
    "moved, shelved and unshelved before the audit": (
        moves(CONFIRM, ("shelve", None), ("unshelve", {"host": "gpu-a"})),
        set(),
        {"hostdev-mismatch"},
    ),
    "no card anywhere": (nowhere_to_go, set(), set()),
    "finish fails": (
        fails("gpu-b", "finish_migration"),
        {"server-error", "migration-error", DOUBLE},
        {"server-error", DOUBLE, *ROWS, *LEFT},
    ),
    "finish fails, 2016 recipe": (
        fails("gpu-b", "finish_migration", ACTIVE, ("os-stop", None), ("os-start", None)),
        {"migration-error", DOUBLE},
        {DOUBLE, *ROWS, *LEFT},
    ),
    "ssh fails": (fails("gpu-a", "ssh"), {"migration-error"}, ROWS),
    "ssh fails, hard reboot": (
        fails("gpu-a", "ssh", ("reboot", {"type": "HARD"})),
        {"server-error", "migration-error"},
        {"server-error", *ROWS},
    ),
    "ssh fails, tried again": (
        fails("gpu-a", "ssh", ("migrate", {"host": "gpu-b"}), CONFIRM),
        {"migration-error"},
        {"row-double"},
    ),
    "copy fails": (fails("gpu-a", "disk_copy"), {"server-error", "migration-error"}, {"server-error", *ROWS}),
    "confirm fails": (
        fails("gpu-a", "confirm_migration", CONFIRM),
        {"server-error", "migration-error", DOUBLE},
        {"server-error", DOUBLE, *ROWS, *LEFT},
    ),
    "revert fails": (
        fails("gpu-a", "finish_revert_migration", REVERT),
        {"server-error", "migration-error"},
        {"server-error"},
    ),
    "reset too early": (moves(ACTIVE), {"reset-too-early", DOUBLE}, {"reset-too-early", DOUBLE, *ROWS, *LEFT}),
    "reset too early, deleted": (
        delete_after_reset,
        {"allocation-orphan"},
        {"allocation-orphan", "resize-leftover", "domain-unknown"},
    ),
    "evacuated": (
        evacuate,
        {"evacuated-host-away", "compute-forced-down", DOUBLE},
        {"evacuated-host-away", "compute-forced-down", DOUBLE},
    ),
    "evacuated, the host is up": (
        evacuate_and_pretend_to_be_back,
        {"evacuated-host-back", DOUBLE},
        {"evacuated-host-back", DOUBLE},
    ),
    "snapshot fails": (shelve_without_snapshot, set(), {"domain-missing"}),
}


@pytest.mark.parametrize("tracking", [True, False], ids=["tracked", "untracked"])
@pytest.mark.parametrize("name", SITUATIONS)
def test_what_an_audit_finds(sim, tmp_path, name, tracking):
    way, by_api, by_all = SITUATIONS[name]
    cloud = sim(tracking=tracking, double=1.0)
    for host, cards in (("gpu-a", 3), ("gpu-b", 3), ("gpu-c", 0)):
        cloud.add_host(host, ["h100"] * cards)
    guest = cloud.boot("guest", "gpu-a", "h100:1")
    cloud.boot("bystander", "gpu-b", "h100:1")
    way(cloud, guest)
    cloud.settle()
    cloud.audit()
    base = NovaDatabase.of([cloud.dump(tmp_path / "nova.db")])
    for expected, views in ((by_api, {}), (by_all, {"database": base, "hosts": SimLook(cloud)})):
        found = audit_cloud(connect(), **views).findings
        wrong = {one.id for one in found if one.status in {"fail", "warn"}}
        assert wrong == expected - (set() if tracking else {DOUBLE})
        about = {one.subject for one in found if one.status == "fail"}
        assert about <= {guest.id, f"gpu-a/{_migration(cloud)}", "gpu-a/0000:04:00.0", "gpu-a/instance-00000001"}
        assert all(one.evidence and one.fix for one in found if one.status in {"fail", "warn"})


def _migration(cloud):
    return cloud.migrations[0].uuid if cloud.migrations else ""


def test_an_old_nova_frees_what_failed(sim):
    cloud = sim(release=20, tracking=False)
    for host in ("gpu-a", "gpu-b"):
        cloud.add_host(host, ["h100"] * 3)
    fails("gpu-a", "ssh")(cloud, cloud.boot("guest", "gpu-a", "h100:1"))
    cloud.settle()
    found = audit_cloud(connect()).findings
    assert {one.id for one in found if one.status != "skip"} == set()


def test_one_that_may_be_21_or_22_says_so(sim):
    cloud = sim(release=22, tracking=False)
    for host in ("gpu-a", "gpu-b"):
        cloud.add_host(host, ["h100"] * 3)
    fails("gpu-a", "ssh")(cloud, cloud.boot("guest", "gpu-a", "h100:1"))
    cloud.settle()
    (one,) = [one for one in audit_cloud(connect()).findings if one.id == "migration-error"]
    assert one.status == "warn"
    assert "if this is a Nova 22" in one.evidence


@pytest.mark.parametrize("kind", [503, "reset-before", "reset-after"])
def test_a_fault_of_any_call_changes_nothing(sim, kind):
    """Each request of an audit fails once: it is asked again, and the same is found."""
    cloud = sim(double=1.0)
    for host in ("gpu-a", "gpu-b"):
        cloud.add_host(host, ["h100"] * 3)
    migrate(cloud, cloud.boot("guest", "gpu-a", "h100:1"), CONFIRM)
    cloud.settle()
    cloud.clear_counts()
    right = audit_cloud(connect()).findings
    assert [one.id for one in right if one.status == "fail"] == [DOUBLE]
    calls = sum(count for path, count in cloud.counts().items() if "/identity/" not in path)
    for number in range(calls):
        cloud.fail("*", "/(compute|placement)/", kind, skip=number)
        assert audit_cloud(connect()).findings == right, f"request {number}"


def test_a_move_that_begins_while_it_is_read_is_no_mistake(sim, tmp_path):
    cloud = sim(tracking=False)
    for host in ("gpu-a", "gpu-b"):
        cloud.add_host(host, ["h100"] * 3)
    guest = cloud.boot("guest", "gpu-a", "h100:1")
    reads = []

    class Late:
        """Read last of all: by then the server has rows on two hosts, which no migration that was read explains."""

        def read(self):
            if not reads:
                Client(cloud.url).act(guest.id, "migrate", {"host": "gpu-b"})
                cloud.advance(2)
            reads.append(len(cloud.rows(guest.id)))
            return NovaDatabase.of([cloud.dump(tmp_path / "nova.db")]).read()

    found = audit_cloud(connect(), database=Late()).findings
    assert reads == [2, 2], "it looked again"
    assert [one.id for one in found if one.status != "skip"] == []


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.05, 0.37])
@pytest.mark.parametrize("tracking", [True, False])
def test_moves_under_way_are_no_mistakes(sim, tmp_path, monkeypatch, tracking, seconds):
    """Time goes on between any two requests of an audit, and servers move meanwhile."""
    from gpuctl.cloud import Service

    cloud = sim(tracking=tracking, double=0.0)
    for host in ("gpu-a", "gpu-b"):
        cloud.add_host(host, ["h100"] * 6)
    guests = [cloud.boot(f"guest-{number}", "gpu-a", "h100:1") for number in range(4)]
    client = Client(cloud.url)
    for guest in guests[:2]:
        client.act(guest.id, "migrate", {"host": "gpu-b"})
    client.act(guests[2].id, "shelve")
    real = Service.ask

    def ask(self, *args, **more):
        cloud.advance(seconds)
        return real(self, *args, **more)

    monkeypatch.setattr(Service, "ask", ask)

    class Live:
        def read(self):
            return NovaDatabase.of([cloud.dump(tmp_path / "nova.db")]).read()

    seen = set()
    for step in range(25):
        found = audit_cloud(connect(), database=Live(), hosts=SimLook(cloud)).findings
        assert [one for one in found if one.status != "skip"] == [], f"step {step}"
        for guest in guests[:3]:
            shown = client.server(guest.id)
            seen.add((shown["status"], shown["OS-EXT-STS:task_state"]))
            if (shown["status"], shown["OS-EXT-STS:task_state"]) == ("VERIFY_RESIZE", None):
                client.act(guest.id, "confirmResize")
    assert ("VERIFY_RESIZE", None) in seen
    assert cloud.broken() == []
