"""What is repeated, what is not, and where an API is."""

from __future__ import annotations

import pytest

from gpuctl.cloud import NoSuchCloud, NotAuthorised, Rejected, Uncertain, Unreachable, connect, versioned


@pytest.mark.parametrize(
    ("said", "version", "is_"),
    [
        ("http://h:8774/v2.1", "v2.1", "http://h:8774/v2.1"),
        ("http://h:8774/v2.1/", "v2.1", "http://h:8774/v2.1"),
        ("http://h:8774/v2.1/0123456789abcdef", "v2.1", "http://h:8774/v2.1"),
        ("http://h:8774/v2/0123456789abcdef", "v2.1", "http://h:8774/v2.1"),
        ("https://h/compute", "v2.1", "https://h/compute/v2.1"),
        ("https://h/identity", "v3", "https://h/identity/v3"),
        ("http://h/image/v2", "v2", "http://h/image/v2"),
        ("http://h/placement/", "", "http://h/placement"),
    ],
)
def test_an_endpoint_gets_its_version(said, version, is_):
    assert versioned(said, version) == is_


@pytest.fixture
def nova(cloud):
    return connect().service("compute")


@pytest.mark.parametrize("fault", [500, 503, "reset-before", "reset-after"])
def test_what_may_be_done_once_is_sent_once(nova, cloud, fault):
    cloud.fail("POST", "/flavors$", fault, times=9)
    with pytest.raises(Uncertain):
        nova.ask("POST", "/flavors", "create", body={"flavor": {}}, once="yes")
    assert len(cloud.writes()) == 1


def test_too_many_requests_were_not_done_so_they_are_sent_again(nova, cloud, pauses):
    cloud.fail("POST", "/flavors$", 429, times=2, retry_after=3)
    body = {"id": "1", "name": "n", "vcpus": 1, "ram": 1, "disk": 1}
    assert nova.ask("POST", "/flavors", "create", body={"flavor": body}, once="yes").body["flavor"]["id"] == "1"
    assert pauses == [3.0, 3.0]


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Rejected), (409, Rejected), (401, NotAuthorised), (403, NotAuthorised), (500, Uncertain)],
)
def test_an_error_says_what_it_is(nova, cloud, status, error):
    cloud.fail("GET", "/flavors", status, times=99)
    with pytest.raises(error) as caught:
        nova.ask("GET", "/flavors/1", "read flavor 1")
    assert "read flavor 1" in caught.value.brief
    assert caught.value.details == f"told to fail with {status}"


def test_an_accepted_status_is_an_answer(nova):
    assert nova.ask("GET", "/flavors/nosuch", "read", accept=(404,)).status == 404


def test_the_version_is_asked_for_once(nova, cloud):
    assert (nova.newest(), nova.newest()) == ((2, 104), (2, 104))
    assert [one[1] for one in cloud.asked if "/compute" in one[1]] == ["/compute/v2.1/"]


def test_something_that_is_no_nova(nova, cloud, monkeypatch):
    monkeypatch.setattr(cloud, "newest", "")
    with pytest.raises(Unreachable):
        nova.newest()


def test_no_such_cloud(cloud):
    with pytest.raises(NoSuchCloud):
        connect("nosuch")


def test_a_service_that_the_catalogue_does_not_have(cloud):
    with pytest.raises(Unreachable):
        connect().service("network").ask("GET", "/", "look")
