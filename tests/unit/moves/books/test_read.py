"""One reading of a cloud: what it costs, what it knows, and what it says that it does not know."""

from __future__ import annotations

import pytest

from gpuctl.cloud import connect
from gpuctl.cloud_errors import CloudError
from gpuctl.moves.books import NovaDatabase, read_books
from gpuctl.moves.books.holdings import Place, holdings
from gpuctl.moves.errors import Ambiguous, NoSuchServer
from tests.sim.cloud import Client
from tests.unit.moves.books.looks import SimLook


def requests(cloud):
    """How many were sent, but for the two of the login."""
    return sum(count for path, count in cloud.counts().items() if "/identity/" not in path)


@pytest.mark.parametrize("tracking", [True, False])
def test_a_clean_cloud_takes_at_most_ten_requests_and_one_a_compute(sim, tracking):
    cloud = sim(tracking=tracking)
    cloud.populate(hosts=63, servers=500, classes=["h100", "l40"], plain=30)
    cloud.clear_counts()
    books = read_books(connect())
    assert len(books.servers) == 500
    assert len(books.others) == 30
    assert requests(cloud) <= 10 + 63
    assert not [path for path in cloud.counts() if "/allocations/" in path], "nobody was asked for alone"


def test_full_hosts_are_in_the_summaries_of_another_resource(sim):
    cloud = sim()
    cloud.add_host("gpu-a", ["h100"] * 2, ram=8192)
    cloud.add_host("gpu-b", ["h100"] * 2)
    cloud.boot("guest", "gpu-a", "h100:1", ram=8192)
    cloud.clear_counts()
    books = read_books(connect())
    used = {(one.host, one.address): one.usages for one in books.providers.values() if one.address}
    assert len(used) == 4
    assert None not in used.values(), "a host without memory is in the answer for CPUs"
    assert requests(cloud) <= 10 + 2


def test_a_host_without_any_room_is_read_card_by_card(sim):
    cloud = sim()
    cloud.add_host("gpu-a", ["h100"] * 2, ram=8192, vcpus=0, disk=20)
    cloud.add_host("gpu-b", ["h100"] * 2)
    full = cloud.boot("guest", "gpu-a", "h100:1", ram=8192)
    for kind in ("VCPU", "MEMORY_MB", "DISK_GB"):
        root = cloud.placement.named("gpu-a")
        root.inventories[kind]["total"] = root.inventories[kind]["reserved"] = 1
    books = read_books(connect())
    assert full.id in books.allocations
    assert holdings(books, full.id).placement == (Place("gpu-a", "0000:04:00.0"),)


def test_what_agrees_in_its_sum_is_read_only_when_it_is_asked_for(sim):
    cloud = sim()
    cloud.add_host("gpu-a", ["h100"] * 3)
    first, second = cloud.boot("first", "gpu-a", "h100:1"), cloud.boot("second", "gpu-a", "h100:1")
    cards = {name: provider for name, provider in cloud.placement.providers.items() if provider.parent}
    taken = next(name for name in cloud.placement.consumers[second.id].held if name in cards)
    amounts = cloud.placement.consumers[second.id].held.pop(taken)
    cloud.placement.consumers[first.id].held[taken] = amounts
    assert read_books(connect()).allocations == {}, "the totals are right: this is what the budget costs"
    books = read_books(connect(), deep=True)
    assert len(holdings(books, first.id).placement) == 2
    assert holdings(books, second.id).placement == ()


def test_a_long_history_is_not_read_whole(sim, monkeypatch):
    monkeypatch.setattr("gpuctl.moves.nova_api.PAGE", 5)
    cloud = sim(tracking=False)
    for name in "ab":
        cloud.add_host(f"gpu-{name}", ["h100"] * 4)
    guest, broken = cloud.boot("guest", "gpu-a", "h100:1"), cloud.boot("broken", "gpu-a", "h100:1")
    client = Client(cloud.url)
    cloud.inject("gpu-a", "ssh")
    client.act(broken.id, "migrate", {"host": "gpu-b"})
    cloud.settle()
    for _ in range(7):
        client.act(guest.id, "migrate")
        cloud.settle()
        client.act(guest.id, "confirmResize")
        cloud.settle()
    cloud.clear_counts()
    books = read_books(connect())
    assert [one.status for one in books.migrations_of(broken.id)] == ["error"], "old, but it holds"
    assert len(books.migrations) == 5 + 1
    assert sum(count for path, count in cloud.counts().items() if path.endswith("/os-migrations")) == 4


def test_hosts_that_placement_calls_otherwise(sim):
    cloud = sim()
    cloud.add_host("gpu-a", ["h100"] * 2)
    cloud.add_host("gpu-b", ["h100"] * 2)
    for host in ("gpu-a", "gpu-b"):
        for provider in cloud.placement.providers.values():
            provider.name = provider.name.replace(host, f"{host}.dc.example")
    answer = {
        "hypervisors": [
            {"id": host, "hypervisor_hostname": f"{host}.dc.example", "service": {"host": host}}
            for host in ("gpu-a", "gpu-b")
        ]
    }
    from gpuctl.moves.nova_api import NovaApi

    asked = []

    def pages(self, path, key, query, *, marker="id"):
        asked.append(path)
        return iter(answer[key]) if key in answer else real(self, path, key, query, marker=marker)

    real = NovaApi._pages
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NovaApi, "_pages", pages)
        books = read_books(connect())
    assert {one.host for one in books.providers.values()} == {"gpu-a", "gpu-b"}
    assert asked.count("/os-hypervisors/detail") == 1


def test_some_servers_alone(sim):
    cloud = sim()
    cloud.add_host("gpu-a", ["h100"] * 4)
    cloud.add_host("gpu-b", ["h100"] * 4)
    guest = cloud.boot("guest", "gpu-a", "h100:2")
    cloud.boot("other", "gpu-a", "h100:1")
    Client(cloud.url).act(guest.id, "migrate", {"host": "gpu-b"})
    cloud.settle()
    books = read_books(connect(), servers=["guest"], hosts=SimLook(cloud))
    assert list(books.servers) == [guest.id]
    assert not books.whole
    (record,) = books.migrations
    assert (record.source, record.dest, record.status) == ("gpu-a", "gpu-b", "finished")
    assert {one.host for one in holdings(books, record.uuid).placement} == {"gpu-a"}
    assert {one.host for one in holdings(books, guest.id).placement} == {"gpu-b"}
    assert books.allocations[guest.id].generation is not None, "what a repair needs"
    assert set(books.hosts) == {"gpu-a", "gpu-b"}
    assert {(one.host, one.runs) for one in books.domains_of(guest.id)} == {("gpu-a", False), ("gpu-b", True)}


def test_names_that_are_nobodys_or_several_peoples(sim):
    cloud = sim()
    cloud.add_host("gpu-a", ["h100"] * 4)
    cloud.boot("twin", "gpu-a", "h100:1")
    cloud.boot("twin", "gpu-a", "h100:1")
    with pytest.raises(NoSuchServer):
        read_books(connect(), servers=["nobody"])
    with pytest.raises(Ambiguous, match="2 servers"):
        read_books(connect(), servers=["twin"])


def test_a_cloud_without_placement_is_read_and_it_is_said(sim):
    cloud = sim()
    cloud.add_host("gpu-a", ["h100"] * 4)
    cloud.boot("guest", "gpu-a", "h100:1")
    cloud.fail("GET", "/placement/", 403, times=99)
    books = read_books(connect())
    assert books.providers is None
    assert books.tracked is None
    assert len(books.servers) == 1
    assert [one.view for one in books.unseen if one.asked] == ["placement"]


def test_a_placement_that_breaks_off_is_not_believed_by_half(sim):
    cloud = sim()
    cloud.add_host("gpu-a", ["h100"] * 4)
    cloud.boot("guest", "gpu-a", "h100:1")
    cloud.fail("GET", "/resource_providers/[^/]+/allocations", 503, times=99)
    books = read_books(connect())
    assert (books.providers, books.allocations, books.tracked) == (None, None, None)
    assert [one.view for one in books.unseen if one.asked] == ["placement"]


def test_a_placement_that_is_too_old_is_nobodys_fault(sim):
    cloud = sim()
    cloud.add_host("gpu-a", ["h100"] * 4)
    cloud.fail("GET", "/placement/", 406, times=99)
    assert [(one.view, one.asked) for one in read_books(connect()).unseen] == [
        ("placement", False),
        ("database", False),
        ("hosts", False),
    ]


def test_a_cloud_without_nova_is_none(sim):
    cloud = sim()
    cloud.fail("GET", "/compute/", 403, times=99)
    with pytest.raises(CloudError):
        read_books(connect())


def test_hosts_out_of_reach_cost_nobody_else_anything(sim):
    cloud = sim()
    cloud.populate(hosts=6, servers=12, classes=["h100"])
    books = read_books(connect(), hosts=SimLook(cloud, dead={"gpu-002"}))
    assert set(books.hosts) == {"gpu-001", "gpu-003", "gpu-004", "gpu-005", "gpu-006"}
    (unseen,) = [one for one in books.unseen if one.view.startswith("host ")]
    assert (unseen.view, unseen.why) == ("host gpu-002", "gpu-002: no route to host")


def test_one_host_of_many(sim):
    cloud = sim()
    cloud.populate(hosts=6, servers=12, classes=["h100"])
    look = SimLook(cloud)
    cloud.clear_counts()
    books = read_books(connect(), hosts=look, only=["gpu-003"])
    assert look.looked == ["gpu-003"]
    assert set(books.tenants) == {"gpu-003"}
    assert requests(cloud) <= 10 + 1


def test_the_database_and_its_dead_owners(sim, tmp_path):
    cloud = sim()
    cloud.populate(hosts=2, servers=4, classes=["h100"])
    cloud.hosts["gpu-001"].cards[5].take("11111111-1111-1111-1111-111111111111", None)
    books = read_books(connect(), database=NovaDatabase.of([cloud.dump(tmp_path / "nova.db")]))
    assert len(books.rows) == 16
    assert sum(one.owner is not None for one in books.rows) == 5
    assert books.gone == {"11111111-1111-1111-1111-111111111111"}


def test_a_database_that_does_not_answer_is_said(sim, tmp_path):
    cloud = sim()
    cloud.add_host("gpu-a")
    books = read_books(connect(), database=NovaDatabase.of([f"sqlite:///{tmp_path}/none.db"]))
    assert books.rows is None
    assert [one.view for one in books.unseen if one.asked] == ["database"]


def test_a_server_that_was_made_while_reading_is_no_stranger(sim, monkeypatch):
    cloud = sim()
    cloud.add_host("gpu-a", ["h100"] * 4)
    cloud.boot("guest", "gpu-a", "h100:1")
    from gpuctl.moves.nova_api import NovaApi

    real = NovaApi.servers

    def servers(self, **filters):
        found = real(self, **filters)
        cloud.boot("late", "gpu-a", "h100:1")
        return found

    monkeypatch.setattr(NovaApi, "servers", servers)
    books = read_books(connect())
    assert books.gone == frozenset()
    assert sorted(books.others.values()) == ["gpu-a"], "looked up, and known by its host"
